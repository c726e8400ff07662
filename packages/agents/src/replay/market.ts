/** What the engine may know about prices: closed bars only, seen through the instant it asks for. */
import { buildCalendar, type Calendar } from '../market-data/calendar.ts';
import type { MarketData } from '../market-data/market-data.ts';
import { type BarSeries, barsClosedBy, indexAt, tradeClose, upperBound } from '../market-data/series.ts';
import type { MarketSlot } from '../trading/ports.ts';

export class Market {
  readonly series: readonly BarSeries[];
  readonly calendar: Calendar;
  readonly #byId: ReadonlyMap<string, BarSeries>;

  constructor(data: MarketData, kind: Calendar['kind'] = data.traits.calendar) {
    this.series = data.series;
    this.calendar = buildCalendar(kind, data.series, data.traits.intervalMs);
    this.#byId = new Map(data.series.map((series) => [series.id, series]));
  }

  /** The slot at a calendar index; undefined past the end of history. */
  slot(index: number): MarketSlot | undefined {
    const openAt = this.calendar.openAt[index];
    const closeAt = this.calendar.closeAt[index];
    if (openAt === undefined || closeAt === undefined) return undefined;
    const bars = new Map<string, number>();
    for (const series of this.series) {
      const bar = indexAt(series, openAt);
      if (bar >= 0) bars.set(series.id, bar);
    }
    return { index, openAt, closeAt, bars };
  }

  /** Index of the first slot that closes after `at`. */
  firstSlotAfter(at: number): number {
    return upperBound(this.calendar.closeAt, at);
  }

  /** Close of the last good bar closed by `at`; NaN when there is none. */
  lastClose(symbol: string, at: number): number {
    const series = this.#byId.get(symbol);
    if (series === undefined) return Number.NaN;
    for (let index = barsClosedBy(series, at) - 1; index >= 0; index -= 1) {
      if (series.bad[index] !== 1) return tradeClose(series, index);
    }
    return Number.NaN;
  }

  /** Calendar slots closed by `at` since the symbol's last bar; Infinity when it has none. */
  slotsSinceBar(symbol: string, at: number): number {
    const series = this.#byId.get(symbol);
    const bars = series === undefined ? 0 : barsClosedBy(series, at);
    if (series === undefined || bars === 0) return Number.POSITIVE_INFINITY;
    return this.firstSlotAfter(at) - this.firstSlotAfter(series.closeAt[bars - 1] as number);
  }
}
