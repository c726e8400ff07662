/**
 * The keeper's socket: lines in, replies and exit events out.
 *
 * Every request is answered to the connection that sent it; exit events go to the one that said hello last. A
 * connection that goes away takes nothing with it: what it asked for is still done. Lines are bounded, and a
 * connection that sends what is no request, or never reads, is closed.
 */
import * as net from 'node:net';
import type {
  AgentExit,
  KEEPER_PROTOCOL_VERSION,
  KeeperErrorCode,
  KeeperMessage,
  KeeperReply,
  KeeperRequest,
  KeeperResult,
} from '@muster/contract';
import { checkRequest } from './request-check.ts';
import { RequestError, type Supervisor } from './supervisor.ts';

const PROTOCOL_VERSION: typeof KEEPER_PROTOCOL_VERSION = 1;
const MAX_LINE_CHARACTERS = 4 * 1024 * 1024;
const MAX_UNREAD_BYTES = 16 * 1024 * 1024;

export type Introduction = Omit<Extract<KeeperResult, { op: 'hello' }>, 'op' | 'v' | 'agents'>;

export interface ServerOptions {
  readonly supervisor: Supervisor;
  readonly introduction: Introduction;
  /** Called once a shutdown request has been carried out and answered. */
  readonly onShutdown: () => void;
}

export class KeeperServer {
  readonly #options: ServerOptions;
  readonly #server: net.Server;
  #listener: net.Socket | null = null;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#server = net.createServer((socket) => this.#accept(socket));
  }

  listen(socketPath: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(socketPath, () => resolve());
    });
  }

  announceExit(agent: string, exit: AgentExit): void {
    if (this.#listener !== null) send(this.#listener, { event: 'exited', agent, exit });
  }

  #accept(socket: net.Socket): void {
    let pending = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      const lines = (pending + chunk).split('\n');
      pending = lines.pop() ?? '';
      for (const line of lines) this.#receive(socket, line);
      if (pending.length > MAX_LINE_CHARACTERS) socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      if (this.#listener === socket) this.#listener = null;
    });
  }

  #receive(socket: net.Socket, line: string): void {
    const checked = checkRequest(line);
    if (checked.ok) void this.#answer(socket, checked.request);
    else if (checked.id === null) socket.destroy();
    else send(socket, failure(checked.id, 'bad-request', checked.message));
  }

  async #answer(socket: net.Socket, request: KeeperRequest): Promise<void> {
    try {
      const result = await this.#carryOut(socket, request);
      send(socket, { id: request.id, ok: true, result });
      if (request.op === 'shutdown') socket.end(() => this.#options.onShutdown());
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      send(socket, failure(request.id, error.code, error.message));
    }
  }

  async #carryOut(socket: net.Socket, request: KeeperRequest): Promise<KeeperResult> {
    const { supervisor, introduction } = this.#options;
    switch (request.op) {
      case 'hello':
        if (request.v !== PROTOCOL_VERSION) {
          throw new RequestError(
            'version',
            `The keeper speaks version ${PROTOCOL_VERSION}, not ${request.v}.`,
          );
        }
        this.#listener = socket;
        return { op: 'hello', v: PROTOCOL_VERSION, ...introduction, agents: supervisor.list() };
      case 'spawn':
        return supervisor.spawn(request);
      case 'stop':
        return supervisor.stop(request);
      case 'release':
        return supervisor.release(request);
      case 'list':
        return { op: 'list', agents: supervisor.list() };
      case 'forget':
        return supervisor.forget(request);
      case 'shutdown':
        await supervisor.shutdown(request.graceMs);
        return { op: 'shutdown' };
    }
  }
}

function failure(id: number, code: KeeperErrorCode, message: string): KeeperReply {
  return { id, ok: false, code, message };
}

function send(socket: net.Socket, message: KeeperMessage): void {
  if (socket.destroyed || !socket.writable) return;
  socket.write(`${JSON.stringify(message)}\n`);
  if (socket.writableLength > MAX_UNREAD_BYTES) socket.destroy();
}
