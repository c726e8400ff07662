/**
 * The SQLite file behind the journal, synchronous: runs inside the journal's worker thread, and directly in tools that
 * verify a journal offline.
 *
 * WAL with synchronous=FULL: a commit is one fdatasync. Tables are STRICT; `journal` is append-only by trigger. At opening
 * everything that can be checked without reading the old records is checked: SQLite's own structure, the newest snapshot
 * against its digest, the chain from that snapshot to the end, and the end against the acknowledged head (see
 * journal-head-file.ts). What fails is thrown as `JournalDamaged`; nothing is created or changed before the checks passed.
 */
import { statSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import {
  chainHash,
  type EncodedRecord,
  genesisHash,
  JournalDamaged,
  type JournalHead,
  keptSnapshots,
  type StoredRecord,
} from './journal.ts';
import { HeadFile, readHeadFile } from './journal-head-file.ts';
import {
  acknowledgedProblem,
  applicationId,
  type ChainWalk,
  checkVersion,
  damageNamed,
  hashAt,
  type JournalRow,
  lastRecord,
  newestSnapshot,
  type Problem,
  schemaVersion,
  snapshotDigest,
  snapshotsProblem,
  structureProblem,
  walkPage,
  walkToEnd,
} from './journal-sqlite-checks.ts';

const busyTimeoutMs = 5000;

const schema = `
  BEGIN IMMEDIATE;
  CREATE TABLE journal (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, at REAL NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL) STRICT;
  CREATE TRIGGER journal_never_changes BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'journal records never change'); END;
  CREATE TRIGGER journal_never_shrinks BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, 'journal records are never deleted'); END;
  CREATE TABLE snapshot (seq INTEGER PRIMARY KEY, hash TEXT NOT NULL, state TEXT NOT NULL, digest TEXT NOT NULL) STRICT;
  PRAGMA application_id = ${applicationId};
  PRAGMA user_version = ${schemaVersion};
  COMMIT;`;

export class JournalStore {
  readonly #path: string;
  readonly #database: DatabaseSync;
  readonly #headFile: HeadFile | undefined;
  readonly #insert: StatementSync;
  readonly #select: StatementSync;
  #head: JournalHead;

  private constructor(path: string, database: DatabaseSync, head: JournalHead, writable: boolean) {
    this.#path = path;
    this.#database = database;
    this.#head = head;
    this.#insert = database.prepare('INSERT INTO journal (seq, kind, at, body, hash) VALUES (?, ?, ?, ?, ?)');
    this.#select = database.prepare(
      'SELECT seq, kind, at, body, hash FROM journal WHERE seq > ? ORDER BY seq LIMIT ?',
    );
    this.#headFile = writable ? new HeadFile(headPath(path), head) : undefined;
  }

  /** Opens or makes the journal. Throws `JournalDamaged`, or an `Error` naming the path when the file cannot be used. */
  static open(path: string): JournalStore {
    const acknowledged = readHeadFile(headPath(path));
    if (acknowledged === 'damaged')
      throw new JournalDamaged(path, 0, `${headPath(path)} does not hold a head`);
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    if (size === 0 && acknowledged !== null && acknowledged.seq > 0) {
      throw new JournalDamaged(
        path,
        1,
        `the file is missing or empty, ${acknowledged.seq} records were acknowledged`,
      );
    }
    return damageNamed(path, () => {
      const found = size === 0 ? null : inspect(path, acknowledged);
      const database = new DatabaseSync(path, { timeout: busyTimeoutMs });
      try {
        database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
        if (found === null) database.exec(schema);
        return new JournalStore(path, database, found ?? { seq: 0, hash: genesisHash }, true);
      } catch (error) {
        database.close();
        throw error;
      }
    });
  }

  /** Opens for verifying only: no checks at opening, no file is made. */
  static openForVerifying(path: string): JournalStore {
    return damageNamed(path, () => {
      const database = new DatabaseSync(path, { readOnly: true, timeout: busyTimeoutMs });
      try {
        checkVersion(path, database);
        return new JournalStore(path, database, lastRecord(database), false);
      } catch (error) {
        database.close();
        throw error;
      }
    });
  }

  get head(): JournalHead {
    return this.#head;
  }

  /** One transaction for all `records`; durable when it returns. Throws when not, and then nothing was stored. */
  append(records: readonly EncodedRecord[]): JournalHead {
    let { seq, hash } = this.#head;
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      for (const record of records) {
        seq += 1;
        hash = chainHash(hash, seq, record);
        this.#insert.run(seq, record.kind, record.at, record.body, hash);
      }
      this.#database.exec('COMMIT');
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
    this.#head = { seq, hash };
    this.#headFile?.write(this.#head);
    return this.#head;
  }

  writeSnapshot(seq: number, state: string): void {
    if (!Number.isSafeInteger(seq) || seq < 0 || seq > this.#head.seq) {
      throw new RangeError(`A snapshot at record ${seq} is ahead of the durable head ${this.#head.seq}`);
    }
    const hash = hashAt(this.#database, seq);
    if (hash === undefined) throw new JournalDamaged(this.#path, seq, 'the record is missing');
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      this.#database
        .prepare('INSERT OR REPLACE INTO snapshot (seq, hash, state, digest) VALUES (?, ?, ?, ?)')
        .run(seq, hash, state, snapshotDigest(seq, hash, state));
      this.#database
        .prepare('DELETE FROM snapshot WHERE seq NOT IN (SELECT seq FROM snapshot ORDER BY seq DESC LIMIT ?)')
        .run(keptSnapshots);
      this.#database.exec('COMMIT');
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
    this.#headFile?.sync();
  }

  newestSnapshot(): { readonly seq: number; readonly state: string } | null {
    return damageNamed(this.#path, () => newestSnapshot(this.#path, this.#database));
  }

  readRows(afterSeq: number, limit: number): JournalRow[] {
    return damageNamed(this.#path, () => this.#select.all(afterSeq, limit) as unknown as JournalRow[]);
  }

  /** Walks up to `limit` records after `from`. `count` 0 says that the end was reached. */
  walk(from: JournalHead, limit: number): ChainWalk {
    return walkPage(this.#select, from, limit);
  }

  /** Checks SQLite's structure and every snapshot against its digest and the chain. */
  checkStructure(): Problem | null {
    return structureProblem(this.#database) ?? snapshotsProblem(this.#database);
  }

  /** Compares the end of the chain with the acknowledged head. `null` when all is there. */
  checkAcknowledged(): Problem | null {
    const acknowledged = readHeadFile(headPath(this.#path));
    if (acknowledged === 'damaged') return { seq: 0, reason: `${headPath(this.#path)} does not hold a head` };
    return acknowledgedProblem(this.#database, acknowledged);
  }

  close(): void {
    if (this.#headFile !== undefined) {
      this.#headFile.sync();
      this.#headFile.close();
      this.#database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    }
    this.#database.close();
  }
}

/** The file that holds the acknowledged head of the journal at `path`. */
export function headPath(path: string): string {
  return `${path}.head`;
}

/** A row as the port shows it. */
export function storedRecord(row: JournalRow): StoredRecord {
  return { seq: row.seq, kind: row.kind, at: row.at, body: JSON.parse(row.body) as unknown, hash: row.hash };
}

/**
 * The head of a journal in which everything is in order, `null` for a database without tables. Looks through a read-only
 * connection: closing a writing one would fold a torn log into the database and so destroy what a rescue needs.
 */
function inspect(path: string, acknowledged: JournalHead | null): JournalHead | null {
  const database = new DatabaseSync(path, { readOnly: true, timeout: busyTimeoutMs });
  try {
    const tables = database
      .prepare("SELECT count(*) AS count FROM sqlite_schema WHERE type = 'table'")
      .get()?.['count'];
    if (tables === 0) {
      if (acknowledged === null || acknowledged.seq === 0) return null;
      throw new JournalDamaged(path, 1, `the file is empty, ${acknowledged.seq} records were acknowledged`);
    }
    checkVersion(path, database);
    const problem = structureProblem(database);
    if (problem !== null) throw new JournalDamaged(path, problem.seq, problem.reason);
    const snapshot = newestSnapshot(path, database);
    const start: JournalHead =
      snapshot === null ? { seq: 0, hash: genesisHash } : { seq: snapshot.seq, hash: snapshot.hash };
    const head = walkToEnd(path, database, start);
    const lost = acknowledgedProblem(database, acknowledged);
    if (lost !== null) throw new JournalDamaged(path, lost.seq, lost.reason);
    return head;
  } finally {
    database.close();
  }
}
