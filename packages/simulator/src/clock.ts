/**
 * What a host believes the time to be: a boot clock that runs a little fast or slow and starts anew at every boot, and a wall
 * clock that may jump. Machines decide by the first and show the second.
 */
import type { Now } from '@muster/core';

/** Wall clock at the start of a world, Unix ms. */
export const WORLD_STARTS_AT = Date.UTC(2026, 0, 1);

export class HostClock {
  /** Seconds of this clock per second of the world. */
  readonly rate: number;
  #bootedAt = 0;
  #wallOffsetMs = 0;

  constructor(rate: number) {
    this.rate = rate;
  }

  boot(worldNow: number): void {
    this.#bootedAt = worldNow;
  }
  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  at(worldNow: number): Now {
    const mono = (worldNow - this.#bootedAt) * this.rate;
    return { mono, wall: Math.round(WORLD_STARTS_AT + worldNow + this.#wallOffsetMs) };
  }

  /** World ms until this clock has gone on by `ms`. */
  worldDelay(ms: number): number {
    return ms / this.rate;
  }
}
