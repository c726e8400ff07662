/**
 * One symbol's closed bars, as columns, and the checks every bar passes before anything may use it.
 *
 * Two price scales are kept: the raw bar (its shape is judged) and the adjusted open and close, which alone are scored and
 * traded; `volume` is on the adjusted scale, so quantity and price always belong together. Times are Unix ms UTC; a bar is
 * known to nobody before its `closeAt`.
 */

export interface BarSeries {
  readonly id: string;
  /** Bar open times, strictly ascending. */
  readonly openAt: Float64Array;
  readonly closeAt: Float64Array;
  readonly open: Float64Array;
  readonly high: Float64Array;
  readonly low: Float64Array;
  readonly close: Float64Array;
  readonly volume: Float64Array;
  /** 1 where the bar is bad: its symbol is quarantined while the bar lies in a score window, and it is never traded on. */
  readonly bad: Uint8Array;
  /** Adjusted divided by raw price, per bar; undefined when prices are used as they are. */
  readonly adjusted?: { readonly open: Float64Array; readonly close: Float64Array };
}

/** What a file row or a venue says about one bar, before it is checked. */
export interface RawBar {
  readonly openAt: number;
  readonly closeAt: number;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
  readonly adjustedOpen?: number;
  readonly adjustedClose?: number;
}

export interface BarChecks {
  /** Largest accepted |close/previous - 1|. */
  readonly maxBarMove: number;
  /** Open times of bars whose move an operator confirmed as real. */
  readonly confirmedMoves?: ReadonlySet<number>;
}

export interface SeriesReport {
  readonly duplicates: number;
  readonly outOfOrder: number;
  readonly badBars: readonly { readonly openAt: number; readonly reason: string }[];
}

/**
 * Sorts, keeps the newest copy of duplicates and marks bad bars. Nothing is repaired, filled or left out.
 * A bad bar: a non-finite or non-positive price, high below or low above open or close, or a move beyond `maxBarMove`.
 */
export function buildSeries(
  id: string,
  rows: readonly RawBar[],
  checks: BarChecks,
): { series: BarSeries; report: SeriesReport } {
  const newest = new Map<number, RawBar>();
  let outOfOrder = 0;
  let latest = Number.NEGATIVE_INFINITY;
  for (const row of rows) {
    if (row.openAt < latest) outOfOrder += 1;
    latest = Math.max(latest, row.openAt);
    newest.set(row.openAt, row);
  }
  const bars = [...newest.values()];
  if (outOfOrder > 0) bars.sort((a, b) => a.openAt - b.openAt);
  const series = allocate(id, bars.length, bars[0]?.adjustedClose !== undefined);
  const badBars: { openAt: number; reason: string }[] = [];
  for (const [index, bar] of bars.entries()) {
    store(series, index, bar);
    const reason = badness(series, index, bar, checks);
    if (reason === undefined) continue;
    series.bad[index] = 1;
    badBars.push({ openAt: bar.openAt, reason });
  }
  return { series, report: { duplicates: rows.length - bars.length, outOfOrder, badBars } };
}

/** The close that is scored and marked: adjusted where the source has adjustments. */
export function tradeClose(series: BarSeries, index: number): number {
  return (series.adjusted?.close ?? series.close)[index] ?? Number.NaN;
}

/** The open that is traded, on the same scale as `tradeClose`. */
export function tradeOpen(series: BarSeries, index: number): number {
  return (series.adjusted?.open ?? series.open)[index] ?? Number.NaN;
}

/** High and low on the traded scale (the day's own adjustment). */
export function tradeRange(series: BarSeries, index: number): { high: number; low: number } {
  const factor =
    series.adjusted === undefined ? 1 : tradeClose(series, index) / (series.close[index] ?? Number.NaN);
  return {
    high: (series.high[index] ?? Number.NaN) * factor,
    low: (series.low[index] ?? Number.NaN) * factor,
  };
}

/** Number of bars with a close time at or before `at`. */
export function barsClosedBy(series: BarSeries, at: number): number {
  return upperBound(series.closeAt, at);
}

/** Index of the bar that opens exactly at `openAt`, or -1. */
export function indexAt(series: BarSeries, openAt: number): number {
  const index = upperBound(series.openAt, openAt) - 1;
  return index >= 0 && series.openAt[index] === openAt ? index : -1;
}

/** First index whose value is greater than `value`. */
export function upperBound(sorted: ArrayLike<number>, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function allocate(id: string, length: number, adjusted: boolean): BarSeries {
  const column = (): Float64Array => new Float64Array(length);
  const series = {
    id,
    openAt: column(),
    closeAt: column(),
    open: column(),
    high: column(),
    low: column(),
    close: column(),
    volume: column(),
    bad: new Uint8Array(length),
  };
  return adjusted ? { ...series, adjusted: { open: column(), close: column() } } : series;
}

function store(series: BarSeries, index: number, bar: RawBar): void {
  series.openAt[index] = bar.openAt;
  series.closeAt[index] = bar.closeAt;
  series.open[index] = bar.open;
  series.high[index] = bar.high;
  series.low[index] = bar.low;
  series.close[index] = bar.close;
  series.volume[index] = bar.volume;
  if (series.adjusted === undefined) return;
  series.adjusted.open[index] = bar.adjustedOpen ?? Number.NaN;
  series.adjusted.close[index] = bar.adjustedClose ?? Number.NaN;
  series.volume[index] = bar.volume * (bar.open / (bar.adjustedOpen ?? Number.NaN));
}

function badness(series: BarSeries, index: number, bar: RawBar, checks: BarChecks): string | undefined {
  const prices = [
    bar.open,
    bar.high,
    bar.low,
    bar.close,
    tradeOpen(series, index),
    tradeClose(series, index),
  ];
  if (prices.some((price) => !Number.isFinite(price) || price <= 0))
    return 'a price is not a positive number';
  if (!(bar.volume >= 0)) return 'the volume is not a number';
  if (bar.high < Math.max(bar.open, bar.close)) return 'high is below open or close';
  if (bar.low > Math.min(bar.open, bar.close)) return 'low is above open or close';
  const previous = index === 0 ? Number.NaN : tradeClose(series, index - 1);
  if (!(previous > 0) || checks.confirmedMoves?.has(bar.openAt) === true) return undefined;
  const move = Math.abs(tradeClose(series, index) / previous - 1);
  return move > checks.maxBarMove ? `moved ${(move * 100).toFixed(1)} % in one bar` : undefined;
}
