/**
 * The keeper's durable memory: per agent the highest epoch it ever ran, the highest it released, the local incarnation
 * and the daemon's note. It is what refuses an epoch that was given away, also after a crash of everything.
 *
 * One append-only file. A line is `<length> <crc32> <json>\n`, both numbers eight hex digits over the bytes of the JSON,
 * and the JSON carries a running number so that a missing line in the middle shows. A change is on disk (fdatasync)
 * before `put` returns, and only then may the caller act on it.
 *
 * Reading back: a last line that is cut short was never acted upon and is dropped. Everything else that does not verify
 * is damage: the keeper refuses to start, because guessing could run an agent twice. A failed fsync leaves the kernel's
 * view of the file unknown: the log then refuses every change until it could be written whole into a new file.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as zlib from 'node:zlib';

export interface AgentRecord {
  readonly agent: string;
  /** Highest epoch ever spawned; 0: none. */
  readonly ranEpoch: number;
  /** Highest epoch released; 0: none. */
  readonly releasedEpoch: number;
  /** Local incarnation of `ranEpoch`. */
  readonly sub: number;
  readonly note: string;
}

/** The file cannot be trusted. The message names file, line and what to do. */
export class RecordDamagedError extends Error {
  override readonly name = 'RecordDamagedError';
}

/** A change could not be made durable; nothing may be done that relies on it. */
export class RecordWriteError extends Error {
  override readonly name = 'RecordWriteError';
}

const PREFIX_BYTES = 18;
const NEWLINE = 0x0a;
const FORMAT_VERSION = 1;
/** The log is rewritten while running when it is larger than this and mostly history. */
const COMPACT_ABOVE_BYTES = 4 * 1024 * 1024;

function encodeLine(value: object): Buffer {
  const body = Buffer.from(JSON.stringify(value), 'utf8');
  const prefix = `${hex8(body.length)} ${hex8(zlib.crc32(body))} `;
  return Buffer.concat([Buffer.from(prefix, 'latin1'), body, Buffer.from('\n')]);
}

function hex8(value: number): string {
  return value.toString(16).padStart(8, '0');
}

/** The JSON value of one line without its newline, or null when length or checksum do not fit. */
function decodeLine(line: Buffer): unknown {
  const prefix = /^([0-9a-f]{8}) ([0-9a-f]{8}) $/.exec(line.subarray(0, PREFIX_BYTES).toString('latin1'));
  if (prefix === null) return null;
  const body = line.subarray(PREFIX_BYTES);
  if (body.length !== Number.parseInt(prefix[1] ?? '', 16)) return null;
  if (zlib.crc32(body) !== Number.parseInt(prefix[2] ?? '', 16)) return null;
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return null;
  }
}

