import { expect, test } from 'vitest';
import { JournalFailed } from './journal.ts';
import { journalConformance, recordOf } from './journal-conformance.ts';
import { MemoryJournal } from './journal-memory.ts';

journalConformance('the memory journal', () => {
  let current = new MemoryJournal();
  return Promise.resolve({
    open: () => {
      current = current.crash();
      return Promise.resolve(current);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
});

test('a held journal acknowledges nothing, and a crash loses exactly what was not released', async () => {
  const journal = new MemoryJournal();
  journal.hold();
  const first = journal.append([recordOf(1), recordOf(2)]);
  const second = journal.append([recordOf(3)]);
  expect(journal.head.seq).toBe(0);
  journal.release(1);
  await first;
  expect(journal.head.seq).toBe(2);
  const survivor = journal.crash();
  await expect(second).rejects.toBeInstanceOf(JournalFailed);
  expect((await survivor.load()).records.map((record) => record.seq)).toEqual([1, 2]);
  await survivor.append([recordOf(4)]);
  expect(survivor.head.seq).toBe(3);
});
