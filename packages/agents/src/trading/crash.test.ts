import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { JournalDamaged, RecordLog } from '../journal/record-log.ts';
import { loadMarketData } from '../market-data/market-data.ts';
import { MemoryLog } from '../testing/memory-log.ts';
import { resolveTradingConfig, type TradingConfig } from './config.ts';
import type { TradingRecord } from './records.ts';
import { ReplaySession } from './replay.ts';

const config = resolveTradingConfig({
  replay: { start: '2016-05-02' },
  order_timeout_ms: 3 * 86_400_000,
  max_participation: 0.0001,
});
const data = loadMarketData({ source: 'bundled', set: 'equity_daily', maxBarMove: 0.4 });

async function play(
  records: readonly TradingRecord[],
  using: TradingConfig = config,
): Promise<{ log: MemoryLog; session: ReplaySession }> {
  const log = new MemoryLog(records);
  const session = new ReplaySession({
    agentId: 'agt_1',
    deploymentId: 'dep_1',
    config: using,
    data,
    log,
    canTrade: () => true,
    note: () => {},
  });
  expect(await session.begin()).toEqual([]);
  while (await session.step());
  return { log, session };
}

describe('a crash between any two records', () => {
  test('the account ends as if nothing had happened, with the same orders and no double', async () => {
    const { log, session } = await play([]);
    const expected = JSON.stringify(session.account.snapshot());
    const kinds = new Set(log.records.map(({ k }) => k));
    for (const kind of ['bar', 'decided', 'sent', 'acked', 'fill', 'closed']) expect(kinds).toContain(kind);
    expect(log.records.some((record) => record.k === 'fill' && record.closed === undefined)).toBe(true);
    const diverged: number[] = [];
    for (let kept = 0; kept <= log.records.length; kept += 1) {
      const resumed = await play(log.records.slice(0, kept));
      const sent = resumed.log.records
        .filter(({ k }) => k === 'sent')
        .map((record) => (record as { id: string }).id);
      const same = JSON.stringify(resumed.session.account.snapshot()) === expected;
      if (!same || new Set(sent).size !== sent.length) diverged.push(kept);
    }
    expect(diverged).toEqual([]);
  }, 120_000);

  test('a snapshot in place of the records gives the same account', async () => {
    const { session } = await play([]);
    const directory = mkdtempSync(join(tmpdir(), 'muster-snapshot-'));
    try {
      const log = new RecordLog(directory);
      log.writeSnapshot(session.account.snapshot());
      log.close();
      const reopened = new RecordLog(directory);
      expect(reopened.loaded.records).toEqual([]);
      const again = new ReplaySession({
        agentId: 'agt_1',
        deploymentId: 'dep_1',
        config,
        data,
        log: reopened,
        canTrade: () => true,
        note: () => {},
      });
      expect(again.account.snapshot()).toEqual(session.account.snapshot());
      reopened.close();
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});

describe('the journal file', () => {
  const withLog = (act: (directory: string, path: string) => void): void => {
    const directory = mkdtempSync(join(tmpdir(), 'muster-journal-'));
    try {
      const log = new RecordLog(directory);
      for (let value = 1; value <= 3; value += 1) log.append({ value, text: 'é'.repeat(value) });
      log.close();
      act(directory, join(directory, 'journal.log'));
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  };
  const valuesIn = (directory: string): unknown[] => {
    const log = new RecordLog(directory);
    log.append({ value: 99 });
    log.close();
    return new RecordLog(directory).loaded.records.map((record) => (record as { value: number }).value);
  };

  test('cut at every byte of its last record it holds the records before, and goes on from there', () => {
    withLog((directory, path) => {
      const bytes = readFileSync(path);
      const lastStart = bytes.lastIndexOf(10, bytes.length - 2) + 1;
      for (let length = lastStart; length < bytes.length; length += 1) {
        writeFileSync(path, bytes);
        truncateSync(path, length);
        expect(valuesIn(directory)).toEqual([1, 2, 99]);
      }
      writeFileSync(path, bytes);
      expect(valuesIn(directory)).toEqual([1, 2, 3, 99]);
    });
  });

  test('a flipped bit in the last record drops it; one with records after it refuses the start', () => {
    withLog((directory, path) => {
      const bytes = readFileSync(path);
      const lastStart = bytes.lastIndexOf(10, bytes.length - 2) + 1;
      for (let at = 0; at < bytes.length - 1; at += 1) {
        const damaged = Buffer.from(bytes);
        damaged[at] = (damaged[at] as number) ^ 1;
        writeFileSync(path, damaged);
        if (at < lastStart) expect(() => new RecordLog(directory)).toThrow(JournalDamaged);
        else expect(valuesIn(directory)).toEqual([1, 2, 99]);
      }
    });
  });

  test('records that a snapshot already has are not applied twice', () => {
    withLog((directory, path) => {
      const before = readFileSync(path);
      const log = new RecordLog(directory);
      log.writeSnapshot({ sum: 6 });
      log.close();
      writeFileSync(path, before);
      const reopened = new RecordLog(directory);
      expect(reopened.loaded).toMatchObject({ snapshot: { sum: 6 }, records: [] });
      expect(reopened.seq).toBe(3);
      reopened.close();
    });
  });
});
