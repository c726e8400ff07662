/**
 * One connection of a daemon to its keeper: requests with their replies, and exit events.
 *
 * A request that gets no reply in its time fails, but may still be carried out: the caller looks at the list before
 * asking again. When the connection ends, everything open fails with `keeper-lost`. Exits that arrive before somebody
 * listens are kept.
 */
import * as net from 'node:net';
import type {
  AgentExit,
  KeeperErrorCode,
  KeeperMessage,
  KeeperRequest,
  KeeperResult,
} from '@muster/contract';

/** The keeper's own refusals, and what can go wrong on the way to it. */
export type KeeperFailure = KeeperErrorCode | 'timeout' | 'keeper-lost' | 'start-failed';

export class KeeperError extends Error {
  override readonly name = 'KeeperError';
  readonly code: KeeperFailure;

  constructor(code: KeeperFailure, message: string) {
    super(message);
    this.code = code;
  }
}

/** A request without its id. */
export type KeeperCall = KeeperRequest extends infer Request
  ? Request extends unknown
    ? Omit<Request, 'id'>
    : never
  : never;

interface OpenCall {
  readonly resolve: (result: KeeperResult) => void;
  readonly reject: (error: KeeperError) => void;
  readonly timer: NodeJS.Timeout;
}

export class KeeperConnection {
  readonly #socket: net.Socket;
  readonly #open = new Map<number, OpenCall>();
  readonly #exitListeners = new Set<(agent: string, exit: AgentExit) => void>();
  readonly #lostListeners = new Set<() => void>();
  #unheardExits: { readonly agent: string; readonly exit: AgentExit }[] = [];
  #pending = '';
  #nextId = 1;
  #ended: 'no' | 'closed' | 'lost' = 'no';

  constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => this.#receive(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#end());
  }

  /**
   * Connects to a listening keeper.
   *
   * @throws the system's error when nothing listens there.
   */
  static connect(socketPath: string): Promise<KeeperConnection> {
    return new Promise((resolve, reject) => {
      const socket = net.connect(socketPath);
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new KeeperConnection(socket));
      });
    });
  }

  /** Sends a request. @throws KeeperError */
  call<Op extends KeeperResult['op']>(
    request: Extract<KeeperCall, { op: Op }>,
    timeoutMs: number,
  ): Promise<Extract<KeeperResult, { op: Op }>> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== 'no') {
        reject(new KeeperError('keeper-lost', 'The connection to the keeper has ended.'));
        return;
      }
      const id = this.#nextId;
      this.#nextId += 1;
      const timer = setTimeout(() => {
        this.#open.delete(id);
        reject(new KeeperError('timeout', `The keeper did not answer ${request.op} within ${timeoutMs} ms.`));
      }, timeoutMs);
      const settle = resolve as (result: KeeperResult) => void;
      this.#open.set(id, { resolve: settle, reject, timer });
      this.#socket.write(`${JSON.stringify({ ...request, id })}\n`);
    });
  }

  /** Calls back for every exit, those that came before included. Returns what takes the listener away again. */
  onExit(listener: (agent: string, exit: AgentExit) => void): () => void {
    this.#exitListeners.add(listener);
    const unheard = this.#unheardExits;
    this.#unheardExits = [];
    for (const { agent, exit } of unheard) listener(agent, exit);
    return () => this.#exitListeners.delete(listener);
  }

  /** Calls back once when the connection ends without `close` having been called; at once if it already has. */
  onLost(listener: () => void): () => void {
    if (this.#ended === 'lost') listener();
    else this.#lostListeners.add(listener);
    return () => this.#lostListeners.delete(listener);
  }

  /** Ends the connection as if the keeper had: everything open fails, and whoever listens is told that it is lost. */
  abandon(): void {
    this.#socket.destroy();
  }

  /** Ends the connection; the keeper and its agents go on. */
  close(): void {
    if (this.#ended === 'no') this.#ended = 'closed';
    this.#socket.destroy();
  }

  #receive(chunk: string): void {
    const lines = (this.#pending + chunk).split('\n');
    this.#pending = lines.pop() ?? '';
    for (const line of lines) {
      let message: KeeperMessage;
      try {
        message = JSON.parse(line) as KeeperMessage;
      } catch {
        this.#socket.destroy();
        return;
      }
      this.#take(message);
    }
  }

  #take(message: KeeperMessage): void {
    if ('event' in message) {
      if (this.#exitListeners.size === 0) this.#unheardExits.push(message);
      for (const listener of this.#exitListeners) listener(message.agent, message.exit);
      return;
    }
    const call = this.#open.get(message.id);
    if (call === undefined) return;
    this.#open.delete(message.id);
    clearTimeout(call.timer);
    if (message.ok) call.resolve(message.result);
    else call.reject(new KeeperError(message.code, message.message));
  }

  #end(): void {
    const lost = this.#ended === 'no';
    if (lost) this.#ended = 'lost';
    for (const call of this.#open.values()) {
      clearTimeout(call.timer);
      call.reject(new KeeperError('keeper-lost', 'The keeper went away before it answered.'));
    }
    this.#open.clear();
    if (!lost) return;
    for (const listener of this.#lostListeners) listener();
    this.#lostListeners.clear();
  }
}
