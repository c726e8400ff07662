import { uptime } from 'node:os';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { systemClock } from './clock.ts';

describe('the system clock', () => {
  test('shows the suspend-counting time of this machine and Unix time', () => {
    const before = { uptimeMs: uptime() * 1000, wall: Date.now() };
    const now = systemClock().now();
    const after = { uptimeMs: uptime() * 1000, wall: Date.now() };
    expect(now.mono).toBeGreaterThanOrEqual(before.uptimeMs - 10);
    expect(now.mono).toBeLessThanOrEqual(after.uptimeMs + 10);
    expect(now.wall).toBeGreaterThanOrEqual(before.wall);
    expect(now.wall).toBeLessThanOrEqual(after.wall);
  });

  test('has a finer resolution than the 10 ms of os.uptime', () => {
    const clock = systemClock();
    const seen = new Set(Array.from({ length: 1000 }, () => clock.now().mono));
    expect(seen.size).toBeGreaterThan(10);
  });

  test('never goes back, never runs ahead, and follows a suspend', () => {
    const steps = fc.array(
      fc.record({
        awakeMs: fc.double({ min: 0, max: 50, noNaN: true }),
        suspendedMs: fc.oneof(fc.constant(0), fc.nat(100_000)),
      }),
    );
    fc.assert(
      fc.property(steps, fc.nat(1000), (moves, start) => {
        let fine = 0;
        let trueMs = start + 0.5;
        const clock = systemClock({
          fineMs: () => fine,
          coarseMs: () => Math.floor(trueMs / 10) * 10,
          wallMs: () => 0,
        });
        let last = clock.now().mono;
        for (const { awakeMs, suspendedMs } of moves) {
          fine += awakeMs;
          trueMs += awakeMs + suspendedMs;
          const { mono } = clock.now();
          expect(mono).toBeGreaterThanOrEqual(last);
          expect(mono).toBeLessThanOrEqual(trueMs + 1e-6);
          if (awakeMs >= 10) expect(mono).toBeGreaterThan(trueMs - 10 - 1e-6);
          last = mono;
        }
      }),
    );
  });
});
