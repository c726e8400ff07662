/**
 * The replay clock's hand: calls `step` at a chosen number of bars per second, with at most one timer and none when idle.
 *
 * The schedule is absolute, so slow steps do not add up to drift; after a long pause (a suspended machine) at most one second of
 * bars is caught up. Speed 0 runs in slices of `sliceMs` and lets the event loop breathe between them.
 */

export interface PaceHooks {
  /** Plays one bar; false when there is no more. */
  step(): Promise<boolean>;
  onEnd(): void;
  onError(error: unknown): void;
}

const sliceMs = 20;
/** Bars are played in groups when they would come more often than this. */
const tickMinMs = 20;

export class Pace {
  readonly #barsPerSecond: number;
  readonly #hooks: PaceHooks;
  #timer: NodeJS.Timeout | NodeJS.Immediate | undefined;
  #stopped = false;
  #startedAt = 0;
  #played = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(barsPerSecond: number, hooks: PaceHooks) {
    this.#barsPerSecond = barsPerSecond;
    this.#hooks = hooks;
  }

  start(): void {
    this.#startedAt = performance.now();
    this.#played = 0;
    this.#schedule();
  }

  /** Resolves when a step under way has ended; no further one begins. */
  stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== undefined) {
      clearTimeout(this.#timer as NodeJS.Timeout);
      clearImmediate(this.#timer as NodeJS.Immediate);
    }
    return this.#running;
  }

  #schedule(): void {
    if (this.#stopped) return;
    const run = (): void => {
      this.#running = this.#slice().catch((error: unknown) => {
        this.#stopped = true;
        this.#hooks.onError(error);
      });
    };
    if (this.#barsPerSecond === 0) {
      this.#timer = setImmediate(run);
      return;
    }
    const due = this.#startedAt + ((this.#played + 1) * 1000) / this.#barsPerSecond;
    this.#timer = setTimeout(run, Math.max(tickMinMs, due - performance.now()));
  }

  async #slice(): Promise<void> {
    const until = performance.now() + sliceMs;
    let budget = this.#barsPerSecond === 0 ? Number.POSITIVE_INFINITY : this.#barsDue();
    while (budget > 0 && !this.#stopped && performance.now() < until) {
      budget -= 1;
      this.#played += 1;
      if (await this.#hooks.step()) continue;
      this.#stopped = true;
      this.#hooks.onEnd();
    }
    this.#schedule();
  }

  #barsDue(): number {
    const due =
      Math.floor(((performance.now() - this.#startedAt) * this.#barsPerSecond) / 1000) - this.#played;
    const catchUp = Math.max(1, Math.ceil(this.#barsPerSecond));
    if (due <= catchUp) return due;
    this.#played += due - catchUp;
    return catchUp;
  }
}
