/**
 * Return statistics of an account, kept as running sums so that they cost no history (Welford 1962 for the deviation).
 *
 * Equity is sampled once per UTC day of the bars (their last mark of the day). r = simple daily returns; the day that
 * is still running counts with its latest mark. Fewer than two returns or no deviation give null, never NaN.
 */

const dayMs = 86_400_000;

export interface PerformanceSnapshot {
  readonly day: number | null;
  readonly firstSample: number | null;
  readonly previousSample: number | null;
  readonly equity: number;
  readonly peak: number;
  readonly maxDrawdown: number;
  readonly count: number;
  readonly mean: number;
  readonly squares: number;
  readonly downside: number;
}

export interface PerformanceFigures {
  readonly equity: number;
  readonly peak: number;
  readonly drawdown: number;
  readonly max_drawdown: number;
  readonly total_return: number;
  readonly days: number;
  readonly sharpe: number | null;
  readonly sortino: number | null;
  readonly volatility: number | null;
  readonly cagr: number | null;
  readonly calmar: number | null;
}

export class Performance {
  readonly #initial: number;
  #day: number | null = null;
  #firstSample: number | null = null;
  #previousSample: number | null = null;
  #equity: number;
  #peak: number;
  #maxDrawdown = 0;
  #count = 0;
  #mean = 0;
  #squares = 0;
  #downside = 0;

  /** The peak starts at the initial cash. */
  constructor(initialCash: number) {
    this.#initial = initialCash;
    this.#equity = initialCash;
    this.#peak = initialCash;
  }

  static restore(initialCash: number, snapshot: PerformanceSnapshot): Performance {
    const performance = new Performance(initialCash);
    performance.#day = snapshot.day;
    performance.#firstSample = snapshot.firstSample;
    performance.#previousSample = snapshot.previousSample;
    performance.#equity = snapshot.equity;
    performance.#peak = snapshot.peak;
    performance.#maxDrawdown = snapshot.maxDrawdown;
    performance.#count = snapshot.count;
    performance.#mean = snapshot.mean;
    performance.#squares = snapshot.squares;
    performance.#downside = snapshot.downside;
    return performance;
  }

  get equity(): number {
    return this.#equity;
  }
  get drawdown(): number {
    return this.#peak > 0 ? (this.#peak - this.#equity) / this.#peak : 0;
  }
  get maxDrawdown(): number {
    return this.#maxDrawdown;
  }
  /** Equity at the end of the day before the running one; the initial cash on the first day. */
  get dayStartEquity(): number {
    return this.#previousSample ?? this.#initial;
  }

  /** Marks the account at a bar that opened at `openAt` (Unix ms). Bars come in order of time. */
  mark(openAt: number, equity: number): void {
    const day = Math.floor(openAt / dayMs);
    if (this.#day !== null && day !== this.#day) this.#closeDay();
    this.#day = day;
    this.#equity = equity;
    this.#peak = Math.max(this.#peak, equity);
    this.#maxDrawdown = Math.max(this.#maxDrawdown, this.drawdown);
  }

  /** Figures with `periodsPerYear` daily returns a year (252 or 365). Risk-free rate and minimal return are 0. */
  figures(periodsPerYear: number): PerformanceFigures {
    const { count, mean, squares, downside } = this.#withRunningDay();
    const root = Math.sqrt(periodsPerYear);
    const deviation = count >= 2 ? Math.sqrt(squares / (count - 1)) : 0;
    const below = count >= 2 ? Math.sqrt(downside / count) : 0;
    const growth = this.#firstSample === null ? 1 : this.#equity / this.#firstSample;
    const cagr = count >= 2 && growth > 0 ? growth ** (periodsPerYear / count) - 1 : null;
    return {
      equity: this.#equity,
      peak: this.#peak,
      drawdown: this.drawdown,
      max_drawdown: this.#maxDrawdown,
      total_return: this.#equity / this.#initial - 1,
      days: this.#day === null ? 0 : count + 1,
      sharpe: deviation > 0 ? (mean / deviation) * root : null,
      sortino: below > 0 ? (mean / below) * root : null,
      volatility: deviation > 0 ? deviation * root : null,
      cagr,
      calmar: cagr !== null && this.#maxDrawdown > 0 ? cagr / this.#maxDrawdown : null,
    };
  }

  snapshot(): PerformanceSnapshot {
    return {
      day: this.#day,
      firstSample: this.#firstSample,
      previousSample: this.#previousSample,
      equity: this.#equity,
      peak: this.#peak,
      maxDrawdown: this.#maxDrawdown,
      count: this.#count,
      mean: this.#mean,
      squares: this.#squares,
      downside: this.#downside,
    };
  }

  #closeDay(): void {
    const sums = this.#withRunningDay();
    this.#count = sums.count;
    this.#mean = sums.mean;
    this.#squares = sums.squares;
    this.#downside = sums.downside;
    this.#firstSample ??= this.#equity;
    this.#previousSample = this.#equity;
  }

  #withRunningDay(): { count: number; mean: number; squares: number; downside: number } {
    const sums = { count: this.#count, mean: this.#mean, squares: this.#squares, downside: this.#downside };
    if (this.#previousSample === null || this.#previousSample <= 0) return sums;
    const r = this.#equity / this.#previousSample - 1;
    const count = sums.count + 1;
    const delta = r - sums.mean;
    const mean = sums.mean + delta / count;
    return {
      count,
      mean,
      squares: sums.squares + delta * (r - mean),
      downside: sums.downside + Math.min(r, 0) ** 2,
    };
  }
}
