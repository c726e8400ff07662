/**
 * All indicators of one symbol: takes closed bars in, keeps the last values and names what they signal.
 *
 * A bad bar is counted and reported and goes into no indicator; a missing bar is counted, never filled. The saved
 * state continues bit for bit, so a restart in mid-series gives the values an undisturbed run gives.
 */
import { Atr, Macd, type PriceRange, Rsi } from '../indicators/composite.ts';
import { Bollinger, Ema, type Indicator, Roc, Sma, Wma } from '../indicators/rolling.ts';
import type { IndicatorName, Periods } from './config.ts';

export interface AnalysisView {
  readonly symbol: string;
  /** Open time of the last good bar, Unix ms; null before the first. */
  readonly bar_time: number | null;
  readonly close: number | null;
  readonly n_bars: number;
  readonly bad_bars: number;
  readonly missing_bars: number;
  /** Every configured indicator has a value. */
  readonly warm: boolean;
  /** Indicator name (with its period) → number, or null before the first defined index. */
  readonly values: Readonly<Record<string, number | null>>;
  /** What the last bar signals. */
  readonly signals: readonly string[];
}

interface SavedState {
  readonly indicators: Readonly<Record<string, unknown>>;
  readonly view: Omit<AnalysisView, 'symbol'>;
}

export class Analyst {
  readonly symbol: string;
  readonly #periods: Periods;
  readonly #overClose = new Map<string, Indicator<number, unknown>>();
  readonly #atr: Atr | undefined;
  #view: AnalysisView;

  constructor(symbol: string, names: readonly IndicatorName[], periods: Periods) {
    this.symbol = symbol;
    this.#periods = periods;
    for (const name of names) {
      const indicator = overClose(name, periods);
      if (indicator !== undefined) this.#overClose.set(name, indicator);
    }
    this.#atr = names.includes('atr') ? new Atr(periods.atr) : undefined;
    this.#view = {
      symbol,
      bar_time: null,
      close: null,
      n_bars: 0,
      bad_bars: 0,
      missing_bars: 0,
      warm: false,
      values: {},
      signals: [],
    };
  }

  get view(): AnalysisView {
    return this.#view;
  }

  /** Takes in a good bar that opened at `barTime` (Unix ms). */
  update(barTime: number, bar: PriceRange): void {
    const before = this.#view;
    const values: Record<string, number | null> = {};
    for (const [name, indicator] of this.#overClose)
      put(values, name, this.#periods, indicator.update(bar.close));
    if (this.#atr !== undefined) values[`atr_${this.#periods.atr}`] = this.#atr.update(bar);
    this.#view = {
      ...before,
      bar_time: barTime,
      close: bar.close,
      n_bars: before.n_bars + 1,
      warm: Object.values(values).every((value) => value !== null),
      values,
      signals: signalsOf(before, bar.close, values, this.#periods),
    };
  }

  /** The bar failed its checks: nothing is computed from it. */
  skipBad(): void {
    this.#view = { ...this.#view, bad_bars: this.#view.bad_bars + 1, signals: ['bad_bar'] };
  }

  /** The slot has no bar of this symbol although it traded before. */
  skipMissing(): void {
    if (this.#view.n_bars > 0)
      this.#view = { ...this.#view, missing_bars: this.#view.missing_bars + 1, signals: ['gap'] };
  }

  save(): SavedState {
    const indicators: Record<string, unknown> = {};
    for (const [name, indicator] of this.#overClose) indicators[name] = indicator.save();
    if (this.#atr !== undefined) indicators['atr'] = this.#atr.save();
    const { symbol: _, ...view } = this.#view;
    return { indicators, view };
  }

  restore(state: SavedState): void {
    for (const [name, indicator] of this.#overClose) indicator.restore(state.indicators[name]);
    this.#atr?.restore(state.indicators['atr']);
    this.#view = { symbol: this.symbol, ...state.view };
  }
}

function overClose(name: IndicatorName, periods: Periods): Indicator<number, unknown> | undefined {
  switch (name) {
    case 'sma':
      return new Sma(periods.sma);
    case 'ema':
      return new Ema(periods.ema);
    case 'wma':
      return new Wma(periods.wma);
    case 'rsi':
      return new Rsi(periods.rsi);
    case 'roc':
      return new Roc(periods.roc);
    case 'bollinger':
      return new Bollinger(periods.bollinger);
    case 'macd':
      return new Macd(periods.macd_fast, periods.macd_slow, periods.macd_signal);
    case 'atr':
      return undefined;
  }
}

function put(values: Record<string, number | null>, name: string, periods: Periods, value: unknown): void {
  if (name === 'macd') {
    const line = value as { macd: number; signal: number; histogram: number } | null;
    values['macd'] = line?.macd ?? null;
    values['macd_signal'] = line?.signal ?? null;
    values['macd_histogram'] = line?.histogram ?? null;
  } else if (name === 'bollinger') {
    const bands = value as { upper: number; middle: number; lower: number } | null;
    values['bollinger_upper'] = bands?.upper ?? null;
    values['bollinger_middle'] = bands?.middle ?? null;
    values['bollinger_lower'] = bands?.lower ?? null;
  } else {
    values[`${name}_${periods[name as 'sma']}`] = value as number | null;
  }
}

/** Crossings compare with the bar before; levels speak of this bar alone. Wilder's 70 and 30 for the RSI. */
function signalsOf(
  before: AnalysisView,
  close: number,
  values: Readonly<Record<string, number | null>>,
  periods: Periods,
): string[] {
  const signals: string[] = [];
  const crossing = (name: string, was: number | null | undefined, is: number | null | undefined): void => {
    if (was === null || was === undefined || is === null || is === undefined) return;
    if (was <= 0 && is > 0) signals.push(`${name}_up`);
    if (was >= 0 && is < 0) signals.push(`${name}_down`);
  };
  const rsi = values[`rsi_${periods.rsi}`];
  if (typeof rsi === 'number' && rsi > 70) signals.push('rsi_overbought');
  if (typeof rsi === 'number' && rsi < 30) signals.push('rsi_oversold');
  const { bollinger_upper: upper, bollinger_lower: lower } = values as {
    bollinger_upper?: number | null;
    bollinger_lower?: number | null;
  };
  if (typeof upper === 'number' && close > upper) signals.push('above_upper_band');
  if (typeof lower === 'number' && close < lower) signals.push('below_lower_band');
  crossing('macd_cross', before.values['macd_histogram'], values['macd_histogram']);
  const sma = `sma_${periods.sma}`;
  crossing('close_cross_sma', distance(before.close, before.values[sma]), distance(close, values[sma]));
  return signals;
}

function distance(close: number | null, average: number | null | undefined): number | null {
  return close === null || average === null || average === undefined ? null : close - average;
}
