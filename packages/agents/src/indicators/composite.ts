/** Indicators made of others: RSI, MACD, true range and ATR. Seeds as TA-Lib (specification §5); see rolling.ts for the contract. */
import { Ema, type Indicator, Wilder } from './rolling.ts';

/** Relative strength index (Wilder 1978), first at n. Without any movement it is 0, as TA-Lib has it. */
export class Rsi implements Indicator<number, number> {
  readonly #gains: Wilder;
  readonly #losses: Wilder;
  #previous: number | null = null;

  constructor(period: number) {
    this.#gains = new Wilder(period);
    this.#losses = new Wilder(period);
  }
  update(value: number): number | null {
    const previous = this.#previous;
    this.#previous = value;
    if (previous === null) return null;
    const change = value - previous;
    const gain = this.#gains.update(Math.max(change, 0));
    const loss = this.#losses.update(Math.max(-change, 0));
    if (gain === null || loss === null) return null;
    return gain + loss === 0 ? 0 : 100 * (gain / (gain + loss));
  }
  save(): unknown {
    return { gains: this.#gains.save(), losses: this.#losses.save(), previous: this.#previous };
  }
  restore(state: unknown): void {
    const { gains, losses, previous } = state as { gains: unknown; losses: unknown; previous: number | null };
    this.#gains.restore(gains);
    this.#losses.restore(losses);
    this.#previous = previous;
  }
}

export interface MacdValue {
  readonly macd: number;
  readonly signal: number;
  readonly histogram: number;
}

/**
 * MACD: fast EMA - slow EMA, and the EMA of that. The fast EMA is seeded with the mean of the `fast` bars that end where
 * the slow one is seeded, so both begin at index slow-1; line and signal are shown from slow+signal-2 (33 for 12, 26, 9).
 */
export class Macd implements Indicator<number, MacdValue> {
  readonly #fast: Ema;
  readonly #slow: Ema;
  readonly #signal: Ema;
  readonly #skip: number;
  #seen = 0;

  constructor(fast: number, slow: number, signal: number) {
    this.#fast = new Ema(fast);
    this.#slow = new Ema(slow);
    this.#signal = new Ema(signal);
    this.#skip = slow - fast;
  }
  update(value: number): MacdValue | null {
    this.#seen += 1;
    const fast = this.#seen > this.#skip ? this.#fast.update(value) : null;
    const slow = this.#slow.update(value);
    if (fast === null || slow === null) return null;
    const macd = fast - slow;
    const signal = this.#signal.update(macd);
    return signal === null ? null : { macd, signal, histogram: macd - signal };
  }
  save(): unknown {
    return {
      fast: this.#fast.save(),
      slow: this.#slow.save(),
      signal: this.#signal.save(),
      seen: Math.min(this.#seen, this.#skip),
    };
  }
  restore(state: unknown): void {
    const { fast, slow, signal, seen } = state as {
      fast: unknown;
      slow: unknown;
      signal: unknown;
      seen: number;
    };
    this.#fast.restore(fast);
    this.#slow.restore(slow);
    this.#signal.restore(signal);
    this.#seen = seen;
  }
}

export interface PriceRange {
  readonly high: number;
  readonly low: number;
  readonly close: number;
}

/** True range, max(h-l, |h-c'|, |l-c'|), first at 1. */
export class TrueRange implements Indicator<PriceRange, number> {
  #previous: number | null = null;

  update({ high, low, close }: PriceRange): number | null {
    const previous = this.#previous;
    this.#previous = close;
    if (previous === null) return null;
    return Math.max(high - low, Math.abs(high - previous), Math.abs(low - previous));
  }
  save(): unknown {
    return this.#previous;
  }
  restore(state: unknown): void {
    this.#previous = state as number | null;
  }
}

/** Average true range: Wilder's average of the true range, first at n. */
export class Atr implements Indicator<PriceRange, number> {
  readonly #range = new TrueRange();
  readonly #average: Wilder;

  constructor(period: number) {
    this.#average = new Wilder(period);
  }
  update(bar: PriceRange): number | null {
    const range = this.#range.update(bar);
    return range === null ? null : this.#average.update(range);
  }
  save(): unknown {
    return { range: this.#range.save(), average: this.#average.save() };
  }
  restore(state: unknown): void {
    const { range, average } = state as { range: unknown; average: unknown };
    this.#range.restore(range);
    this.#average.restore(average);
  }
}
