/**
 * The agent's write-ahead journal: an append-only file of records and a snapshot beside it.
 *
 * One record per line: CRC-32 (8 hex digits) of the rest, a space, then JSON `[seq, record]`. A record counts only whole: a line cut or
 * damaged at the very end is what a crash leaves and is cut off; a damaged line with whole ones after it is damage of the
 * disk and refuses the start. A snapshot holds the state after its `seq`; it is written beside, synced and renamed, and only then the
 * journal starts over, so a crash between the two merely leaves records that the snapshot already has.
 */
import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

/** The journal cannot be trusted; a person must restore the agent's state or start a new agent. */
export class JournalDamaged extends Error {
  override readonly name = 'JournalDamaged';
}

export interface LoadedLog {
  /** Undefined when there was never one. */
  readonly snapshot: unknown;
  /** Records after the snapshot, oldest first. */
  readonly records: readonly unknown[];
  /** Bytes of a torn record that were cut off. */
  readonly tornBytes: number;
}

export class RecordLog {
  readonly #directory: string;
  readonly #fd: number;
  readonly loaded: LoadedLog;
  #seq: number;
  #lines: string[] = [];
  /** Bytes of the journal since the last snapshot. */
  #bytes: number;

  /** Opens or creates `journal.log` in `directory`. Throws `JournalDamaged` with file and line for damage. */
  constructor(directory: string) {
    mkdirSync(directory, { recursive: true });
    this.#directory = directory;
    const snapshot = readSnapshot(join(directory, 'snapshot.json'));
    const path = join(directory, 'journal.log');
    const bytes = readIfThere(path);
    const { records, seq, goodBytes } = parseLog(bytes, snapshot?.seq ?? 0, path);
    this.#fd = openSync(path, 'a', 0o600);
    if (goodBytes < bytes.length) {
      ftruncateSync(this.#fd, goodBytes);
      fdatasyncSync(this.#fd);
    }
    if (bytes.length === 0) syncDirectory(directory);
    this.#seq = seq;
    this.#bytes = goodBytes;
    this.loaded = { snapshot: snapshot?.state, records, tornBytes: bytes.length - goodBytes };
  }

  /** Sequence number of the newest record. */
  get seq(): number {
    return this.#seq;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Queues one record; it is in the file after the next `flush`. */
  append(record: unknown): void {
    this.#seq += 1;
    const body = JSON.stringify([this.#seq, record]);
    this.#lines.push(`${checksum(body)} ${body}\n`);
  }

  /** Writes what is queued; with `durable` it is on the disk when this returns. Throws when the disk refuses. */
  flush(durable: boolean): void {
    if (this.#lines.length > 0) {
      const bytes = Buffer.from(this.#lines.join(''), 'utf8');
      this.#lines = [];
      writeAll(this.#fd, bytes);
      this.#bytes += bytes.length;
    }
    if (durable) fdatasyncSync(this.#fd);
  }

  /** Makes `state` the starting point and empties the journal. Everything queued must be flushed before. */
  writeSnapshot(state: unknown): void {
    this.flush(true);
    const body = JSON.stringify({ seq: this.#seq, state });
    const temporary = join(this.#directory, 'snapshot.tmp');
    const fd = openSync(temporary, 'w', 0o600);
    writeAll(fd, Buffer.from(`${checksum(body)} ${body}\n`, 'utf8'));
    fsyncSync(fd);
    closeSync(fd);
    renameSync(temporary, join(this.#directory, 'snapshot.json'));
    syncDirectory(this.#directory);
    ftruncateSync(this.#fd, 0);
    fdatasyncSync(this.#fd);
    this.#bytes = 0;
  }

  close(): void {
    this.flush(true);
    closeSync(this.#fd);
  }
}

function readSnapshot(path: string): { seq: number; state: unknown } | undefined {
  const text = readIfThere(path).toString('utf8');
  if (text === '') return undefined;
  const body = text.slice(9).trimEnd();
  if (text.slice(0, 8) !== checksum(body))
    throw new JournalDamaged(`${path} is damaged: its checksum does not match.`);
  return JSON.parse(body) as { seq: number; state: unknown };
}

function parseLog(
  bytes: Buffer,
  after: number,
  path: string,
): { records: unknown[]; seq: number; goodBytes: number } {
  const records: unknown[] = [];
  let seq = after;
  let start = 0;
  for (let line = 1; start < bytes.length; line += 1) {
    const end = bytes.indexOf(10, start);
    const entry = end === -1 ? undefined : parseLine(bytes.toString('utf8', start, end));
    if (entry === undefined) {
      if (hasWholeRecord(bytes, start + 1))
        throw new JournalDamaged(`${path} is damaged at line ${line}; whole records follow it.`);
      return { records, seq, goodBytes: start };
    }
    if (entry.seq > after) {
      if (entry.seq !== seq + 1)
        throw new JournalDamaged(`${path} has record ${entry.seq} at line ${line} where ${seq + 1} belongs.`);
      seq = entry.seq;
      records.push(entry.record);
    }
    start = end + 1;
  }
  return { records, seq, goodBytes: start };
}

/** Is there a whole record at or after `from`, be it behind a damaged line end? */
function hasWholeRecord(bytes: Buffer, from: number): boolean {
  for (let start = from; start + 10 < bytes.length; start += 1) {
    if (bytes[start + 8] !== 32 || bytes[start + 9] !== 91) continue;
    const end = bytes.indexOf(10, start);
    if (end === -1) return false;
    if (parseLine(bytes.toString('utf8', start, end)) !== undefined) return true;
  }
  return false;
}

function parseLine(line: string): { seq: number; record: unknown } | undefined {
  const body = line.slice(9);
  if (line[8] !== ' ' || line.slice(0, 8) !== checksum(body)) return undefined;
  const [seq, record] = JSON.parse(body) as [number, unknown];
  return { seq, record };
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}

function readIfThere(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let rest = bytes; rest.length > 0; ) rest = rest.subarray(writeSync(fd, rest));
}

function syncDirectory(directory: string): void {
  const fd = openSync(directory, 'r');
  fsyncSync(fd);
  closeSync(fd);
}
