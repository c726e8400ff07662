/**
 * The manager's questions: logs, a command to an agent, portable state, ping. None changes what should run here.
 *
 * Each call gets exactly one `answer`, or for a followed log `chunk`s of which the last says `done`. Calls in flight are
 * bounded; they end with the link. Arguments are checked like everything that comes from outside.
 *
 * `logs` {agentId, tail?, stream?, follow?} → {lines} | chunks; `command` {agentId, verb, args?, timeoutMs?} → what the agent answered;
 * `state` {agentId} → {files:{path: base64}}; `ping` {} → {at, agents, keeper}; `cancel` {id} ends a followed log.
 */
import type { ManagerFrameOf, OrchestratorFrame } from '@muster/contract';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { AgentCommandFailed, type AgentSocket } from './agent-socket/agent-socket.ts';
import type { AgentStates } from './agent-state/agent-states.ts';
import { type AgentLogs, TAIL_MAX_LINES } from './logs/agent-logs.ts';
import type { LogLine } from './logs/log-line.ts';

const CALLS_MAX = 200;
const FOLLOWS_MAX = 50;
const CHUNK_LINES = 500;
/** Text in one frame, characters; well below the frame limit whatever the encoding. */
const FRAME_CHARACTERS = 1_000_000;
const COMMAND_LIMIT_MS = 30_000;

const AgentId = Type.String({ minLength: 1, maxLength: 128 });
const schemas = {
  logs: Type.Object({
    agentId: AgentId,
    tail: Type.Optional(Type.Integer({ minimum: 0, maximum: TAIL_MAX_LINES })),
    follow: Type.Optional(Type.Boolean()),
    stream: Type.Optional(Type.Union([Type.Literal('all'), Type.Literal('stdout'), Type.Literal('stderr')])),
  }),
  command: Type.Object({
    agentId: AgentId,
    verb: Type.String({ minLength: 1, maxLength: 64 }),
    args: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    timeoutMs: Type.Optional(Type.Integer({ minimum: 100, maximum: COMMAND_LIMIT_MS })),
  }),
  state: Type.Object({ agentId: AgentId }),
  ping: Type.Object({}),
  cancel: Type.Object({ id: Type.String({ minLength: 1, maxLength: 128 }) }),
};

export interface CallOptions {
  readonly send: (frame: OrchestratorFrame) => boolean;
  readonly isKnown: (agentId: string) => boolean;
  readonly socketOf: (agentId: string) => AgentSocket | null;
  readonly logs: AgentLogs;
  readonly states: AgentStates;
  readonly ping: () => Readonly<Record<string, unknown>>;
}

class CallRefused extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export class Calls {
  readonly #options: CallOptions;
  readonly #follows = new Map<string, () => void>();
  #inFlight = 0;

  constructor(options: CallOptions) {
    this.#options = options;
  }

