/**
 * How long to wait before the next try: full jitter, so that a fleet that lost its manager does not come back in step.
 */

export const BACK_OFF_BASE_MS = 500;
export const BACK_OFF_CAP_MS = 30_000;

export class BackOff {
  readonly #fraction: () => number;
  #failures = 0;

  /** `fraction` gives numbers in [0, 1). */
  constructor(fraction: () => number) {
    this.#fraction = fraction;
  }

  /** Wait before the next try, ms: uniform in [0, min(cap, base × 2^failures)), and never below `leastMs`. */
  next(leastMs = 0): number {
    const ceiling = Math.min(BACK_OFF_CAP_MS, BACK_OFF_BASE_MS * 2 ** Math.min(this.#failures, 16));
    this.#failures += 1;
    return Math.round(leastMs + ceiling * this.#fraction());
  }

  /** The last session was a good one. */
  reset(): void {
    this.#failures = 0;
  }
}
