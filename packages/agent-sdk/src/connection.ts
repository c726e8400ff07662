/**
 * The agent's side of the socket: connects, splits lines, and connects again for ever.
 *
 * The daemon may restart at any time and the agent must not care, so a lost connection is normal: back-off doubles from
 * `backoffMinMs` to `backoffMaxMs` with full jitter and starts over after a connection that was welcomed. A line that is
 * too long or no JSON object ends the connection (never the agent): the peer is not speaking this protocol.
 */
import { createConnection, type Socket } from 'node:net';
import type { AgentFrame, OrchestratorToAgentFrame } from '@muster/contract';

/** Same bound as the contract's AGENT_LINE_MAX_BYTES; repeated because this package has no runtime dependency. */
export const lineMaxBytes = 1_048_576;
/** More waiting output than this and frames of no lasting value are dropped. */
const outputMaxBytes = 4 * lineMaxBytes;
const welcomeTimeoutMs = 10_000;

export interface ConnectionOptions {
  readonly path: string;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  readonly onOpen: () => void;
  readonly onFrame: (frame: OrchestratorToAgentFrame) => void;
  readonly onClose: (reason: string) => void;
}

/** Collects bytes into lines without re-scanning what was already seen. */
export class LineSplitter {
  #parts: Buffer[] = [];
  #bytes = 0;

  /** Complete lines in `chunk` and what was left before. Throws RangeError when a line exceeds `lineMaxBytes`. */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      this.#parts.push(chunk.subarray(start, end));
      this.#count(end - start);
      lines.push(
        this.#parts.length === 1
          ? chunk.toString('utf8', start, end)
          : Buffer.concat(this.#parts).toString('utf8'),
      );
      this.#parts = [];
      this.#bytes = 0;
      start = end + 1;
    }
    if (start < chunk.length) {
      this.#parts.push(chunk.subarray(start));
      this.#count(chunk.length - start);
    }
    return lines;
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > lineMaxBytes) throw new RangeError(`a line is longer than ${lineMaxBytes} bytes`);
  }
}

export class Connection {
  readonly #options: ConnectionOptions;
  #socket: Socket | undefined;
  #open = false;
  #ended = false;
  #attempt = 0;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get open(): boolean {
    return this.#open;
  }

  /** Opens the first connection and keeps one open until `end`. */
  start(): void {
    if (this.#ended) return;
    const socket = createConnection({ path: this.#options.path });
    const splitter = new LineSplitter();
    let reason = 'closed by the orchestrator';
    this.#socket = socket;
    socket.setTimeout(welcomeTimeoutMs, () => socket.destroy(new Error('no welcome in time')));
    socket.on('connect', () => {
      this.#open = true;
      this.#options.onOpen();
    });
    socket.on('data', (chunk) => {
      try {
        for (const line of splitter.push(chunk as Buffer)) this.#receive(line);
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
    socket.on('error', (error) => {
      reason = error.message;
    });
    socket.on('close', () => {
      const wasOpen = this.#open;
      this.#open = false;
      this.#socket = undefined;
      if (wasOpen) this.#options.onClose(reason);
      this.#connectLater();
    });
  }

  /** The hand-shake is through: back-off starts over and silence is allowed from now on. */
  welcomed(): void {
    this.#attempt = 0;
    this.#socket?.setTimeout(0);
  }

  /**
   * Writes one frame. False when not connected, when the line is too long for the protocol, or when `droppable` and the
   * peer does not read. Durable requests are kept by their owner and sent again after the next welcome.
   */
  send(frame: AgentFrame, droppable = false): boolean {
    const socket = this.#socket;
    if (socket === undefined || !this.#open) return false;
    if (droppable && socket.writableLength > outputMaxBytes) return false;
    const line = `${JSON.stringify(frame)}\n`;
    if (Buffer.byteLength(line) > lineMaxBytes) return false;
    socket.write(line);
    return true;
  }

  /** Flushes what was written and closes; no further connection is made. Resolves within `limitMs` in any case. */
  end(limitMs = 500): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#retry);
    const socket = this.#socket;
    if (socket === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const limit = setTimeout(() => socket.destroy(), limitMs);
      socket.once('close', () => {
        clearTimeout(limit);
        resolve();
      });
      if (this.#open) socket.end();
      else socket.destroy();
    });
  }

  #receive(line: string): void {
    if (line.trim() === '') return;
    const frame: unknown = JSON.parse(line);
    if (typeof frame !== 'object' || frame === null || typeof (frame as { t?: unknown }).t !== 'string') {
      throw new Error('a line is no frame');
    }
    this.#options.onFrame(frame as OrchestratorToAgentFrame);
  }

  #connectLater(): void {
    if (this.#ended) return;
    const ceiling = Math.min(this.#options.backoffMaxMs, this.#options.backoffMinMs * 2 ** this.#attempt);
    this.#attempt = Math.min(this.#attempt + 1, 16);
    this.#retry = setTimeout(() => this.start(), ceiling * (0.5 + Math.random() / 2));
  }
}
