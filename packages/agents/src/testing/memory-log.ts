/** A journal in memory that starts from given records and keeps everything written: every prefix of it is a possible crash. */
import type { Log } from '../trading/account-book.ts';
import type { TradingRecord } from '../trading/records.ts';

export class MemoryLog implements Log {
  readonly loaded: { readonly snapshot: unknown; readonly records: readonly TradingRecord[] };
  readonly records: TradingRecord[];
  readonly bytes = 0;

  constructor(records: readonly TradingRecord[] = []) {
    this.loaded = { snapshot: undefined, records: [...records] };
    this.records = [...records];
  }

  get seq(): number {
    return this.records.length;
  }
  append(record: unknown): void {
    // Through JSON, as the file would: a record that does not survive its text form is a bug.
    this.records.push(JSON.parse(JSON.stringify(record)) as TradingRecord);
  }
  flush(): void {}
  writeSnapshot(): void {}
  close(): void {}
}
