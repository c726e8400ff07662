/**
 * The account together with its journal: `record` changes both, `commit` puts what was recorded into the file.
 *
 * Nothing acts on an order before a durable commit. Marks of bars without orders are written but not synced: losing them to
 * a power cut repeats those bars, which changes nothing because the replay of bars is deterministic.
 */
import { Account, type AccountSnapshot } from './account.ts';
import type { TradingRecord } from './records.ts';

/** What the book needs of `RecordLog`; replaced in crash tests. */
export interface Log {
  readonly loaded: { readonly snapshot: unknown; readonly records: readonly unknown[] };
  readonly seq: number;
  readonly bytes: number;
  append(record: unknown): void;
  flush(durable: boolean): void;
  writeSnapshot(state: unknown): void;
  close(): void;
}

/** The journal is folded into a snapshot at this size, so that a portable state stays far below 1 MiB. */
const snapshotAtBytes = 196_608;
/** Kinds whose loss would change what the account did. */
const quietKinds: ReadonlySet<TradingRecord['k']> = new Set(['bar', 'acked']);

export class AccountBook {
  readonly account: Account;
  readonly #log: Log;
  #needsSync = false;

  constructor(log: Log) {
    this.#log = log;
    this.account =
      log.loaded.snapshot === undefined
        ? new Account()
        : Account.restore(log.loaded.snapshot as AccountSnapshot);
    for (const record of log.loaded.records) this.account.apply(record as TradingRecord);
  }

  get seq(): number {
    return this.#log.seq;
  }

  record(record: TradingRecord): void {
    this.account.apply(record);
    this.#log.append(record);
    if (!quietKinds.has(record.k)) this.#needsSync = true;
  }

  /** Writes everything recorded; synced when any of it matters beyond a repeatable mark. */
  commit(): void {
    this.#log.flush(this.#needsSync);
    this.#needsSync = false;
    if (this.#log.bytes > snapshotAtBytes) this.#log.writeSnapshot(this.account.snapshot());
  }

  /** Leaves a snapshot behind and closes the file; the next start reads no records. */
  close(): void {
    this.commit();
    this.#log.writeSnapshot(this.account.snapshot());
    this.#log.close();
  }
}
