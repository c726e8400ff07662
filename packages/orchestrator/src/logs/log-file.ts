/**
 * One output file of an agent with its older parts: `x.log`, `x.log.1`, `x.log.2`.
 *
 * The agent holds the file open through the keeper and the daemon cannot make it open another, so rotation copies and
 * truncates: as the descriptor is O_APPEND, the next write lands at the new end. Bytes written between the last look at the
 * file and the truncation (microseconds) can be lost; what the copy missed is fetched in rounds before. Readers keep a cursor
 * of generation and offset, so that a follower neither repeats nor misses lines across one rotation.
 */
import {
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';

export const ROTATE_AT_BYTES = 5 * 1_048_576;
/** Files kept, the living one included. */
export const FILES_KEPT = 3;
const CHUNK_BYTES = 65_536;
/** Most that is read for one tail, bytes. */
const TAIL_MAX_BYTES = 8 * 1_048_576;

export interface LogCursor {
  readonly generation: number;
  readonly offset: number;
}

export class LogFile {
  readonly path: string;
  readonly #rotateAtBytes: number;
  #generation = 0;

  constructor(path: string, rotateAtBytes = ROTATE_AT_BYTES) {
    this.path = path;
    this.#rotateAtBytes = rotateAtBytes;
  }

  /** Rotates when the file is large enough. @throws the file system's error; nothing is lost then. */
  rotateIfLarge(): boolean {
    if (sizeOf(this.path) < this.#rotateAtBytes) return false;
    const copy = `${this.path}.copy`;
    copyFileSync(this.path, copy);
    appendMissing(this.path, copy);
    for (let number = FILES_KEPT - 2; number >= 1; number -= 1) {
      if (existsSync(`${this.path}.${number}`))
        renameSync(`${this.path}.${number}`, `${this.path}.${number + 1}`);
    }
    appendMissing(this.path, copy);
    truncateSync(this.path, 0);
    renameSync(copy, `${this.path}.1`);
    this.#generation += 1;
    return true;
  }

  /** Where the file ends now. */
  end(): LogCursor {
    return { generation: this.#generation, offset: sizeOf(this.path) };
  }

  /** The last `count` whole lines, oldest first, across rotated files. */
  tail(count: number): string[] {
    let lines: string[] = [];
    let budget = TAIL_MAX_BYTES;
    for (let number = 0; number < FILES_KEPT && lines.length < count && budget > 0; number += 1) {
      const path = number === 0 ? this.path : `${this.path}.${number}`;
      const text = lastBytes(path, count - lines.length, budget);
      budget -= text.length;
      lines = [...linesOf(text), ...lines];
    }
    return count === 0 ? [] : lines.slice(-count);
  }

  /** What was written since `cursor`, at most `mostBytes` of it, cut at the end of a line where there is one. */
  since(cursor: LogCursor, mostBytes = 512 * 1024): { readonly lines: string[]; readonly next: LogCursor } {
    if (cursor.generation < this.#generation) {
      const behind = this.#generation - cursor.generation;
      const older = `${this.path}.${behind}`;
      if (behind >= FILES_KEPT || !existsSync(older))
        return { lines: [], next: { generation: this.#generation, offset: 0 } };
      const text = readRange(older, cursor.offset, mostBytes);
      const used = wholeLines(text, mostBytes);
      const atEnd = cursor.offset + used.length >= sizeOf(older) || used.length === 0;
      return {
        lines: linesOf(used),
        next: atEnd
          ? { generation: cursor.generation + 1, offset: 0 }
          : { ...cursor, offset: cursor.offset + used.length },
      };
    }
    // Somebody else emptied the file.
    const offset = sizeOf(this.path) < cursor.offset ? 0 : cursor.offset;
    const used = wholeLines(readRange(this.path, offset, mostBytes), mostBytes);
    return { lines: linesOf(used), next: { generation: this.#generation, offset: offset + used.length } };
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Up to the last newline; a single line longer than the limit is taken as it is. */
function wholeLines(bytes: Buffer, limit: number): Buffer {
  const end = bytes.lastIndexOf(10);
  if (end !== -1) return bytes.subarray(0, end + 1);
  return bytes.length >= limit ? bytes : bytes.subarray(0, 0);
}

function linesOf(bytes: Buffer): string[] {
  const lines = bytes.toString('utf8').split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

function readRange(path: string, offset: number, mostBytes: number): Buffer {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch {
    return Buffer.alloc(0);
  }
  try {
    const wanted = Math.max(0, Math.min(mostBytes, fstatSync(descriptor).size - offset));
    const bytes = Buffer.alloc(wanted);
    return bytes.subarray(0, readSync(descriptor, bytes, 0, wanted, offset));
  } finally {
    closeSync(descriptor);
  }
}

/** Enough from the end of the file to hold `count` lines, beginning at a line's beginning. */
function lastBytes(path: string, count: number, budget: number): Buffer {
  const size = sizeOf(path);
  let start = size;
  let bytes = Buffer.alloc(0);
  let newlines = 0;
  while (start > 0 && newlines <= count && bytes.length < budget) {
    const from = Math.max(0, start - CHUNK_BYTES);
    const chunk = readRange(path, from, start - from);
    for (const byte of chunk) if (byte === 10) newlines += 1;
    bytes = Buffer.concat([chunk, bytes]);
    start = from;
  }
  if (start === 0) return bytes;
  const first = bytes.indexOf(10);
  return first === -1 ? bytes : bytes.subarray(first + 1);
}

/** Appends to `copy` what `path` gained since it was copied. */
function appendMissing(path: string, copy: string): void {
  const missing = readRange(path, sizeOf(copy), ROTATE_AT_BYTES * 4);
  if (missing.length === 0) return;
  const descriptor = openSync(copy, 'a');
  try {
    writeSync(descriptor, missing);
  } finally {
    closeSync(descriptor);
  }
}
