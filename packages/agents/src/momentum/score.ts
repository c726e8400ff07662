/**
 * The score of one symbol at a cut-off: a pure function of closes known by then.
 *
 * Only + - * / and sqrt on doubles, in exactly the order written here, so that every machine and every other
 * implementation gets the same bits. Do not "simplify" an expression in this file. Sources: cross-sectional 12-1 momentum
 * (Jegadeesh and Titman 1993); time-series momentum and its exponentially weighted volatility (Moskowitz, Ooi and Pedersen
 * 2012, eq. 1).
 */
import type { Calendar } from '../market-data/calendar.ts';
import { type BarSeries, barsClosedBy, tradeClose } from '../market-data/series.ts';
import { barsNeeded, type MomentumParams } from './params.ts';

type ScoreStatus = 'insufficient_history' | 'stale' | 'gap' | 'bad_data' | 'flat' | 'ok';

export interface Score {
  readonly id: string;
  readonly status: ScoreStatus;
  /** Real bars of the symbol closed by the cut-off. */
  readonly bars: number;
  /** Close of the last of them; NaN when there is none. */
  readonly close: number;
  /** Only when `ok`. */
  readonly signal?: Signal;
}

interface Signal {
  readonly rXs: number;
  readonly rTs: number;
  readonly sigma: number;
}

/** Scores a symbol at the cut-off instant `at` (the close of a calendar slot). */
export function scoreSymbol(
  series: BarSeries,
  calendar: Calendar,
  at: number,
  params: MomentumParams,
): Score {
  const bars = barsClosedBy(series, at);
  const close = bars === 0 ? Number.NaN : tradeClose(series, bars - 1);
  const window =
    calendar.kind === 'exchange'
      ? sessionWindow(series, bars, at, params)
      : gridWindow(series, bars, at, calendar.intervalMs, params);
  if (typeof window === 'string') return { id: series.id, status: window, bars, close };
  const signal = signalOf(window.closes, params);
  if (signal === 'bad_data' || window.bad) return { id: series.id, status: 'bad_data', bars, close };
  if (signal.sigma === 0) return { id: series.id, status: 'flat', bars, close };
  return { id: series.id, status: 'ok', bars, close, signal };
}

interface Window {
  readonly closes: Float64Array;
  readonly bad: boolean;
}

/** The symbol's own last bars; the newest must be the cut-off day's. */
function sessionWindow(
  series: BarSeries,
  bars: number,
  at: number,
  params: MomentumParams,
): Window | ScoreStatus {
  const need = barsNeeded(params);
  if (bars < need) return 'insufficient_history';
  if (series.closeAt[bars - 1] !== at) return 'stale';
  const closes = new Float64Array(need);
  let bad = false;
  for (let offset = 0; offset < need; offset += 1) {
    const index = bars - need + offset;
    closes[offset] = tradeClose(series, index);
    if (series.bad[index] === 1) bad = true;
  }
  return { closes, bad };
}

/** `need` grid points ending with the one that closes at the cut-off; an absent point repeats the close before it. */
function gridWindow(
  series: BarSeries,
  bars: number,
  at: number,
  intervalMs: number,
  params: MomentumParams,
): Window | ScoreStatus {
  const need = barsNeeded(params);
  const first = at - need * intervalMs;
  let index = bars - 1;
  while (index >= 0 && (series.openAt[index] as number) >= first) index -= 1;
  const closes = new Float64Array(need);
  let last = index >= 0 ? tradeClose(series, index) : Number.NaN;
  let lastBad = index >= 0 && series.bad[index] === 1;
  let known = index >= 0;
  let bad = false;
  let missing = 0;
  let trailing = 0;
  for (let point = 0; point < need; point += 1) {
    const next = index + 1;
    if (next < bars && series.openAt[next] === first + point * intervalMs) {
      index = next;
      last = tradeClose(series, index);
      lastBad = series.bad[index] === 1;
      known = true;
      trailing = 0;
    } else {
      missing += 1;
      trailing += 1;
    }
    if (!known) return 'insufficient_history';
    closes[point] = last;
    bad ||= lastBad;
  }
  if (trailing > params.maxStaleBars) return 'stale';
  if (missing / need > params.maxMissingFraction) return 'gap';
  return { closes, bad };
}

/** The three numbers of a window whose last element is the cut-off's close. */
function signalOf(closes: Float64Array, params: MomentumParams): Signal | 'bad_data' {
  const c = closes;
  for (const close of c) if (!Number.isFinite(close) || close <= 0) return 'bad_data';
  const t = c.length - 1;
  const at = (offset: number): number => c[t - offset] as number;
  const rXs = at(params.skip) / at(params.lookback) - 1;
  const rTs = at(params.trendSkip) / at(params.trendLookback) - 1;
  const d = params.centreOfMass / (1 + params.centreOfMass);
  let wt = 1;
  let sw = 0;
  let sr = 0;
  for (let i = 0; i < params.volatilityWindow; i += 1) {
    const x = at(i) / at(i + 1) - 1;
    sw += wt;
    sr += wt * x;
    wt *= d;
  }
  const m = sr / sw;
  wt = 1;
  let sq = 0;
  for (let i = 0; i < params.volatilityWindow; i += 1) {
    const e = at(i) / at(i + 1) - 1 - m;
    sq += wt * (e * e);
    wt *= d;
  }
  return { rXs, rTs, sigma: Math.sqrt(params.barsPerYear * (sq / sw)) };
}
