/**
 * What can be checked about the journal's SQLite file, each check on its own: structure, version, snapshots, chain, end.
 *
 * A check answers with the first problem or `null`; whether a problem ends the start or becomes part of a report is the
 * caller's business. `damageNamed` turns SQLite's own complaints about a broken file into `JournalDamaged`, and leaves
 * complaints about the surroundings (permissions, a full disk) what they are.
 */
import { createHash } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { chainHash, type EncodedRecord, genesisHash, JournalDamaged, type JournalHead } from './journal.ts';

export const applicationId = 0x4d_55_53_54;
export const schemaVersion = 1;

/** SQLite result codes that speak of the surroundings (permissions, locks, memory, full or failing disk), not of damage. */
const environmentalCodes = new Set([3, 5, 6, 7, 8, 10, 13, 14, 23]);
const ioErrorShortRead = 522;

export interface JournalRow extends EncodedRecord {
  readonly seq: number;
  readonly hash: string;
}

interface SnapshotRow {
  readonly seq: number;
  readonly hash: string;
  readonly state: string;
  readonly digest: string;
}

/** The first record of a walk that is wrong, or how far the walk came. */
export type ChainWalk =
  | { readonly ok: true; readonly head: JournalHead; readonly count: number }
  | { readonly ok: false; readonly seq: number; readonly reason: string };

/** The first record concerned (0: the file as a whole) and what is wrong. */
export interface Problem {
  readonly seq: number;
  readonly reason: string;
}

export function checkVersion(path: string, database: DatabaseSync): void {
  const id = database.prepare('PRAGMA application_id').get()?.['application_id'];
  const version = database.prepare('PRAGMA user_version').get()?.['user_version'];
  if (id !== applicationId) throw new JournalDamaged(path, 0, 'the file is not a Muster journal');
  if (version !== schemaVersion) {
    throw new Error(
      `The journal ${path} has format ${String(version)}, this version of Muster reads format ${schemaVersion}. Start the version that wrote it.`,
    );
  }
}

export function structureProblem(database: DatabaseSync): Problem | null {
  const result = database.prepare('PRAGMA quick_check(1)').get()?.['quick_check'];
  return result === 'ok'
    ? null
    : { seq: 0, reason: `SQLite reports: ${String(result).replaceAll('\n', ' ')}` };
}

export function snapshotsProblem(database: DatabaseSync): Problem | null {
  for (const row of database
    .prepare('SELECT seq, hash, state, digest FROM snapshot ORDER BY seq')
    .iterate()) {
    const reason = snapshotProblem(database, row as unknown as SnapshotRow);
    if (reason !== null) return { seq: Number(row['seq']), reason };
  }
  return null;
}

export function newestSnapshot(path: string, database: DatabaseSync): SnapshotRow | null {
  const row = database
    .prepare('SELECT seq, hash, state, digest FROM snapshot ORDER BY seq DESC LIMIT 1')
    .get();
  if (row === undefined) return null;
  const snapshot = row as unknown as SnapshotRow;
  const reason = snapshotProblem(database, snapshot);
  if (reason !== null) throw new JournalDamaged(path, snapshot.seq, reason);
  return snapshot;
}

export function snapshotProblem(database: DatabaseSync, row: SnapshotRow): string | null {
  if (snapshotDigest(row.seq, row.hash, row.state) !== row.digest)
    return 'the snapshot does not match its digest';
  if (hashAt(database, row.seq) !== row.hash) return 'the snapshot does not belong to the record it names';
  return null;
}

export function walkToEnd(path: string, database: DatabaseSync, start: JournalHead): JournalHead {
  const select = database.prepare(
    'SELECT seq, kind, at, body, hash FROM journal WHERE seq > ? ORDER BY seq LIMIT ?',
  );
  let head = start;
  for (;;) {
    const walked = walkPage(select, head, 10_000);
    if (!walked.ok) throw new JournalDamaged(path, walked.seq, walked.reason);
    if (walked.count === 0) return head;
    head = walked.head;
  }
}

export function walkPage(select: StatementSync, from: JournalHead, limit: number): ChainWalk {
  let { seq, hash } = from;
  let count = 0;
  for (const each of select.iterate(from.seq, limit)) {
    const row = each as unknown as JournalRow;
    if (row.seq !== seq + 1) return { ok: false, seq: seq + 1, reason: 'the record is missing' };
    hash = chainHash(hash, row.seq, row);
    if (hash !== row.hash) return { ok: false, seq: row.seq, reason: 'the record does not match its hash' };
    seq = row.seq;
    count += 1;
  }
  return { ok: true, head: { seq, hash }, count };
}

export function acknowledgedProblem(
  database: DatabaseSync,
  acknowledged: JournalHead | null,
): Problem | null {
  if (acknowledged === null) return null;
  const last = lastRecord(database).seq;
  if (last < acknowledged.seq) {
    return {
      seq: last + 1,
      reason: `the file ends at record ${last}, ${acknowledged.seq} records were acknowledged`,
    };
  }
  if (hashAt(database, acknowledged.seq) !== acknowledged.hash) {
    return { seq: acknowledged.seq, reason: 'the record is not the one that was acknowledged' };
  }
  return null;
}

export function lastRecord(database: DatabaseSync): JournalHead {
  const row = database.prepare('SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1').get();
  return row === undefined
    ? { seq: 0, hash: genesisHash }
    : { seq: Number(row['seq']), hash: String(row['hash']) };
}

export function hashAt(database: DatabaseSync, seq: number): string | undefined {
  if (seq === 0) return genesisHash;
  const hash = database.prepare('SELECT hash FROM journal WHERE seq = ?').get(seq)?.['hash'];
  return hash === undefined ? undefined : String(hash);
}

export function snapshotDigest(seq: number, hash: string, state: string): string {
  return createHash('sha256').update(`${seq}\n${hash}\n`).update(state).digest('hex');
}

/** Runs `action`; what SQLite says about a broken file comes out as `JournalDamaged`. */
export function damageNamed<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    const code = (error as { errcode?: unknown }).errcode;
    if (!(error instanceof Error) || typeof code !== 'number') throw error;
    if (environmentalCodes.has(code & 0xff) && code !== ioErrorShortRead) {
      throw new Error(`The journal ${path} cannot be used: ${error.message}`, { cause: error });
    }
    throw new JournalDamaged(path, 0, `SQLite reports: ${error.message}`);
  }
}
