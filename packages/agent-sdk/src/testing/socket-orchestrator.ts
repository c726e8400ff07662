/**
 * The orchestrator's end of the agent socket, for tests: a real Unix socket server that welcomes agents, keeps their state
 * in memory, records every frame and can go away and come back like a restarting daemon.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { AgentFrame, OrchestratorToAgentFrame } from '@muster/contract';

export interface SocketOrchestratorOptions {
  readonly path: string;
  readonly config?: Record<string, unknown>;
  readonly agentType?: string;
  readonly epoch?: number;
  readonly sub?: number;
  readonly reportIntervalMs?: number;
  /** Answers `hello` with `refused` instead of `welcome`. */
  readonly refuse?: { readonly code: string; readonly message: string };
  /** State requests are recorded but left unanswered. */
  readonly holdState?: boolean;
}

type FrameOf<T extends AgentFrame['t']> = Extract<AgentFrame, { t: T }>;

export class SocketOrchestrator {
  options: SocketOrchestratorOptions;
  readonly frames: AgentFrame[] = [];
  readonly state = new Map<string, unknown>();
  #server: Server | undefined;
  #sockets = new Set<Socket>();
  #watchers = new Set<() => void>();
  #nextId = 1;

  constructor(options: SocketOrchestratorOptions) {
    this.options = options;
  }

  /** Begins to listen; resolves when agents can connect. */
  async listen(): Promise<void> {
    this.#server = createServer((socket) => this.#accept(socket));
    await new Promise<void>((resolve, reject) => {
      this.#server?.once('error', reject);
      this.#server?.listen(this.options.path, resolve);
    });
  }

  /** Goes away: closes every connection and the socket file. */
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Sends one frame to every connected agent. */
  send(frame: OrchestratorToAgentFrame): void {
    this.sendText(`${JSON.stringify(frame)}\n`);
  }

  sendText(text: string): void {
    for (const socket of this.#sockets) socket.write(text);
  }

  /** Sends a command and resolves with its answer. */
  async command(
    verb: string,
    args: Record<string, unknown> = {},
    id = `c${this.#nextId++}`,
  ): Promise<FrameOf<'answer'>> {
    const from = this.frames.length;
    this.send({ t: 'command', id, verb, args });
    return this.next('answer', (answer) => answer.id === id, from);
  }

  /** The first frame of this kind at or after index `from` that satisfies `wanted`; waits for it. */
  async next<T extends AgentFrame['t']>(
    kind: T,
    wanted: (frame: FrameOf<T>) => boolean = () => true,
    from = 0,
  ): Promise<FrameOf<T>> {
    for (;;) {
      const found = this.frames
        .slice(from)
        .find((frame): frame is FrameOf<T> => frame.t === kind && wanted(frame as FrameOf<T>));
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#watchers.add(resolve));
    }
  }

  all<T extends AgentFrame['t']>(kind: T): FrameOf<T>[] {
    return this.frames.filter((frame): frame is FrameOf<T> => frame.t === kind);
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    let rest = '';
    socket.setEncoding('utf8');
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#receive(socket, JSON.parse(line) as AgentFrame);
    });
  }

  #receive(socket: Socket, frame: AgentFrame): void {
    this.frames.push(frame);
    const answer = this.#answerTo(frame);
    if (answer !== undefined) socket.write(`${JSON.stringify(answer)}\n`);
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const wake of watchers) wake();
  }

  #answerTo(frame: AgentFrame): OrchestratorToAgentFrame | undefined {
    if (frame.t === 'hello') return this.#greeting();
    if (this.options.holdState === true) return undefined;
    switch (frame.t) {
      case 'state.put':
        this.state.set(frame.key, frame.value);
        return { t: 'result', id: frame.id, ok: true };
      case 'state.get':
        return { t: 'result', id: frame.id, ok: true, value: this.state.get(frame.key) ?? null };
      case 'state.delete':
        this.state.delete(frame.key);
        return { t: 'result', id: frame.id, ok: true };
      default:
        return undefined;
    }
  }

  #greeting(): OrchestratorToAgentFrame {
    const {
      refuse,
      agentType = 'test_agent',
      config = {},
      epoch = 1,
      sub = 1,
      reportIntervalMs = 1_000,
    } = this.options;
    if (refuse !== undefined) return { t: 'refused', ...refuse };
    return {
      t: 'welcome',
      v: 1,
      agentType,
      config,
      fence: { epoch, sub, deadlineUptimeMs: null },
      reportIntervalMs,
    };
  }
}
