/**
 * The journal of one simulated process: the promises of the journal port, and everything it does not promise.
 *
 * Appends that wait share one commit; commits complete in order. A crash loses what no commit had finished; the commit in
 * flight survives as a random prefix of whole append calls (a torn call is cut off, as a transaction or checksum would), so
 * what was never acknowledged may or may not be there. What was durable stays, always.
 *
 * Two planted bugs live here: `journal-out-of-order` completes calls in any order, and a hole in the middle survives a crash.
 */
import type { JournalRecord } from '@muster/core';
import type { Stream } from './random.ts';
import type { Schedule } from './schedule.ts';

interface Call {
  readonly id: number;
  readonly records: readonly JournalRecord[];
  readonly done: () => void;
  durable: boolean;
}

export interface JournalDiskOptions {
  readonly schedule: Schedule;
  readonly stream: Stream;
  /** Mean time of one commit, ms. */
  readonly commitMs: number;
  readonly outOfOrder: boolean;
  /** Sees records in journal order as they become durable, also when a crash turns out to have kept them. */
  readonly onDurable: (records: readonly JournalRecord[]) => void;
  readonly count: (name: string) => void;
}

export class JournalDisk {
  readonly #options: JournalDiskOptions;
  /** Durable records, first to last. */
  #durable: JournalRecord[] = [];
  #snapshot: { seq: number; text: string } | null = null;
  /** Calls not durable yet, oldest first. */
  #waiting: Call[] = [];
  #committing: readonly Call[] | null = null;
  #life = 0;
  #calls = 0;

  constructor(options: JournalDiskOptions) {
    this.#options = options;
  }

  get durableRecords(): readonly JournalRecord[] {
    return this.#durable;
  }
  /** Records on disk with no gap before them. */
  get durableSeq(): number {
    return this.#durable.length;
  }
  /** All records handed over in this life, durable or not. */
  get appendedRecords(): readonly JournalRecord[] {
    return [...this.#durable, ...this.#waiting.flatMap((call) => call.records)];
  }
  get hasUndurable(): boolean {
    return this.#waiting.length > 0;
  }

  append(records: readonly JournalRecord[], done: () => void): void {
    this.#calls += 1;
    const call: Call = { id: this.#calls, records, done, durable: false };
    this.#waiting.push(call);
    if (this.#options.outOfOrder) this.#commitAlone(call);
    else if (this.#committing === null) this.#commit();
  }

  /** State after exactly `seq` records; the caller waits until those are durable. */
  writeSnapshot(seq: number, text: string): void {
    this.#snapshot = { seq, text };
  }

  /** What a start finds: the snapshot and the records after it. */
  load(): { snapshotText: string | null; records: readonly JournalRecord[] } {
    if (this.#snapshot === null) return { snapshotText: null, records: this.#durable };
    return { snapshotText: this.#snapshot.text, records: this.#durable.slice(this.#snapshot.seq) };
  }

  /** The process or its machine died: what is not durable is lost, but for a prefix of the commit in flight. */
  crash(): void {
    this.#life += 1;
    const inFlight = this.#committing ?? [];
    const kept = this.#options.outOfOrder ? 0 : this.#options.stream.integer(inFlight.length + 1);
    if (this.#waiting.length > 0) this.#options.count('crash between append and durable');
    if (kept > 0) this.#options.count('unacknowledged append survived a crash');
    for (const call of inFlight.slice(0, kept)) this.#makeDurable(call);
    this.#waiting = [];
    this.#committing = null;
  }

  /** The data directory is gone. */
  wipe(): void {
    this.#life += 1;
    this.#durable = [];
    this.#snapshot = null;
    this.#waiting = [];
    this.#committing = null;
  }

  /** Put an older state back: everything after `seq` never happened. For the restored-backup scenario. */
  restore(seq: number): void {
    this.crash();
    this.#durable = this.#durable.slice(0, seq);
    if (this.#snapshot !== null && this.#snapshot.seq > seq) this.#snapshot = null;
  }

  /** Records that were put there by hand while the process was down. */
  adopt(records: readonly JournalRecord[]): void {
    this.#durable = [...this.#durable, ...records];
  }

  #commit(): void {
    const calls = [...this.#waiting];
    this.#committing = calls;
    const life = this.#life;
    this.#options.schedule.after(this.#commitTime(), 'commit', () => {
      if (life !== this.#life) return;
      this.#committing = null;
      this.#waiting = this.#waiting.slice(calls.length);
      for (const call of calls) this.#makeDurable(call);
      if (this.#waiting.length > 0) this.#commit();
      for (const call of calls) if (life === this.#life) call.done();
    });
  }

  #commitAlone(call: Call): void {
    const life = this.#life;
    this.#options.schedule.after(this.#commitTime(), 'commit', () => {
      if (life !== this.#life) return;
      this.#waiting = this.#waiting.filter((other) => other !== call);
      this.#makeDurable(call);
      call.done();
    });
  }

  #makeDurable(call: Call): void {
    call.durable = true;
    for (const record of call.records) this.#durable.push(record);
    this.#options.onDurable(call.records);
  }

  #commitTime(): number {
    const { stream, commitMs } = this.#options;
    const stalls = stream.chance(0.02);
    return commitMs * stream.between(0.3, 1.7) * (stalls ? 20 : 1);
  }
}
