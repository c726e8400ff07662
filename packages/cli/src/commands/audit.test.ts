/** `muster audit verify` on real journals: intact, tampered with, cut off, absent. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { openSqliteJournal } from '@muster/runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exitCode } from '../exit-codes.ts';
import { run } from '../program/program.ts';
import type { Services } from '../services.ts';

let folder: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'muster-audit-'));
  const journal = await openSqliteJournal(join(folder, 'journal.db'));
  for (let index = 1; index <= 3; index += 1) {
    await journal.append([{ kind: 'noted', at: index, body: { index } }] as unknown as Parameters<
      typeof journal.append
    >[0]);
  }
  await journal.close();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function verify(...words: string[]): Promise<{ code: number; out: string; error: string }> {
  let out = '';
  let error = '';
  const services: Services = {
    environment: {},
    stdout: { write: (text) => void (out += text) },
    stderr: { write: (text) => void (error += text) },
    stdin: process.stdin,
    now: Date.now,
  };
  return { code: await run(services, '0.1.0', ['audit', 'verify', ...words]), out, error };
}

function tamper(sql: string): void {
  const database = new DatabaseSync(join(folder, 'journal.db'));
  // Whoever edits the file also gets past its guards.
  const guards = database.prepare("SELECT name FROM sqlite_master WHERE type = 'trigger'").all();
  for (const { name } of guards) database.exec(`DROP TRIGGER "${String(name)}"`);
  database.exec(sql);
  database.close();
}

describe('audit verify', () => {
  it('counts the records of an intact journal and shows its head', async () => {
    const { code, out } = await verify('--data', folder);
    expect(code).toBe(exitCode.ok);
    expect(out).toMatch(/is intact: 3 records.*\n {2}head {2}[0-9a-f]{64}\n/);
    const json = JSON.parse((await verify('--data', folder, '-o', 'json')).out) as unknown;
    expect(json).toMatchObject({
      ok: true,
      records: 3,
      head: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    });
  });

  it('names the first record that was changed, and how far the chain holds', async () => {
    tamper('UPDATE journal SET body = \'{"index":9}\' WHERE seq = 2');
    const { code, error } = await verify('--data', folder);
    expect(code).toBe(exitCode.damaged);
    expect(error).toContain('record 2: the record does not match its hash; the record before it is intact');
    expect(error).toContain('Restore the last backup');
  });

  it('sees that acknowledged records were cut off', async () => {
    tamper('DELETE FROM journal WHERE seq = 3');
    const { code, error } = await verify('--data', folder, '-o', 'json');
    expect(code).toBe(exitCode.damaged);
    expect(JSON.parse(error)).toMatchObject({ ok: false, record: 3, intact_records: 2 });
  });

  it('says that a file which is no journal is damaged as a whole', async () => {
    writeFileSync(
      join(folder, 'journal.db'),
      'this is no database at all, but long enough to be read as one'.repeat(20),
    );
    const { code, error } = await verify('--data', folder);
    expect(code).toBe(exitCode.damaged);
    expect(error).toContain('damaged as a whole');
  });

  it('refuses where there is no journal, and helps to the right directory', async () => {
    const parent = mkdtempSync(join(tmpdir(), 'muster-audit-empty-'));
    try {
      expect(await verify('--data', parent)).toMatchObject({ code: exitCode.notFound, out: '' });
      expect((await verify('--data', join(parent, 'nope'))).error).toContain('There is no directory');
      expect((await verify()).code).toBe(exitCode.usage);
    } finally {
      rmSync(parent, { recursive: true });
    }
  });
});
