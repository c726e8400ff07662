import {
  copyFileSync,
  existsSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { JournalDamaged, JournalFailed } from './journal.ts';
import { journalConformance, recordOf } from './journal-conformance.ts';
import { openSqliteJournal, verifySqliteJournal } from './journal-sqlite.ts';
import { TemporaryFolder } from './temporary-folder.ts';

const suffixes = ['', '-wal', '.head'];

/** Copies the files of a journal as a crash would leave them (the shared-memory index is not durable). */
function copyJournal(from: string, to: string): void {
  for (const suffix of suffixes) {
    if (existsSync(from + suffix)) copyFileSync(from + suffix, to + suffix);
    else rmSync(to + suffix, { force: true });
  }
  rmSync(`${to}-shm`, { force: true });
}

/** What is found when the journal is opened: the numbers of its records, or the damage. */
async function find(path: string): Promise<{ seqs: number[] } | { damage: JournalDamaged }> {
  try {
    const journal = await openSqliteJournal(path);
    const found = { seqs: (await journal.readRecords(0, 1000)).map((record) => record.seq) };
    await journal.close();
    return found;
  } catch (error) {
    if (error instanceof JournalDamaged) return { damage: error };
    throw error;
  }
}

journalConformance('the SQLite journal', () => {
  const folder = new TemporaryFolder();
  return Promise.resolve({
    open: () => openSqliteJournal(folder.file('journal.db')),
    [Symbol.asyncDispose]: () => Promise.resolve(folder[Symbol.dispose]()),
  });
});

test('the file is in WAL mode with strict tables, and its records can be neither changed nor deleted', async () => {
  using folder = new TemporaryFolder();
  const journal = await openSqliteJournal(folder.file('journal.db'));
  await journal.append([recordOf(1)]);
  await journal.close();
  const database = new DatabaseSync(folder.file('journal.db'));
  expect(database.prepare('PRAGMA journal_mode').get()?.['journal_mode']).toBe('wal');
  expect(() => database.exec("UPDATE journal SET kind = 'x'")).toThrow('never change');
  expect(() => database.exec('DELETE FROM journal')).toThrow('never deleted');
  expect(() => database.exec("INSERT INTO journal VALUES (2, 'k', 'text', '{}', 'h')")).toThrow('REAL');
  database.close();
});

test('killing the thread mid-way rejects what waits and keeps everything that was acknowledged', async () => {
  using folder = new TemporaryFolder();
  for (let round = 0; round < 8; round += 1) {
    const journal = await openSqliteJournal(folder.file('journal.db'));
    const before = journal.head.seq;
    let acknowledged = before;
    const appends = Array.from({ length: 200 }, (_, index) =>
      journal.append([recordOf(index), recordOf(index)]).then(() => {
        acknowledged = Math.max(acknowledged, before + 2 * (index + 1));
      }),
    );
    const more = appends[0]?.then(() =>
      Array.from({ length: 50 }, (_, index) =>
        journal.append([recordOf(1000 + index)]).then(() => {
          acknowledged = before + 400 + index + 1;
        }),
      ),
    );
    if (round % 2 === 0) await appends[0];
    await journal.kill();
    await Promise.allSettled([...appends, ...((await more?.catch(() => [])) ?? [])]);
    await expect(journal.append([recordOf(0)])).rejects.toBeInstanceOf(JournalFailed);
    const again = await openSqliteJournal(folder.file('journal.db'));
    expect(again.head.seq).toBeGreaterThanOrEqual(acknowledged);
    expect((await again.verify()).ok).toBe(true);
    await again.close();
  }
});

describe('a journal of 60 acknowledged records that was cut or changed', () => {
  /** 40 records in the database file, 20 more only in the log, as a crash leaves it. */
  async function crashed(folder: TemporaryFolder): Promise<string> {
    const journal = await openSqliteJournal(folder.file('live.db'));
    for (let index = 1; index <= 40; index += 1) await journal.append([recordOf(index)]);
    await journal.writeSnapshot(20, { upTo: 20 });
    await journal.close();
    const again = await openSqliteJournal(folder.file('live.db'));
    for (let index = 41; index <= 60; index += 1) await again.append([recordOf(index)]);
    copyJournal(folder.file('live.db'), folder.file('crashed.db'));
    await again.close();
    return folder.file('crashed.db');
  }

  const all = Array.from({ length: 60 }, (_, index) => index + 1);

  test('is whole when nothing was cut', async () => {
    using folder = new TemporaryFolder();
    expect(await find(await crashed(folder))).toEqual({ seqs: all });
  });

  for (const suffix of ['-wal', '']) {
    test(`cut anywhere in ${suffix === '' ? 'the database file' : 'the log'}: whole or named as damaged, and left as found`, async () => {
      using folder = new TemporaryFolder();
      const original = await crashed(folder);
      const size = statSync(original + suffix).size;
      let damaged = 0;
      for (let cut = 0; cut < 40; cut += 1) {
        const path = folder.file('cut.db');
        copyJournal(original, path);
        truncateSync(path + suffix, Math.floor((size * cut) / 40));
        const files = suffixes.map((each) => (existsSync(path + each) ? readFileSync(path + each) : null));
        const found = await find(path);
        if ('seqs' in found) expect(found.seqs).toEqual(all);
        else {
          damaged += 1;
          expect(found.damage.path).toBe(path);
          expect(found.damage.message).toMatch(/Restore the newest backup .*muster audit verify/);
          expect(
            suffixes.map((each) => (existsSync(path + each) ? readFileSync(path + each) : null)),
          ).toEqual(files);
        }
      }
      expect(damaged).toBeGreaterThan(20);
    });
  }

  test('bytes flipped in any record after the snapshot are found at opening, before it by verifying', async () => {
    using folder = new TemporaryFolder();
    const path = folder.file('flipped.db');
    const journal = await openSqliteJournal(path);
    const marker = (index: number): string => `marker-${String(index).padStart(3, '0')}`;
    for (let index = 1; index <= 30; index += 1) {
      await journal.append([{ kind: 'counted', at: index, body: marker(index) }]);
    }
    await journal.writeSnapshot(15, { upTo: 15 });
    await journal.close();
    const clean = readFileSync(path);
    for (const seq of [1, 7, 15, 16, 23, 30]) {
      const bytes = Buffer.from(clean);
      const offset = bytes.indexOf(marker(seq));
      expect(offset).toBeGreaterThan(0);
      bytes.writeUInt8(bytes.readUInt8(offset) ^ 1, offset);
      writeFileSync(path, bytes);
      expect(verifySqliteJournal(path)).toMatchObject({ ok: false, seq });
      if (seq > 15) {
        await expect(openSqliteJournal(path)).rejects.toMatchObject({ name: 'JournalDamaged', path, seq });
      } else {
        const opened = await openSqliteJournal(path);
        expect(await opened.verify()).toMatchObject({ ok: false, seq });
        await opened.close();
      }
    }
  });

  test('a changed snapshot, a lost database and a lost head are each told apart', async () => {
    using folder = new TemporaryFolder();
    const original = await crashed(folder);
    const path = folder.file('changed.db');

    copyJournal(original, path);
    const database = new DatabaseSync(path);
    database.exec(`UPDATE snapshot SET state = '{"upTo":21}'`);
    database.close();
    await expect(openSqliteJournal(path)).rejects.toThrow('the snapshot does not match its digest');

    copyJournal(original, path);
    rmSync(path);
    rmSync(`${path}-wal`);
    await expect(openSqliteJournal(path)).rejects.toThrow('60 records were acknowledged');
    expect(existsSync(path)).toBe(false);

    copyJournal(original, path);
    rmSync(`${path}.head`);
    expect(await find(path)).toEqual({ seqs: all });

    copyJournal(original, path);
    writeFileSync(`${path}.head`, 'something else');
    await expect(openSqliteJournal(path)).rejects.toThrow('does not hold a head');
  });

  test('a file that is no journal is refused by name', async () => {
    using folder = new TemporaryFolder();
    writeFileSync(folder.file('journal.db'), 'x'.repeat(5000));
    await expect(openSqliteJournal(folder.file('journal.db'))).rejects.toBeInstanceOf(JournalDamaged);
    const other = new DatabaseSync(folder.file('other.db'));
    other.exec('CREATE TABLE journal (seq INTEGER)');
    other.close();
    await expect(openSqliteJournal(folder.file('other.db'))).rejects.toThrow('not a Muster journal');
    await expect(openSqliteJournal(join(folder.path, 'absent', 'journal.db'))).rejects.toThrow(
      'cannot be used',
    );
  });
});

test('many concurrent appends share commits', async () => {
  using folder = new TemporaryFolder();
  const journal = await openSqliteJournal(folder.file('journal.db'));
  await Promise.all(Array.from({ length: 2000 }, (_, index) => journal.append([recordOf(index)])));
  // One commit writes each touched page once: 2,000 commits would need 2,000 frames of 4 KiB at the least.
  expect(statSync(`${folder.file('journal.db')}-wal`).size).toBeLessThan(2000 * 4096 * 0.5);
  await journal.close();
});
