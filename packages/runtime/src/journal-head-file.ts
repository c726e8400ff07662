/**
 * The acknowledged head of a journal, kept in a small file beside the database.
 *
 * SQLite ends a damaged or truncated write-ahead log at the last whole transaction, without a word: to SQLite the lost
 * ones never happened. To us they were acknowledged. So after every commit, and before the acknowledgement, the head is
 * written here in place. The file is not synced per commit (the database is): after a power cut it may be older than the
 * database, never newer. A database that ends before this head has lost acknowledged records.
 *
 * One line of fixed length, `muster-head 1 <seq, 16 digits> <hash> <check>\n`, always overwritten whole. An operator who
 * accepts the loss (after restoring an older backup) deletes this file; it is made again at the next start.
 */
import { createHash } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { syncDirectory } from './atomic-file.ts';
import type { JournalHead } from './journal.ts';

const pattern = /^muster-head 1 (\d{16}) ([0-9a-f]{64}) ([0-9a-f]{8})\n$/;

export class HeadFile {
  readonly #descriptor: number;

  /** Opens or makes the file at `path` and writes `head` durably. Throws the file system's error. */
  constructor(path: string, head: JournalHead) {
    const isNew = !existsSync(path);
    this.#descriptor = openSync(path, isNew ? 'wx+' : 'r+', 0o600);
    this.write(head);
    fsyncSync(this.#descriptor);
    if (isNew) syncDirectory(dirname(path));
  }

  /** Overwrites the line. Survives the death of the process at once, a power cut after `sync`. */
  write(head: JournalHead): void {
    const line = Buffer.from(encode(head), 'latin1');
    if (writeSync(this.#descriptor, line, 0, line.length, 0) !== line.length)
      throw new Error('The head file took a short write');
  }

  sync(): void {
    fsyncSync(this.#descriptor);
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** The head in the file, `null` when there is no file, `'damaged'` when it holds something else than a head. */
export function readHeadFile(path: string): JournalHead | null | 'damaged' {
  let text: string;
  try {
    text = readFileSync(path, 'latin1');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  const match = pattern.exec(text);
  if (match === null) return 'damaged';
  const head: JournalHead = { seq: Number(match[1]), hash: String(match[2]) };
  return encode(head) === text ? head : 'damaged';
}

function encode(head: JournalHead): string {
  const body = `muster-head 1 ${String(head.seq).padStart(16, '0')} ${head.hash}`;
  return `${body} ${createHash('sha256').update(body).digest('hex').slice(0, 8)}\n`;
}
