/**
 * The two clocks of a process.
 *
 * `mono` decides: it never goes back and counts the time the machine was suspended, because a lease that ran out during
 * suspend has run out. On Linux only CLOCK_BOOTTIME does both; Node shows it as `os.uptime()`, in steps of 10 ms and at the
 * price of reading a file. `performance.now()` is fine-grained and cheap, but stands still during suspend. So the fine clock
 * runs, and is moved forward whenever the coarse one is ahead. As `os.uptime()` rounds down, the sum is never ahead of the
 * true time, and it only ever moves forward. A suspend is noticed at the latest 10 ms of waking time after it.
 */
import { uptime } from 'node:os';
import { performance } from 'node:perf_hooks';
import type { Now } from '@muster/core';

export interface Clock {
  /** `mono`: ms since boot, suspend included, never going back. `wall`: Unix ms, may jump. */
  now(): Now;
}

/** Where a clock gets its time from: ms of a fine clock, ms of a coarse clock that counts suspend, Unix ms. */
export interface TimeSources {
  fineMs(): number;
  coarseMs(): number;
  wallMs(): number;
}

const coarseEveryMs = 10;

const systemSources: TimeSources = {
  fineMs: () => performance.now(),
  coarseMs: () => uptime() * 1000,
  wallMs: () => Date.now(),
};

/** The clock of this machine. Two clocks of one machine agree within 10 ms or so, also across processes. */
export function systemClock(sources: TimeSources = systemSources): Clock {
  let comparedAtMs = sources.fineMs();
  let offsetMs = sources.coarseMs() - comparedAtMs;
  let lastMs = comparedAtMs + offsetMs;
  return {
    now() {
      const fineMs = sources.fineMs();
      if (fineMs - comparedAtMs >= coarseEveryMs) {
        comparedAtMs = fineMs;
        offsetMs = Math.max(offsetMs, sources.coarseMs() - fineMs);
      }
      lastMs = Math.max(lastMs, fineMs + offsetMs);
      return { mono: lastMs, wall: sources.wallMs() };
    },
  };
}
