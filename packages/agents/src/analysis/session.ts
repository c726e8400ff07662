/**
 * One analysis over replayed history with its place and state on disk.
 *
 * A snapshot is written every `snapshotEveryBars` bars and at the end. Between two of them nothing is journaled: a killed session goes
 * back to the last snapshot and computes the same values again.
 */

import type { RecordLog } from '../journal/record-log.ts';
import type { MarketData } from '../market-data/market-data.ts';
import { indexAt, tradeClose, tradeRange } from '../market-data/series.ts';
import { Market } from '../replay/market.ts';
import { Analyst } from './analyst.ts';
import type { AnalysisConfig } from './config.ts';

const snapshotEveryBars = 100;

interface SavedSession {
  readonly hash: string;
  readonly position: number;
  readonly signalsTotal: number;
  readonly analysts: Readonly<Record<string, ReturnType<Analyst['save']>>>;
}

export class AnalysisSession {
  readonly market: Market;
  #analysts: readonly Analyst[];
  readonly #config: AnalysisConfig;
  readonly #log: RecordLog;
  #position: number;
  #signalsTotal = 0;

  /** Continues from the log's snapshot when it was made with the same configuration, else starts anew. */
  constructor(config: AnalysisConfig, data: MarketData, log: RecordLog) {
    this.#config = config;
    this.#log = log;
    this.market = new Market(data);
    this.#analysts = this.#newAnalysts();
    const saved = log.loaded.snapshot as SavedSession | undefined;
    this.#position = this.#startPosition();
    if (saved?.hash !== config.hash) return;
    this.#position = saved.position;
    this.#signalsTotal = saved.signalsTotal;
    for (const analyst of this.#analysts) {
      const state = saved.analysts[analyst.symbol];
      if (state !== undefined) analyst.restore(state);
    }
  }

  get analysts(): readonly Analyst[] {
    return this.#analysts;
  }
  /** Calendar index of the next slot. */
  get position(): number {
    return this.#position;
  }
  get length(): number {
    return this.market.calendar.openAt.length;
  }
  get signalsTotal(): number {
    return this.#signalsTotal;
  }
  /** Open time of the last slot played, Unix ms; 0 before the first. */
  get barTime(): number {
    return this.market.calendar.openAt[this.#position - 1] ?? 0;
  }

  /** Plays one slot. False when history has ended. */
  step(): boolean {
    const openAt = this.market.calendar.openAt[this.#position];
    if (openAt === undefined) return false;
    for (const [index, analyst] of this.#analysts.entries()) {
      const series = this.market.series[index];
      const bar = series === undefined ? -1 : indexAt(series, openAt);
      if (series === undefined || bar < 0) analyst.skipMissing();
      else if (series.bad[bar] === 1) analyst.skipBad();
      else {
        analyst.update(openAt, { ...tradeRange(series, bar), close: tradeClose(series, bar) });
        this.#signalsTotal += analyst.view.signals.length;
      }
    }
    this.#position += 1;
    if (this.#position % snapshotEveryBars === 0 || this.#position === this.length) this.save();
    return true;
  }

  /** Goes back to the beginning of history with fresh indicators. */
  restart(): void {
    this.#analysts = this.#newAnalysts();
    this.#position = this.#startPosition();
  }

  save(): void {
    const analysts = Object.fromEntries(this.#analysts.map((analyst) => [analyst.symbol, analyst.save()]));
    const saved: SavedSession = {
      hash: this.#config.hash,
      position: this.#position,
      signalsTotal: this.#signalsTotal,
      analysts,
    };
    this.#log.writeSnapshot(saved);
  }

  close(): void {
    this.save();
    this.#log.close();
  }

  #newAnalysts(): Analyst[] {
    return this.market.series.map(({ id }) => new Analyst(id, this.#config.indicators, this.#config.periods));
  }

  #startPosition(): number {
    const { start } = this.#config.replay;
    return start === undefined ? 0 : this.market.firstSlotAfter(Date.parse(`${start}T00:00:00Z`));
  }
}
