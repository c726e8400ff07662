/**
 * Incremental indicators: one value in, one value (or null before the first defined index) out.
 *
 * Definitions and seeds follow TA-Lib, whose table is the test; Bollinger follows Stock.Indicators. State is plain
 * JSON so that a restart in mid-series gives the very same next values. Windowed sums are taken anew over the window at each
 * bar: a running sum would drift, and would make the value depend on where a restart happened.
 */

export interface Indicator<In, Out> {
  /** Takes the next closed bar in; null until the indicator is warm. */
  update(input: In): Out | null;
  /** JSON-safe state; `restore` of it continues bit for bit. */
  save(): unknown;
  restore(state: unknown): void;
}

/** The newest `size` values, oldest first. */
class Window {
  readonly size: number;
  values: number[] = [];
  constructor(size: number) {
    this.size = size;
  }
  push(value: number): void {
    this.values.push(value);
    if (this.values.length > this.size) this.values.shift();
  }
  get full(): boolean {
    return this.values.length === this.size;
  }
}

function sum(values: readonly number[]): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

abstract class Windowed<Out> implements Indicator<number, Out> {
  protected readonly window: Window;
  constructor(size: number) {
    this.window = new Window(size);
  }
  update(value: number): Out | null {
    this.window.push(value);
    return this.window.full ? this.compute(this.window.values) : null;
  }
  save(): unknown {
    return [...this.window.values];
  }
  restore(state: unknown): void {
    this.window.values = [...(state as number[])];
  }
  protected abstract compute(values: readonly number[]): Out;
}

/** Simple moving average, first at index n-1. */
export class Sma extends Windowed<number> {
  protected compute(values: readonly number[]): number {
    return sum(values) / values.length;
  }
}

/** Linearly weighted moving average (newest weighs n), first at n-1. */
export class Wma extends Windowed<number> {
  protected compute(values: readonly number[]): number {
    let weighted = 0;
    for (const [index, value] of values.entries()) weighted += (index + 1) * value;
    return weighted / ((values.length * (values.length + 1)) / 2);
  }
}

/** Rate of change in per cent, 100(c/c[-n] - 1), first at n. */
export class Roc extends Windowed<number> {
  constructor(period: number) {
    super(period + 1);
  }
  protected compute(values: readonly number[]): number {
    const first = values[0] as number;
    return first === 0 ? 0 : 100 * ((values.at(-1) as number) / first - 1);
  }
}

export interface BollingerBands {
  readonly upper: number;
  readonly middle: number;
  readonly lower: number;
}

/** Bollinger bands with the population deviation (divide by n), first at n-1. */
export class Bollinger extends Windowed<BollingerBands> {
  readonly #width: number;
  constructor(period: number, width = 2) {
    super(period);
    this.#width = width;
  }
  protected compute(values: readonly number[]): BollingerBands {
    const middle = sum(values) / values.length;
    let squares = 0;
    for (const value of values) squares += (value - middle) ** 2;
    const deviation = Math.sqrt(squares / values.length);
    return { upper: middle + this.#width * deviation, middle, lower: middle - this.#width * deviation };
  }
}

/** A recursive average: seeded with the mean of the first n values (first defined at n-1), then folded value by value. */
class Recursive implements Indicator<number, number> {
  readonly #period: number;
  readonly #fold: (previous: number, value: number) => number;
  #seed: number[] = [];
  #value: number | null = null;

  constructor(period: number, fold: (previous: number, value: number) => number) {
    this.#period = period;
    this.#fold = fold;
  }
  update(value: number): number | null {
    if (this.#value !== null) {
      this.#value = this.#fold(this.#value, value);
      return this.#value;
    }
    this.#seed.push(value);
    if (this.#seed.length < this.#period) return null;
    this.#value = sum(this.#seed) / this.#period;
    this.#seed = [];
    return this.#value;
  }
  save(): unknown {
    return { seed: this.#seed, value: this.#value };
  }
  restore(state: unknown): void {
    const { seed, value } = state as { seed: number[]; value: number | null };
    this.#seed = [...seed];
    this.#value = value;
  }
}

/** Exponential moving average, k = 2/(n+1). */
export class Ema extends Recursive {
  constructor(period: number) {
    super(period, (previous, value) => previous + (2 / (period + 1)) * (value - previous));
  }
}

/** Wilder's average: (previous*(n-1) + x)/n. */
export class Wilder extends Recursive {
  constructor(period: number) {
    super(period, (previous, value) => (previous * (period - 1) + value) / period);
  }
}
