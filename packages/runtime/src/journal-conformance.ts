/**
 * What every journal implementation must do, as one suite run on each of them. Registers its tests with vitest.
 */
import { createHash } from 'node:crypto';
import type { JournalRecord } from '@muster/core';
import { canonicalJson } from '@muster/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { genesisHash, type Journal, JournalFailed } from './journal.ts';

/** A place that holds one journal and can be opened again after a close. */
export interface JournalPlace extends AsyncDisposable {
  open(): Promise<Journal>;
}

export const recordOf = (index: number): JournalRecord => ({ kind: 'counted', at: index, body: { index } });

export function journalConformance(name: string, makePlace: () => Promise<JournalPlace>): void {
  describe(`${name} as a journal`, () => {
    test('an empty journal has head 0 and nothing to load', async () => {
      await using place = await makePlace();
      const journal = await place.open();
      expect(journal.head).toEqual({ seq: 0, hash: genesisHash });
      expect(await journal.load()).toEqual({ snapshot: null, records: [] });
      expect(await journal.verify()).toEqual({ ok: true, count: 0, head: journal.head });
      await journal.close();
    });

    test('records come back numbered, in order, and unchanged after reopening', async () => {
      await using place = await makePlace();
      const journal = await place.open();
      const records = [
        {
          kind: 'placed',
          at: 1_700_000_000_123.5,
          body: { b: [1, null, 'ü\ud83d\ude00\u0000'], a: { __proto__x: 1 } },
        },
        { kind: 'ended', at: -0, body: 'text' },
        { kind: 'noted', at: 2, body: JSON.parse('{"__proto__":{"x":1}}') as unknown },
      ];
      await journal.append(records.slice(0, 2));
      await journal.append(records.slice(2));
      const { head } = journal;
      await journal.close();
      const again = await place.open();
      expect(again.head).toEqual(head);
      const loaded = await again.load();
      expect(loaded.records.map((record) => record.seq)).toEqual([1, 2, 3]);
      expect(loaded.records.map(({ kind, at, body }) => canonicalJson({ kind, at, body }))).toEqual(
        records.map((record) => canonicalJson(record)),
      );
      await again.close();
    });

    test('the hash of each record is the documented one', async () => {
      await using place = await makePlace();
      const journal = await place.open();
      await journal.append([recordOf(1), recordOf(2)]);
      let previous = genesisHash;
      for (const { seq, kind, at, body, hash } of await journal.readRecords(0, 10)) {
        previous = createHash('sha256')
          .update(previous + canonicalJson({ seq, kind, at, body }))
          .digest('hex');
        expect(hash).toBe(previous);
      }
      expect(journal.head).toEqual({ seq: 2, hash: previous });
      await journal.close();
    });

    test('concurrent appends complete in call order and each is durable when it completes', async () => {
      await using place = await makePlace();
      const journal = await place.open();
      const completed: number[] = [];
      const sizes = [1, 3, 0, 2, 1, 0, 5];
      let expectedSeq = 0;
      await Promise.all(
        sizes.map((size, index) => {
          expectedSeq += size;
          const leastSeq = expectedSeq;
          return journal.append(Array.from({ length: size }, () => recordOf(index))).then(() => {
            expect(journal.head.seq).toBeGreaterThanOrEqual(leastSeq);
            completed.push(index);
          });
        }),
      );
      expect(completed).toEqual([0, 1, 2, 3, 4, 5, 6]);
      expect((await journal.load()).records.map((record) => record.body)).toEqual(
        sizes.flatMap((size, index) => Array.from({ length: size }, () => ({ index }))),
      );
      await journal.close();
    });

    test('what the caller changes after the call does not reach the journal', async () => {
      await using place = await makePlace();
      const journal = await place.open();
      const body = { value: 1 };
      const done = journal.append([{ kind: 'counted', at: 0, body }]);
      body.value = 2;
      await done;
      const [first] = (await journal.load()).records;
      expect(first?.body).toEqual({ value: 1 });
      await journal.close();
    });

    test('loading gives the newest snapshot and only the records after it; old records stay readable', async () => {
      await using place = await makePlace();
      const journal = await place.open();
      for (let seq = 1; seq <= 9; seq += 1) {
        await journal.append([recordOf(seq)]);
        if (seq % 2 === 0) await journal.writeSnapshot(seq, { sum: seq });
      }
      await journal.close();
      const again = await place.open();
      const { snapshot, records } = await again.load();
      expect(snapshot).toEqual({ seq: 8, state: { sum: 8 } });
      expect(records.map((record) => record.seq)).toEqual([9]);
      expect((await again.readRecords(0, 3)).map((record) => record.seq)).toEqual([1, 2, 3]);
      expect((await again.readRecords(7, 100)).map((record) => record.seq)).toEqual([8, 9]);
      expect((await again.verify()).ok).toBe(true);
      await again.close();
    });

    test('a snapshot ahead of the head is refused, and the journal goes on', async () => {
      await using place = await makePlace();
      const journal = await place.open();
      await journal.append([recordOf(1)]);
      await expect(journal.writeSnapshot(2, {})).rejects.toThrow('ahead of the durable head');
      await expect(journal.writeSnapshot(1, { bad: Number.NaN })).rejects.toThrow('canonical');
      await journal.append([recordOf(2)]);
      expect(journal.head.seq).toBe(2);
      await journal.close();
    });

    test('a record that cannot be stored fails the journal for good', async () => {
      await using place = await makePlace();
      const journal = await place.open();
      const before = journal.append([recordOf(1)]);
      const bad = journal.append([{ kind: 'counted', at: 0, body: { value: Number.POSITIVE_INFINITY } }]);
      const after = journal.append([recordOf(2)]);
      const outcomes = await Promise.allSettled([before, bad, after]);
      expect(outcomes.map((outcome) => outcome.status).slice(1)).toEqual(['rejected', 'rejected']);
      await expect(journal.append([recordOf(3)])).rejects.toBeInstanceOf(JournalFailed);
      await journal.close();
    });

    test('appends made before close are durable, appends after it are refused', async () => {
      await using place = await makePlace();
      const journal = await place.open();
      const pending = Promise.all([journal.append([recordOf(1)]), journal.append([recordOf(2)])]);
      await journal.close();
      await pending;
      await expect(journal.append([recordOf(3)])).rejects.toBeInstanceOf(JournalFailed);
      const again = await place.open();
      expect((await again.load()).records).toHaveLength(2);
      await again.close();
    });

    test('any bodies survive a round trip', async () => {
      await using place = await makePlace();
      const journal = await place.open();
      await fc.assert(
        fc.asyncProperty(fc.array(fc.jsonValue(), { minLength: 1, maxLength: 5 }), async (bodies) => {
          const afterSeq = journal.head.seq;
          await journal.append(bodies.map((body) => ({ kind: 'any', at: 0, body })));
          const read = await journal.readRecords(afterSeq, bodies.length);
          expect(read.map((record) => canonicalJson(record.body))).toEqual(
            bodies.map((body) => canonicalJson(body)),
          );
        }),
        { numRuns: 30 },
      );
      expect((await journal.verify()).ok).toBe(true);
      await journal.close();
    });
  });
}
