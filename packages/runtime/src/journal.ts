/**
 * The journal port: an ordered, durable, hash-chained list of records with snapshots beside it.
 *
 * Promises every implementation keeps (one conformance suite checks them):
 * - `append` resolves only when its records survive a power cut, and appends resolve in the order they were called.
 *   Calls that wait at the same time share one commit.
 * - Records are numbered 1, 2, 3 … without a gap. Record n carries `hash_n = sha256(hash_{n-1} + canonical JSON of
 *   {seq, kind, at, body})`, starting from 64 zeros, so an edit anywhere changes every later hash.
 * - Once an append failed, it and every later append fail: what is in memory is then ahead of what is on disk, and the
 *   only correct continuation is to end the process and start again from the journal.
 * - Damage is named (`JournalDamaged`), never repaired behind the reader's back.
 */
import { createHash } from 'node:crypto';
import type { JournalRecord } from '@muster/core';
import { canonicalJson } from '@muster/core';

/** The last durable record: its number (0 when there is none) and its chain hash in hex. */
export interface JournalHead {
  readonly seq: number;
  readonly hash: string;
}

/** A durable record with its number and chain hash (hex). */
export interface StoredRecord extends JournalRecord {
  readonly seq: number;
  readonly hash: string;
}

/** State after exactly the records 1 … seq. */
export interface StoredSnapshot {
  readonly seq: number;
  readonly state: unknown;
}

export interface JournalContents {
  readonly snapshot: StoredSnapshot | null;
  /** The records after the snapshot, in order. */
  readonly records: readonly StoredRecord[];
}

export type JournalVerdict =
  | { readonly ok: true; readonly count: number; readonly head: JournalHead }
  | { readonly ok: false; readonly seq: number; readonly reason: string };

export interface Journal {
  readonly head: JournalHead;
  /** Resolves once durable, in call order. Rejects with `JournalFailed` for good after the first failure. */
  append(records: readonly JournalRecord[]): Promise<void>;
  /** The newest snapshot and the records after it. Older records are not read. */
  load(): Promise<JournalContents>;
  /** Keep `state` as the state after record `seq` (which must be durable). The last two snapshots stay. */
  writeSnapshot(seq: number, state: unknown): Promise<void>;
  /** Up to `limit` durable records with a number above `afterSeq`, in order. */
  readRecords(afterSeq: number, limit: number): Promise<readonly StoredRecord[]>;
  /** Walk the whole chain and every snapshot. Appends go on meanwhile. */
  verify(): Promise<JournalVerdict>;
  /** Waits for the appends already made, then lets go of the store. Later calls reject. */
  close(): Promise<void>;
}

/** The hash before the first record. */
export const genesisHash = '0'.repeat(64);

/** How many snapshots are kept. */
export const keptSnapshots = 2;

/** The stored journal does not hold what was acknowledged. `seq` is the first record concerned. */
export class JournalDamaged extends Error {
  override readonly name = 'JournalDamaged';
  readonly path: string;
  readonly seq: number;
  readonly reason: string;
  readonly next: string;
  constructor(path: string, seq: number, reason: string) {
    const next =
      'Nothing was changed. Restore the newest backup into this data directory, or run `muster audit verify` to see how far the records are intact.';
    super(`The journal ${path} is damaged at record ${seq}: ${reason}. ${next}`);
    this.path = path;
    this.seq = seq;
    this.reason = reason;
    this.next = next;
  }
}

/** An append could not be made durable. Every append of this journal object fails from here on: end the process. */
export class JournalFailed extends Error {
  override readonly name = 'JournalFailed';
}

/** A record in the form that is stored and hashed: `body` is canonical JSON text. */
export interface EncodedRecord {
  readonly kind: string;
  readonly at: number;
  readonly body: string;
}

/** Encode for storing. Throws `NotCanonical` or `TypeError` on a record that could not be read back the same. */
export function encodeRecord(record: JournalRecord): EncodedRecord {
  if (!Number.isFinite(record.at)) throw new TypeError(`Record ${record.kind}: "at" must be a finite number`);
  if (record.kind === '' || !record.kind.isWellFormed() || record.kind.includes('\0')) {
    throw new TypeError('A record kind must be non-empty, well-formed text');
  }
  return { kind: record.kind, at: record.at, body: canonicalJson(record.body) };
}

/** Chain hash of a record (hex). Equals sha256(previous + canonicalJson({seq, kind, at, body})). */
export function chainHash(previous: string, seq: number, record: EncodedRecord): string {
  const text = `{"at":${JSON.stringify(record.at)},"body":${record.body},"kind":${JSON.stringify(record.kind)},"seq":${seq}}`;
  return createHash('sha256').update(previous).update(text).digest('hex');
}
