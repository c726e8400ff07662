/**
 * The socket of one agent: one process at a time, in the protocol of contract/agent-protocol.ts.
 *
 * Only the keeper's current incarnation gets a welcome. A process that connects before the daemon knows its own spawn waits
 * for it; one of another incarnation is told `refused` and ends itself. Everything an agent sends is checked; a line that is
 * too long, no JSON or no known frame ends the connection and is counted, never the daemon. Commands in flight when a
 * connection ends fail at once: the agent may or may not have acted, and the caller is told so.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import {
  AGENT_LINE_MAX_BYTES,
  AGENT_PROTOCOL_VERSION,
  AgentFrame,
  type OrchestratorToAgentFrame,
} from '@muster/contract';
import { Compile } from 'typebox/compile';
import { LineSplitter } from './line-splitter.ts';

const HELLO_LIMIT_MS = 10_000;
const CONNECTIONS_MAX = 8;
const EARLY_FRAMES_MAX = 16;
const METRICS_MAX = 256;
const UNREAD_MAX_BYTES = 8 * AGENT_LINE_MAX_BYTES;
const PING_INTERVAL_MS = 15_000;
const frameCheck = Compile(AgentFrame);

type FrameOf<T extends AgentFrame['t']> = Extract<AgentFrame, { t: T }>;

export interface Incarnation {
  readonly epoch: number;
  readonly sub: number;
}
export interface AgentWelcome extends Incarnation {
  readonly agentType: string;
  readonly config: Readonly<Record<string, unknown>>;
}

/** What the daemon does with what an agent says. */
export interface AgentEvents {
  /**
   * The incarnation that may speak now, once no spawn is under way; null: none, so that whoever asks is stale. `unknown`: a
   * process runs whose order is not known here; it is left alone.
   */
  current(agentId: string): Promise<AgentWelcome | null | 'unknown'>;
  ready(agentId: string, of: Incarnation): void;
  health(agentId: string, of: Incarnation, frame: FrameOf<'health'>): void;
  metrics(agentId: string, values: Readonly<Record<string, number>>): void;
  state(agentId: string, frame: FrameOf<'state.put' | 'state.get' | 'state.delete'>): Promise<unknown>;
  /** Something was not understood and refused. */
  refused(agentId: string, reason: string): void;
}

export class AgentCommandFailed extends Error {
  override readonly name = 'AgentCommandFailed';
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

interface OpenCommand {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: AgentCommandFailed) => void;
  readonly timer: NodeJS.Timeout;
}

export class AgentSocket {
  readonly #agentId: string;
  readonly #path: string;
  readonly #events: AgentEvents;
  readonly #reportIntervalMs: number;
  readonly #pingIntervalMs: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #commands = new Map<string, OpenCommand>();
  #speaker: { socket: Socket; of: Incarnation; awaitsPong: boolean } | null = null;
  #nextCommand = 1;
  #ping: NodeJS.Timeout | null = null;

