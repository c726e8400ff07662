/**
 * The journal port in memory: for tests and the simulator.
 *
 * It keeps the encoded text of every record, so nothing is shared with the caller and what could not be stored on disk is
 * refused here too. Durability is visible: appends become durable one macrotask later, or, when `hold()` was called, only
 * on `release()`. `crash()` drops what was not durable, rejects its waiters and hands out a new journal over the rest,
 * which is what a restarted process would find.
 */
import { setImmediate } from 'node:timers';
import type { JournalRecord } from '@muster/core';
import { canonicalJson } from '@muster/core';
import {
  chainHash,
  type EncodedRecord,
  encodeRecord,
  genesisHash,
  type Journal,
  type JournalContents,
  JournalFailed,
  type JournalHead,
  type JournalVerdict,
  keptSnapshots,
  type StoredRecord,
} from './journal.ts';

interface Row extends EncodedRecord {
  readonly hash: string;
}

interface Waiting {
  readonly records: readonly EncodedRecord[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class MemoryJournal implements Journal {
  #rows: Row[] = [];
  #snapshots: { readonly seq: number; readonly text: string }[] = [];
  #waiting: Waiting[] = [];
  #held = false;
  #scheduled = false;
  #failure: JournalFailed | undefined;

  get head(): JournalHead {
    return { seq: this.#rows.length, hash: this.#rows.at(-1)?.hash ?? genesisHash };
  }

  append(records: readonly JournalRecord[]): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    try {
      const encoded = records.map(encodeRecord);
      return new Promise((resolve, reject) => {
        this.#waiting.push({ records: encoded, resolve, reject });
        this.#schedule();
      });
    } catch (error) {
      const failure = this.fail(error);
      return Promise.reject(failure);
    }
  }

  load(): Promise<JournalContents> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const newest = this.#snapshots.at(-1);
    const snapshot =
      newest === undefined ? null : { seq: newest.seq, state: JSON.parse(newest.text) as unknown };
    return Promise.resolve({ snapshot, records: this.#read(snapshot?.seq ?? 0, this.#rows.length) });
  }

  writeSnapshot(seq: number, state: unknown): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    try {
      const text = canonicalJson(state);
      if (!Number.isSafeInteger(seq) || seq < 0 || seq > this.head.seq) {
        throw new RangeError(`A snapshot at record ${seq} is ahead of the durable head ${this.head.seq}`);
      }
      const others = this.#snapshots.filter((snapshot) => snapshot.seq !== seq);
      this.#snapshots = [...others, { seq, text }].sort((a, b) => a.seq - b.seq).slice(-keptSnapshots);
      return Promise.resolve();
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  readRecords(afterSeq: number, limit: number): Promise<readonly StoredRecord[]> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return Promise.resolve(this.#read(afterSeq, limit));
  }

  verify(): Promise<JournalVerdict> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    let previous = genesisHash;
    for (const [index, row] of this.#rows.entries()) {
      previous = chainHash(previous, index + 1, row);
      if (previous !== row.hash)
        return Promise.resolve({ ok: false, seq: index + 1, reason: 'its hash does not match' });
    }
    return Promise.resolve({ ok: true, count: this.#rows.length, head: this.head });
  }

  close(): Promise<void> {
    this.#held = false;
    this.#commit();
    this.#failure ??= new JournalFailed('The journal is closed');
    return Promise.resolve();
  }

  /** From now on appends stay undurable until `release()`. */
  hold(): void {
    this.#held = true;
  }

  /** Make the oldest `calls` waiting appends durable (all of them when not given). A held journal stays held. */
  release(calls: number = this.#waiting.length): void {
    this.#commit(calls);
  }

  /** How many append calls wait for durability. */
  get undurableCalls(): number {
    return this.#waiting.length;
  }

  /** Let every waiting and later append fail, as a full or broken disk does. */
  fail(cause: unknown): JournalFailed {
    this.#failure ??= new JournalFailed('The journal could not be written', { cause });
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of waiting) each.reject(this.#failure);
    return this.#failure;
  }

  /** Lose what is not durable; the returned journal holds the rest. This one fails from here on. */
  crash(): MemoryJournal {
    const survivor = new MemoryJournal();
    survivor.#rows = [...this.#rows];
    survivor.#snapshots = [...this.#snapshots];
    this.fail(new Error('crashed'));
    return survivor;
  }

  #schedule(): void {
    if (this.#held || this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (!this.#held) this.#commit();
    });
  }

  #commit(calls: number = this.#waiting.length): void {
    for (const { records, resolve } of this.#waiting.splice(0, calls)) {
      for (const record of records) {
        this.#rows.push({ ...record, hash: chainHash(this.head.hash, this.head.seq + 1, record) });
      }
      resolve();
    }
  }

  #read(afterSeq: number, limit: number): StoredRecord[] {
    return this.#rows
      .slice(Math.max(0, afterSeq), Math.max(0, afterSeq) + Math.max(0, limit))
      .map((row, index) => ({
        seq: Math.max(0, afterSeq) + index + 1,
        kind: row.kind,
        at: row.at,
        body: JSON.parse(row.body) as unknown,
        hash: row.hash,
      }));
  }
}
