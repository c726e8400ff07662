/** The ring of events: what a reader that comes back is given. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { EventRing, type FleetEvent } from './event-ring.ts';

it('gives a reader exactly what it missed, or a reset, wherever it stopped and however small the ring is', () => {
  const property = fc.property(
    fc.integer({ min: 1, max: 8 }),
    fc.nat(40),
    fc.nat(45),
    (limit, published, seen) => {
      const ring = new EventRing(limit);
      ring.setIncarnation(7);
      const all: string[] = [];
      const listener = {
        customerId: null,
        types: null,
        deliver: (event: FleetEvent) => void all.push(event.id),
      };
      const leave = ring.listen(listener);
      for (let count = 0; count < published; count += 1) {
        expect(ring.publish({ type: 'x', customerId: null, data: {} }, 0)).toBe(1);
      }
      leave();
      const resumption = ring.resume(`7-${seen}`, listener);
      if (resumption.kind === 'resumed')
        expect(resumption.missed.map(({ id }) => id)).toEqual(all.slice(seen));
      else expect(seen > published || published - seen > limit).toBe(true);
      expect(ring.resume(`6-${seen}`, listener).kind).toBe('reset');
      expect(ring.resume(undefined, listener).kind).toBe('from-now');
    },
  );
  fc.assert(property, { numRuns: 500 });
});