  constructor(
    agentId: string,
    path: string,
    events: AgentEvents,
    reportIntervalMs: number,
    pingIntervalMs = PING_INTERVAL_MS,
  ) {
    this.#pingIntervalMs = pingIntervalMs;
    this.#agentId = agentId;
    this.#path = path;
    this.#events = events;
    this.#reportIntervalMs = reportIntervalMs;
    this.#server = createServer((socket) => this.#accept(socket));
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** Takes the place of a socket that an earlier daemon left. */
  async listen(): Promise<void> {
    rmSync(this.#path, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#path, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    chmodSync(this.#path, 0o600);
    this.#ping = setInterval(() => this.#pingSpeaker(), this.#pingIntervalMs);
    this.#ping.unref();
  }

  get connected(): boolean {
    return this.#speaker !== null;
  }

  /** Tells the agent to finish; false when it is not connected (the signal says the same). */
  stop(graceMs: number, reason: string): boolean {
    if (this.#speaker === null) return false;
    this.#send(this.#speaker.socket, { t: 'stop', graceMs: Math.round(graceMs), reason });
    return true;
  }

  /** The agent's answer. @throws AgentCommandFailed: refused by the agent, not connected, gone, or too slow. */
  command(verb: string, args: Readonly<Record<string, unknown>>, timeoutMs: number): Promise<unknown> {
    const speaker = this.#speaker;
    if (speaker === null)
      return Promise.reject(
        new AgentCommandFailed('agent-not-running', 'The agent is not connected to its orchestrator.'),
      );
    const id = `c${this.#nextCommand}`;
    this.#nextCommand += 1;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#commands.delete(id);
        reject(
          new AgentCommandFailed('timeout', `The agent did not answer "${verb}" within ${timeoutMs} ms.`),
        );
      }, timeoutMs);
      this.#commands.set(id, { resolve, reject, timer });
      if (!this.#send(speaker.socket, { t: 'command', id, verb, args: { ...args } })) {
        this.#settle(id, new AgentCommandFailed('too-large', 'The command is too large.'));
      }
    });
  }

  async close(): Promise<void> {
    if (this.#ping !== null) clearInterval(this.#ping);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    rmSync(this.#path, { force: true });
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    const splitter = new LineSplitter(AGENT_LINE_MAX_BYTES);
    const greeting = setTimeout(() => this.#refuse(socket, 'no hello in time'), HELLO_LIMIT_MS);
    let greeted = false;
    let welcomed = false;
    const early: AgentFrame[] = [];
    const take = (line: string): void => {
      const frame = parse(line);
      if (typeof frame === 'string') return this.#refuse(socket, frame);
      if (!greeted) {
        if (frame.t !== 'hello') return this.#refuse(socket, 'the first line is no hello');
        greeted = true;
        clearTimeout(greeting);
        void this.#greet(socket, frame).then(() => {
          for (const each of early.splice(0)) this.#receive(socket, each);
          welcomed = true;
        });
        return;
      }
      if (welcomed) return this.#receive(socket, frame);
      // It did not wait for the welcome; what it said is kept, within reason, until we know who it is.
      if (early.length < EARLY_FRAMES_MAX) early.push(frame);
      else this.#refuse(socket, 'too much before the welcome');
    };
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const line of splitter.push(chunk)) if (line.trim() !== '' && !socket.destroyed) take(line);
      } catch (error) {
        this.#refuse(socket, (error as Error).message);
      }
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      clearTimeout(greeting);
      this.#sockets.delete(socket);
      if (this.#speaker?.socket === socket) this.#silence();
    });
  }

  async #greet(socket: Socket, hello: FrameOf<'hello'>): Promise<void> {
    const current = await this.#events.current(this.#agentId);
    if (socket.destroyed) return;
    if (current === 'unknown') {
      socket.destroy();
      return;
    }
    const reason = this.#stranger(hello, current);
    if (reason !== null || current === null) {
      this.#events.refused(this.#agentId, reason ?? 'nothing runs under this id');
      this.#send(socket, { t: 'refused', code: 'stale', message: reason ?? 'Nothing runs under this id.' });
      socket.end();
      return;
    }
    const old = this.#speaker?.socket;
    if (this.#speaker !== null) this.#silence();
    this.#speaker = { socket, of: { epoch: current.epoch, sub: current.sub }, awaitsPong: false };
    old?.destroy();
    const { epoch, sub, agentType, config } = current;
    this.#send(socket, {
      t: 'welcome',
      v: AGENT_PROTOCOL_VERSION,
      agentType,
      config: { ...config },
      fence: { epoch, sub, deadlineUptimeMs: null },
      reportIntervalMs: this.#reportIntervalMs,
    });
  }

  #stranger(hello: FrameOf<'hello'>, current: AgentWelcome | null): string | null {
    if (hello.v !== AGENT_PROTOCOL_VERSION)
      return `This orchestrator speaks version ${AGENT_PROTOCOL_VERSION} of the agent protocol.`;
    if (hello.agent !== this.#agentId) return 'This socket belongs to another agent.';
    if (current === null) return 'Nothing runs under this id.';
    const now = `${current.epoch}.${current.sub}`;
    return hello.epoch === now ? null : `The current incarnation is ${now}, this process is ${hello.epoch}.`;
  }

  #receive(socket: Socket, frame: AgentFrame): void {
    const speaker = this.#speaker;
    if (speaker?.socket !== socket) return;
    switch (frame.t) {
      case 'hello':
        return this.#refuse(socket, 'a second hello');
      case 'ready':
        return this.#events.ready(this.#agentId, speaker.of);
      case 'health':
        return this.#events.health(this.#agentId, speaker.of, frame);
      case 'metrics':
        return this.#events.metrics(
          this.#agentId,
          Object.fromEntries(Object.entries(frame.values).slice(0, METRICS_MAX)),
        );
      case 'answer': {
        if (frame.ok) return this.#settle(frame.id, { value: frame.value ?? null });
        return this.#settle(
          frame.id,
          new AgentCommandFailed(
            frame.error?.code ?? 'failed',
            frame.error?.message ?? 'The agent refused the command.',
          ),
        );
      }
      case 'pong':
        speaker.awaitsPong = false;
        return;
      default:
        void this.#answerState(socket, frame);
    }
  }

  async #answerState(
    socket: Socket,
    frame: FrameOf<'state.put' | 'state.get' | 'state.delete'>,
  ): Promise<void> {
    let result: OrchestratorToAgentFrame;
    try {
      const value = await this.#events.state(this.#agentId, frame);
      result =
        frame.t === 'state.get'
          ? { t: 'result', id: frame.id, ok: true, value }
          : { t: 'result', id: frame.id, ok: true };
    } catch (error) {
      const { code = 'store-failed', message } = error as { code?: string; message: string };
      result = { t: 'result', id: frame.id, ok: false, error: { code, message } };
    }
    if (!socket.destroyed) this.#send(socket, result);
  }

  /** False when it does not fit a line. A peer that does not read is dropped. */
  #send(socket: Socket, frame: OrchestratorToAgentFrame): boolean {
    const line = `${JSON.stringify(frame)}\n`;
    if (Buffer.byteLength(line) > AGENT_LINE_MAX_BYTES) return false;
    if (socket.writableLength > UNREAD_MAX_BYTES) this.#refuse(socket, 'it does not read');
    else socket.write(line);
    return true;
  }

  #settle(id: string, outcome: { readonly value: unknown } | AgentCommandFailed): void {
    const open = this.#commands.get(id);
    if (open === undefined) return;
    this.#commands.delete(id);
    clearTimeout(open.timer);
    if (outcome instanceof AgentCommandFailed) open.reject(outcome);
    else open.resolve(outcome.value);
  }

  #silence(): void {
    this.#speaker = null;
    for (const id of [...this.#commands.keys()]) {
      this.#settle(
        id,
        new AgentCommandFailed(
          'agent-not-running',
          'The connection to the agent ended before it answered; look at its state.',
        ),
      );
    }
  }

  /**
   * An agent that did not answer the last ping is shut out; it connects again when it is alive. Until then its last word about
   * its health is not true any more.
   */
  #pingSpeaker(): void {
    if (this.#speaker === null) return;
    if (this.#speaker.awaitsPong) {
      const detail = 'It does not answer its orchestrator.';
      this.#events.health(this.#agentId, this.#speaker.of, {
        t: 'health',
        state: 'degraded',
        ok: false,
        detail,
      });
      return this.#refuse(this.#speaker.socket, 'it did not answer a ping');
    }
    this.#speaker.awaitsPong = true;
    this.#send(this.#speaker.socket, { t: 'ping', id: 'p' });
  }

  #refuse(socket: Socket, reason: string): void {
    if (socket.destroyed) return;
    this.#events.refused(this.#agentId, reason);
    socket.destroy();
  }
}

/** The frame, or what is wrong with the line. */
function parse(line: string): AgentFrame | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return 'a line is no JSON';
  }
  return frameCheck.Check(value) ? (value as AgentFrame) : 'a line is no known frame';
}
