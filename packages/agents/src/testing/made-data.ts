/** Market data made for tests: daily sessions or a five-minute grid with chosen closes. */
import { dayMs, newYorkSession } from '../market-data/calendar.ts';
import { dataSets } from '../market-data/data-sets.ts';
import type { MarketData } from '../market-data/market-data.ts';
import { type BarSeries, buildSeries, type RawBar } from '../market-data/series.ts';

export interface MadeOptions {
  readonly maxBarMove?: number;
  readonly volume?: number;
  /** Bars left out, by index. */
  readonly without?: readonly number[];
  /** Opens; the previous close when absent. */
  readonly opens?: readonly number[];
}

const firstDay = Date.UTC(2020, 0, 1);
export const gridMs = 300_000;

/** The `index`-th weekday from 2020-01-01, as `YYYY-MM-DD`. */
export function weekday(index: number): string {
  const week = Math.floor((index + 2) / 5);
  return new Date(firstDay + (index + 2 * week) * dayMs).toISOString().slice(0, 10);
}

/** One bar per weekday from 2020-01-01 (a Wednesday). */
export function dailySeries(id: string, closes: readonly number[], options: MadeOptions = {}): BarSeries {
  return make(id, closes, (index) => newYorkSession(weekday(index)), options);
}

/** One bar per five minutes from 2020-01-01T00:00Z. */
export function gridSeries(id: string, closes: readonly number[], options: MadeOptions = {}): BarSeries {
  return make(
    id,
    closes,
    (index) => ({ openAt: firstDay + index * gridMs, closeAt: firstDay + (index + 1) * gridMs }),
    options,
  );
}

export function dailyMarket(series: readonly BarSeries[]): MarketData {
  return { traits: traitsOf('equity_daily'), series, reports: new Map() };
}

function traitsOf(set: string): MarketData['traits'] {
  const traits = dataSets[set];
  if (traits === undefined) throw new Error(`no data set ${set}`);
  return traits;
}

function make(
  id: string,
  closes: readonly number[],
  span: (index: number) => { openAt: number; closeAt: number },
  options: MadeOptions,
): BarSeries {
  const bars: RawBar[] = [];
  for (const [index, close] of closes.entries()) {
    if (options.without?.includes(index) === true) continue;
    const open = options.opens?.[index] ?? closes[index - 1] ?? close;
    const high = Math.max(open, close);
    bars.push({
      ...span(index),
      open,
      high,
      low: Math.min(open, close),
      close,
      volume: options.volume ?? 1e9,
    });
  }
  return buildSeries(id, bars, { maxBarMove: options.maxBarMove ?? 10 }).series;
}

/** A wandering price path that repeats for the same seed: a linear congruential step, no library. */
export function path(seed: number, length: number, from = 100): number[] {
  let state = seed >>> 0;
  let price = from;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    price *= 1 + (state / 2 ** 32 - 0.48) * 0.03;
    return price;
  });
}
