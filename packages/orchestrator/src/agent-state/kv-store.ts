/**
 * Durable key-value state of one agent: an append log in its state directory, so it travels with the portable state.
 *
 * One line per change: CRC-32 of the rest in hex, a blank, and `{"k":key,"v":value}` or `{"k":key,"d":1}`. An answer is given only
 * after fdatasync; changes that arrive while one sync runs share the next. A line torn by a crash can only be the last one and
 * is cut off at opening; damage anywhere else refuses the store, because guessing would bring back old values. The log is
 * rewritten when most of it is dead. Values are kept as JSON text, so nothing here is aliased with the caller.
 */
import { existsSync, readFileSync, renameSync, truncateSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { AGENT_PORTABLE_STATE_MAX_BYTES, AGENT_STATE_VALUE_MAX_BYTES } from '@muster/contract';

export const KV_FILE = 'kv.log';
const REWRITE_FROM_BYTES = 262_144;

export class StateRefusal extends Error {
  override readonly name = 'StateRefusal';
  readonly code: 'value-too-large' | 'state-too-large' | 'state-damaged' | 'store-failed';
  constructor(code: StateRefusal['code'], message: string) {
    super(message);
    this.code = code;
  }
}

interface Change {
  readonly line: string;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class KeyValueStore {
  readonly #path: string;
  readonly #values = new Map<string, string>();
  #liveBytes = 0;
  #fileBytes = 0;
  #rewriteDue: boolean;
  #file: FileHandle | null = null;
  #queue: Change[] = [];
  #writing: Promise<void> | null = null;
  #failed: StateRefusal | null = null;

  /**
   * Reads what is there. A damaged log is told at each request. `afterFailure`: a failed sync leaves it unknown what is on
   * disk, so the first change writes a whole new file.
   */
  constructor(stateDir: string, afterFailure = false) {
    this.#path = join(stateDir, KV_FILE);
    this.#rewriteDue = afterFailure;
    if (existsSync(this.#path)) this.#load();
  }

  /** It refuses everything; opened anew it may work again. */
  get hasFailed(): boolean {
    return this.#failed !== null;
  }

  /** The value, or null when there is none. @throws StateRefusal */
  get(key: string): unknown {
    if (this.#failed !== null) throw this.#failed;
    const text = this.#values.get(key);
    return text === undefined ? null : (JSON.parse(text) as unknown);
  }

  /** Resolves once durable. @throws StateRefusal */
  put(key: string, value: unknown): Promise<void> {
    const text = JSON.stringify(value ?? null);
    if (Buffer.byteLength(text) > AGENT_STATE_VALUE_MAX_BYTES) {
      return Promise.reject(
        new StateRefusal(
          'value-too-large',
          `A value has at most ${AGENT_STATE_VALUE_MAX_BYTES} bytes of JSON.`,
        ),
      );
    }
    const size = entryBytes(key, text);
    if (this.#liveBytes - this.#bytesOf(key) + size > AGENT_PORTABLE_STATE_MAX_BYTES) {
      return Promise.reject(
        new StateRefusal(
          'state-too-large',
          `All values together have at most ${AGENT_PORTABLE_STATE_MAX_BYTES} bytes.`,
        ),
      );
    }
    return this.#change(`{"k":${JSON.stringify(key)},"v":${text}}`, () => this.#set(key, text));
  }

  /** Resolves once durable; removing what is absent succeeds. @throws StateRefusal */
  delete(key: string): Promise<void> {
    if (this.#failed === null && !this.#values.has(key)) return Promise.resolve();
    return this.#change(`{"k":${JSON.stringify(key)},"d":1}`, () => this.#remove(key));
  }

  /** Waits for what was asked and lets go of the file. */
  async close(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
    await this.#file?.close();
    this.#file = null;
  }

  #bytesOf(key: string): number {
    const text = this.#values.get(key);
    return text === undefined ? 0 : entryBytes(key, text);
  }
  #set(key: string, text: string): void {
    this.#liveBytes += entryBytes(key, text) - this.#bytesOf(key);
    this.#values.set(key, text);
  }
  #remove(key: string): void {
    this.#liveBytes -= this.#bytesOf(key);
    this.#values.delete(key);
  }

  #load(): void {
    const bytes = readFileSync(this.#path);
    let start = 0;
    while (start < bytes.length) {
      const newline = bytes.indexOf(10, start);
      const end = newline === -1 ? bytes.length : newline;
      const taken = newline !== -1 && this.#take(bytes.subarray(start, end));
      if (!taken) {
        const isLast = newline === -1 || newline === bytes.length - 1;
        if (isLast) truncateSync(this.#path, start);
        else
          this.#failed = new StateRefusal(
            'state-damaged',
            `The state file ${this.#path} is damaged at byte ${start}.`,
          );
        break;
      }
      start = end + 1;
    }
    this.#fileBytes = start;
  }

  #take(line: Buffer): boolean {
    const text = line.toString('utf8');
    if (text.slice(0, 8) !== checksum(text.slice(9)) || text[8] !== ' ') return false;
    const entry = JSON.parse(text.slice(9)) as { k: string; v?: unknown; d?: 1 };
    if (entry.d === 1) this.#remove(entry.k);
    else this.#set(entry.k, JSON.stringify(entry.v));
    return true;
  }

  /** Reads see a change at once; its promise settles when it is durable. */
  #change(body: string, apply: () => void): Promise<void> {
    if (this.#failed !== null) return Promise.reject(this.#failed);
    apply();
    return new Promise((resolve, reject) => {
      this.#queue.push({ line: `${checksum(body)} ${body}\n`, resolve, reject });
      this.#writing ??= this.#flush();
    });
  }

  async #flush(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      try {
        await this.#write(batch.map(({ line }) => line).join(''));
        for (const change of batch) change.resolve();
      } catch (error) {
        // What is on disk is unknown now; the next start of the agent reads it anew.
        this.#failed = new StateRefusal(
          'store-failed',
          `The state could not be written: ${(error as Error).message}`,
        );
        for (const change of [...batch, ...this.#queue]) change.reject(this.#failed);
        this.#queue = [];
      }
    }
    // Without a pause after the last look at the queue: whoever comes now starts the next round.
    this.#writing = null;
  }

  async #write(text: string): Promise<void> {
    const mostlyDead = this.#fileBytes > REWRITE_FROM_BYTES && this.#fileBytes > 3 * this.#liveBytes;
    if (mostlyDead || this.#rewriteDue) return this.#rewrite();
    const isNew = this.#file === null && !existsSync(this.#path);
    this.#file ??= await open(this.#path, 'a', 0o600);
    await this.#file.appendFile(text);
    await this.#file.datasync();
    if (isNew) await syncDirectory(dirname(this.#path));
    this.#fileBytes += Buffer.byteLength(text);
  }

  /** The whole live state in a new file; it contains the changes of the batch being written. */
  async #rewrite(): Promise<void> {
    let text = '';
    for (const [key, value] of this.#values) {
      const body = `{"k":${JSON.stringify(key)},"v":${value}}`;
      text += `${checksum(body)} ${body}\n`;
    }
    const temporary = `${this.#path}.new`;
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await this.#file?.close();
    this.#file = null;
    renameSync(temporary, this.#path);
    await syncDirectory(dirname(this.#path));
    this.#fileBytes = Buffer.byteLength(text);
    this.#rewriteDue = false;
  }
}

const entryBytes = (key: string, text: string): number =>
  Buffer.byteLength(key) + Buffer.byteLength(text) + 24;
const checksum = (text: string): string => crc32(text).toString(16).padStart(8, '0');

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
