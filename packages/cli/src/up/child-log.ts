/**
 * The log file of one child: appended to by the child itself, kept small, its last line shown when the child ends.
 *
 * The child holds the file with O_APPEND, so copying it away and truncating it loses no later line.
 */
import { closeSync, copyFileSync, fstatSync, openSync, readSync, statSync, truncateSync } from 'node:fs';
import { isRecord } from '../failure.ts';
import { printable } from '../terminal/text.ts';

const largestBytes = 10 * 1024 * 1024;
const tailBytes = 16 * 1024;

export class ChildLog {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** A descriptor for the child's output. The caller closes it. */
  open(): number {
    this.rotate();
    return openSync(this.path, 'a', 0o600);
  }

  /** Moves what has grown too large to `….1`. */
  rotate(): void {
    try {
      if (statSync(this.path).size <= largestBytes) return;
      copyFileSync(this.path, `${this.path}.1`);
      truncateSync(this.path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }

  /** The last line that says something, without its time; undefined when there is none. */
  lastLine(): string | undefined {
    const lines = this.#tail()
      .split('\n')
      .filter((line) => line.trim() !== '' && !/^\s+at /.test(line));
    const last = lines.at(-1);
    return last === undefined ? undefined : withoutTime(last);
  }

  #tail(): string {
    let descriptor: number;
    try {
      descriptor = openSync(this.path, 'r');
    } catch {
      return '';
    }
    try {
      const { size } = fstatSync(descriptor);
      const buffer = Buffer.alloc(Math.min(size, tailBytes));
      const read = readSync(descriptor, buffer, 0, buffer.length, size - buffer.length);
      return buffer.toString('utf8', 0, read);
    } finally {
      closeSync(descriptor);
    }
  }
}

/** The message of a log line, whatever its format. */
export function withoutTime(line: string): string {
  if (line.startsWith('{')) {
    try {
      const entry: unknown = JSON.parse(line);
      if (isRecord(entry) && typeof entry['msg'] === 'string') return printable(entry['msg']);
    } catch {
      // Not JSON after all.
    }
  }
  return printable(line.replace(/^\d{4}-\d\d-\d\dT\S+ +[A-Z]+ +\S+: /, '')).trim();
}