  async take(frame: ManagerFrameOf<'call'>): Promise<void> {
    const { id } = frame;
    if (this.#inFlight >= CALLS_MAX)
      return this.#fail(id, new CallRefused('overloaded', 'Too many calls are in flight.'));
    this.#inFlight += 1;
    try {
      const value = await this.#carryOut(frame);
      if (value !== undefined) this.#options.send({ t: 'answer', id, ok: true, value });
    } catch (error) {
      this.#fail(id, error);
    } finally {
      this.#inFlight -= 1;
    }
  }

  /** Nobody listens any more. */
  linkDown(): void {
    for (const end of this.#follows.values()) end();
    this.#follows.clear();
  }

  /** The answer's value; undefined: answered by chunks. */
  async #carryOut({ id, op, args }: ManagerFrameOf<'call'>): Promise<unknown> {
    switch (op) {
      case 'logs':
        return this.#logs(id, this.#checked('logs', args));
      case 'command': {
        const {
          agentId,
          verb,
          args: values = {},
          timeoutMs = COMMAND_LIMIT_MS,
        } = this.#checked('command', args);
        const socket = this.#options.socketOf(agentId);
        if (socket === null)
          throw new CallRefused('agent-not-running', `The agent ${agentId} is not running here.`);
        return (await socket.command(verb, values, timeoutMs)) ?? null;
      }
      case 'state':
        return { files: this.#options.states.snapshot(this.#checked('state', args).agentId) };
      case 'ping':
        return this.#options.ping();
      case 'cancel': {
        const { id: other } = this.#checked('cancel', args);
        const wasFollowed = this.#endFollow(other);
        return { cancelled: wasFollowed };
      }
    }
  }

  #checked<K extends keyof typeof schemas>(op: K, args: unknown): Type.Static<(typeof schemas)[K]> {
    const schema = schemas[op];
    if (!Value.Check(schema, args)) {
      const first = Value.Errors(schema, args)[0];
      throw new CallRefused(
        'validation',
        `The arguments of ${op} are not valid: ${first?.instancePath ?? ''} ${first?.message ?? ''}`.trim(),
      );
    }
    const { agentId } = args as { agentId?: string };
    if (agentId !== undefined && !this.#options.isKnown(agentId))
      throw new CallRefused('not-found', `No agent ${agentId} on this orchestrator.`);
    return args as Type.Static<(typeof schemas)[K]>;
  }

  #logs(id: string, args: Type.Static<typeof schemas.logs>): unknown {
    const { agentId, tail = 100, follow = false, stream = 'all' } = args;
    if (!follow) return { lines: fitted(this.#options.logs.tail(agentId, tail, stream)) };
    if (this.#follows.size >= FOLLOWS_MAX || this.#follows.has(id))
      throw new CallRefused('overloaded', 'Too many logs are being followed.');
    const sendLines = (lines: readonly LogLine[]): void => {
      for (const piece of pieces(lines)) {
        if (!this.#options.send({ t: 'chunk', id, lines: piece, done: false })) return this.#forget(id);
      }
    };
    const end = this.#options.logs.follow(agentId, stream, sendLines);
    this.#follows.set(id, end);
    sendLines(this.#options.logs.tail(agentId, tail, stream));
    return undefined;
  }

  #endFollow(id: string): boolean {
    if (!this.#follows.has(id)) return false;
    this.#forget(id);
    this.#options.send({ t: 'chunk', id, lines: [], done: true });
    return true;
  }
  #forget(id: string): void {
    this.#follows.get(id)?.();
    this.#follows.delete(id);
  }

  #fail(id: string, error: unknown): void {
    const known = error instanceof CallRefused || error instanceof AgentCommandFailed;
    const ownCodes = new Set([
      'agent-not-running',
      'not-found',
      'validation',
      'overloaded',
      'timeout',
      'too-large',
    ]);
    const code = known ? (ownCodes.has(error.code) ? error.code : 'agent-command-failed') : 'conflict';
    const detail =
      error instanceof AgentCommandFailed && code === 'agent-command-failed'
        ? `${error.code}: ${error.message}`
        : (error as Error).message;
    this.#options.send({ t: 'answer', id, ok: false, error: { code, message: detail.slice(0, 900) } });
  }
}

/** The last lines that fit into one frame. */
function fitted(lines: readonly LogLine[]): LogLine[] {
  const kept: LogLine[] = [];
  let characters = 0;
  for (const line of lines.toReversed()) {
    characters += 2 * line.text.length + 100;
    if (characters > FRAME_CHARACTERS) break;
    kept.push(line);
  }
  return kept.toReversed();
}

function* pieces(lines: readonly LogLine[]): Generator<LogLine[]> {
  let piece: LogLine[] = [];
  let characters = 0;
  for (const line of lines) {
    if (piece.length >= CHUNK_LINES || characters > FRAME_CHARACTERS) {
      yield piece;
      piece = [];
      characters = 0;
    }
    piece.push(line);
    characters += 2 * line.text.length + 100;
  }
  if (piece.length > 0) yield piece;
}