/** Whether a tail without a newline is what an interrupted append leaves: shorter than its own prefix announces. */
function isCutShort(tail: Buffer): boolean {
  const shape = '________ ________ ';
  for (let index = 0; index < Math.min(tail.length, PREFIX_BYTES); index += 1) {
    const character = String.fromCharCode(tail[index] ?? 0);
    const fits = shape[index] === ' ' ? character === ' ' : /[0-9a-f]/.test(character);
    if (!fits) return false;
  }
  if (tail.length < PREFIX_BYTES) return true;
  const bodyBytes = Number.parseInt(tail.subarray(0, 8).toString('latin1'), 16);
  return tail.length < PREFIX_BYTES + bodyBytes;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function asRecord(value: unknown): AgentRecord | null {
  if (typeof value !== 'object' || value === null) return null;
  const { agent, ranEpoch, releasedEpoch, sub, note } = value as Partial<AgentRecord>;
  if (typeof agent !== 'string' || typeof note !== 'string') return null;
  if (!isCount(ranEpoch) || !isCount(releasedEpoch) || !isCount(sub)) return null;
  return { agent, ranEpoch, releasedEpoch, sub, note };
}

/**
 * What the bytes of a log say. Exported for the tests that cut and flip them.
 *
 * @throws RecordDamagedError when anything but an unfinished last line does not verify.
 */
export function readRecords(bytes: Buffer, file: string): Map<string, AgentRecord> {
  const damaged = (line: number): RecordDamagedError =>
    new RecordDamagedError(
      `${file} is damaged at line ${line}: starting could run an agent twice. ` +
        'Restore the file from a backup, or let the manager detach this orchestrator before moving the file away.',
    );
  const records = new Map<string, AgentRecord>();
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  let start = 0;
  let number = 0;
  while (start < end) {
    const newline = bytes.indexOf(NEWLINE, start);
    const complete = newline !== -1 && newline < end;
    const line = bytes.subarray(start, complete ? newline : end);
    const value = decodeLine(line);
    if (value === null) {
      if (!complete && isCutShort(line)) return records;
      throw damaged(number + 1);
    }
    const entry = value as { n?: unknown; v?: unknown };
    if (entry.n !== number) throw damaged(number + 1);
    if (number === 0) {
      if (entry.v !== FORMAT_VERSION) throw damaged(1);
    } else {
      const record = asRecord(value);
      if (record === null) throw damaged(number + 1);
      records.set(record.agent, record);
    }
    number += 1;
    start = complete ? newline + 1 : end;
  }
  return records;
}

/** Makes a rename or a new file in `directory` survive a power loss. */
export function syncDirectory(directory: string): void {
  const fd = fs.openSync(directory, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Replaces `file` in one step: it has the old bytes or the new ones, whenever the power goes. */
export function replaceFileDurably(file: string, bytes: Buffer): void {
  const temporary = `${file}.new`;
  const fd = fs.openSync(temporary, 'w', 0o600);
  try {
    writeAll(fd, bytes);
    fs.fsyncSync(fd);
    fs.closeSync(fd);
    fs.renameSync(temporary, file);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
  syncDirectory(path.dirname(file));
}

function writeAll(fd: number, bytes: Buffer): void {
  let written = 0;
  while (written < bytes.length) written += fs.writeSync(fd, bytes, written);
}

/** For a file that nothing is asked of any more. */
function closeQuietly(fd: number): void {
  try {
    if (fd >= 0) fs.closeSync(fd);
  } catch {
    // Its loss changes nothing.
  }
}

export class RecordLog {
  readonly #file: string;
  readonly #records: Map<string, AgentRecord>;
  #fd = -1;
  #size = 0;
  #compactedSize = 0;
  #nextNumber = 0;
  #broken: string | null = null;
  #closed = false;

  /**
   * Reads the log, or makes an empty one, and compacts it.
   *
   * @throws RecordDamagedError when the file does not verify.
   */
  constructor(file: string) {
    this.#file = file;
    let bytes: Buffer = Buffer.alloc(0);
    try {
      bytes = fs.readFileSync(file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    this.#records = readRecords(bytes, file);
    this.#compact();
  }

  get(agent: string): AgentRecord | undefined {
    return this.#records.get(agent);
  }

  all(): AgentRecord[] {
    return [...this.#records.values()];
  }

  /**
   * Makes `record` durable and current.
   *
   * @throws RecordWriteError when it is not durable; the record in memory is then unchanged.
   */
  put(record: AgentRecord): void {
    if (this.#broken !== null) this.#begin();
    const line = encodeLine({ n: this.#nextNumber, ...record });
    this.#write(line);
    try {
      fs.fdatasyncSync(this.#fd);
    } catch (error) {
      this.#fail('could not be synced to disk', error);
    }
    this.#size += line.length;
    this.#nextNumber += 1;
    this.#records.set(record.agent, record);
    if (this.#size > COMPACT_ABOVE_BYTES && this.#size > this.#compactedSize * 4) this.#compactWhileRunning();
  }

  close(): void {
    if (this.#fd >= 0) fs.closeSync(this.#fd);
    this.#fd = -1;
    this.#closed = true;
    this.#broken = `${this.#file} is closed`;
  }

  /** A full disk is survivable: the unfinished line is taken back and later changes may work again. */
  #write(line: Buffer): void {
    try {
      writeAll(this.#fd, line);
    } catch (error) {
      try {
        fs.ftruncateSync(this.#fd, this.#size);
      } catch {
        this.#fail('could not be written, nor cut back', error);
      }
      throw new RecordWriteError(`${this.#file} could not be written: ${(error as Error).message}`);
    }
  }

  #fail(what: string, error: unknown): never {
    this.#broken = `${this.#file} ${what}: ${(error as Error).message}`;
    throw new RecordWriteError(this.#broken);
  }

  /** What memory holds was durable, and nothing else was acted upon: a new file of it needs no trust in the old one. */
  #begin(): void {
    if (this.#closed) throw new RecordWriteError(`${this.#file} is closed`);
    try {
      this.#compact();
    } catch (error) {
      throw new RecordWriteError(`${this.#broken}; nor could it be rewritten: ${(error as Error).message}`);
    }
    this.#broken = null;
  }

  /** Without room for a second copy the old file goes on; it is tried again when that has doubled. */
  #compactWhileRunning(): void {
    try {
      this.#compact();
    } catch (error) {
      this.#compactedSize = Math.max(this.#compactedSize, this.#size / 2);
      if (!this.#isInPlace())
        this.#broken = `${this.#file} could not be rewritten: ${(error as Error).message}`;
    }
  }

  /** Whether the open file is still the one under its name. */
  #isInPlace(): boolean {
    try {
      return fs.fstatSync(this.#fd).ino === fs.statSync(this.#file).ino;
    } catch {
      return false;
    }
  }

  #compact(): void {
    const lines = [encodeLine({ n: 0, v: FORMAT_VERSION })];
    for (const record of this.#records.values()) lines.push(encodeLine({ n: lines.length, ...record }));
    const bytes = Buffer.concat(lines);
    replaceFileDurably(this.#file, bytes);
    const old = this.#fd;
    this.#fd = fs.openSync(this.#file, 'a');
    closeQuietly(old);
    this.#size = bytes.length;
    this.#compactedSize = bytes.length;
    this.#nextNumber = lines.length;
  }
}
