import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dateOf } from '../market-data/calendar.ts';
import { resolveTradingConfig } from './config.ts';
import { openReplay, type ReplaySession } from './replay.ts';

const golden = (name: string): string[] =>
  readFileSync(join(import.meta.dirname, '../../data/golden', name), 'utf8')
    .trimEnd()
    .split('\n')
    .slice(1);

const near = (actual: number, expected: number): boolean =>
  Math.abs(actual - expected) <= 1e-9 * Math.max(1, Math.abs(expected));

describe('the paper account over the golden history with default limits', () => {
  let directory: string;
  let session: ReplaySession;
  const days: { date: string; cash: number; equity: number; drawdown: number }[] = [];

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'muster-golden-'));
    const denied: unknown[] = [];
    session = openReplay(resolveTradingConfig({}), { agentId: 'agt_1', deploymentId: 'agt_1' }, directory, {
      marketDirectory: undefined,
      canTrade: () => true,
      note: (level, _message, fields) => level !== 'info' && denied.push(fields),
    });
    await session.begin();
    while (await session.step()) {
      const { performance, ledger, lastBar } = session.account;
      days.push({
        date: dateOf(lastBar?.openAt ?? 0),
        cash: Number(ledger.snapshot().cash),
        equity: performance.equity,
        drawdown: performance.drawdown,
      });
    }
    expect(denied).toEqual([]);
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test('orders are equal in cut-off, day, sequence, symbol, side and quantity; money within 1e-9', () => {
    const rows = golden('momentum_equity_daily_orders.csv');
    expect(session.account.trades).toHaveLength(rows.length);
    for (const [index, row] of rows.entries()) {
      const [cutoff, day, seq, id, side, quantity, refPrice, price, fee] = row.split(',');
      const trade = session.account.trades[index];
      expect([
        trade?.cutoff,
        dateOf(trade?.at ?? 0),
        String(trade?.seq),
        trade?.symbol,
        trade?.side,
        trade?.quantity,
      ]).toEqual([cutoff, day, seq, id, side, quantity]);
      expect(trade?.refPrice).toBe(Number(refPrice));
      expect(near(Number(trade?.price), Number(price))).toBe(true);
      expect(near(Number(trade?.fee), Number(fee))).toBe(true);
    }
  });

  test('cash, equity and drawdown equal the golden file on every day', () => {
    const rows = golden('momentum_equity_daily_equity.csv');
    expect(days).toHaveLength(rows.length);
    const wrong = rows.filter((row, index) => {
      const [date, cash, equity, drawdown] = row.split(',');
      const day = days[index];
      return !(
        day?.date === date &&
        near(day?.cash ?? 0, Number(cash)) &&
        near(day?.equity ?? 0, Number(equity)) &&
        near(day?.drawdown ?? 0, Number(drawdown))
      );
    });
    expect(wrong).toEqual([]);
  });

  test('the published figures come out', () => {
    const figures = session.account.performance.figures(252);
    expect(near(figures.equity, 178352.3830600943)).toBe(true);
    expect(figures.max_drawdown).toBeCloseTo(0.15713677, 8);
    expect(figures.sharpe).toBeCloseTo(0.68280303, 8);
  });

  test('money is conserved to the last unit', () => {
    expect(session.account.ledger.imbalance()).toBe(0n);
  });
});
