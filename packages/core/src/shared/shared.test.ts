import fc from 'fast-check';
import { expect, it } from 'vitest';
import { restartDelayMs } from '../orchestrator/restart-policy.ts';
import { DueTimes } from './due-times.ts';

it('due times give what is due, earliest first, with later settings winning', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.integer({ min: 0, max: 50 }))),
      fc.integer({ min: 0, max: 60 }),
      (sets, now) => {
        const due = new DueTimes();
        const model = new Map<string, number>();
        for (const [key, at] of sets) {
          due.set(key, at);
          model.set(key, at);
        }
        expect(due.next()).toBe(Math.min(Number.POSITIVE_INFINITY, ...model.values()));
        const taken: number[] = [];
        for (let key = due.takeDue(now); key !== undefined; key = due.takeDue(now)) {
          taken.push(model.get(key) ?? -1);
          model.delete(key);
        }
        expect(taken).toEqual(taken.toSorted((a, b) => a - b));
        expect([...model.values()].every((at) => at > now)).toBe(true);
      },
    ),
  );
});

it('restarts at once after the first failure, then waits longer and longer up to a minute and a fifth', () => {
  expect(restartDelayMs(1, 0.99)).toBe(0);
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 200 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (failures, fraction) => {
        const delay = restartDelayMs(failures, fraction);
        expect(delay).toBeGreaterThanOrEqual(800);
        expect(delay).toBeLessThanOrEqual(72_000);
      },
    ),
  );
});
