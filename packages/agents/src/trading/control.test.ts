import { describe, expect, test } from 'vitest';
import { loadMarketData } from '../market-data/market-data.ts';
import { MemoryLog } from '../testing/memory-log.ts';
import { resolveTradingConfig } from './config.ts';
import { TradingControl } from './control.ts';
import type { TradingRecord } from './records.ts';
import { ReplaySession } from './replay.ts';

const data = loadMarketData({ source: 'bundled', set: 'equity_daily', maxBarMove: 0.4 });

interface Rig {
  readonly session: ReplaySession;
  readonly control: TradingControl;
  readonly log: MemoryLog;
  killFile: boolean;
  canTrade: boolean;
}

async function rig(
  config: Record<string, unknown> = {},
  records: readonly TradingRecord[] = [],
): Promise<Rig> {
  const log = new MemoryLog(records);
  const state = { killFile: false, canTrade: true };
  const resolved = resolveTradingConfig({ replay: { start: '2016-05-02' }, ...config });
  const session = new ReplaySession({
    agentId: 'agt_1',
    deploymentId: 'dep_1',
    config: resolved,
    data,
    log,
    canTrade: () => state.canTrade,
    note: () => {},
  });
  await session.begin();
  return Object.assign(state, { session, log, control: new TradingControl(session, () => state.killFile) });
}

const ask = (
  verb: string,
  args: Record<string, unknown> = {},
  id = `${verb}-1`,
): { id: string; verb: string; args: typeof args } => ({ id, verb, args });

async function playUntil({ session }: Rig, date: string): Promise<void> {
  while (
    (session.market.calendar.openAt[session.position] ?? Number.POSITIVE_INFINITY) <
    Date.parse(`${date}T00:00:00Z`)
  )
    await session.step();
}

const deniedCodes = ({ session }: Rig): (string | undefined)[] => [
  ...new Set(
    [...session.account.orders.values()]
      .filter(({ status }) => status === 'denied')
      .map(({ outcome }) => outcome),
  ),
];

describe('halt and release', () => {
  test('a halt cancels what is open, denies everything after it, and survives a restart', async () => {
    const first = await rig();
    await playUntil(first, '2016-06-01');
    const open = first.session.account.openOrders().map(({ intent }) => intent.id);
    expect(open.length).toBeGreaterThan(0);
    expect(await first.control.halt(ask('halt', { reason: 'drill', operator: 'ana' }))).toMatchObject({
      state: 'halted',
      cancelled_orders: open,
    });
    const again = await rig({}, first.log.records);
    expect(again.session.account.latch).toMatchObject({ state: 'halted', reason: 'drill', by: 'ana' });
    await playUntil(again, '2016-09-01');
    expect(again.session.account.trades).toEqual([]);
    expect(deniedCodes(again)).toEqual(['TRADING_HALTED']);
  });

  test('a release needs a reason and a named operator, and the kill file gone', async () => {
    const one = await rig();
    await one.control.halt(ask('halt'));
    await expect(one.control.release(ask('release', { reason: 'fine' }))).rejects.toMatchObject({
      code: 'bad-arguments',
    });
    await expect(one.control.resume(ask('resume'))).rejects.toMatchObject({ code: 'halted' });
    one.killFile = true;
    await expect(
      one.control.release(ask('release', { reason: 'fine', operator: 'ana' }, 'r2')),
    ).rejects.toMatchObject({ code: 'kill-file' });
    one.killFile = false;
    expect(
      await one.control.release(ask('release', { reason: 'fine', operator: 'ana' }, 'r3')),
    ).toMatchObject({ state: 'running' });
    await playUntil(one, '2016-06-10');
    expect(one.session.account.trades.length).toBeGreaterThan(0);
  });

  test('a drawdown at its limit halts, and flattens where the policy says so', async () => {
    const one = await rig({ risk: { max_drawdown: 0.02, on_max_drawdown: 'halt_and_flatten' } });
    await playUntil(one, '2017-01-01');
    expect(one.session.account.latch).toMatchObject({ state: 'halted', by: 'risk limit' });
    expect(one.session.account.ledger.positions.size).toBe(0);
    expect(
      [...one.session.account.orders.values()].filter(({ intent }) => intent.purpose === 'flatten').length,
    ).toBeGreaterThan(0);
    const keeping = await rig({ risk: { max_drawdown: 0.02 } });
    await playUntil(keeping, '2017-01-01');
    expect(keeping.session.account.ledger.positions.size).toBeGreaterThan(0);
  });
});

describe('pause, flatten, cancel', () => {
  test('paused, nothing raises exposure and reductions go on', async () => {
    const one = await rig();
    await playUntil(one, '2016-06-10');
    await one.control.pause(ask('pause'));
    const held = new Map(
      [...one.session.account.ledger.positions].map(([symbol, { quantity }]) => [symbol, quantity]),
    );
    await playUntil(one, '2016-12-15');
    const after = one.session.account.ledger.positions;
    expect([...after].every(([symbol, { quantity }]) => quantity <= (held.get(symbol) ?? 0n))).toBe(true);
    expect(after.size).toBeLessThan(held.size);
    expect(deniedCodes(one)).toEqual(['REDUCE_ONLY']);
    await one.control.resume(ask('resume'));
    await playUntil(one, '2017-01-01');
    expect(one.session.account.latch.state).toBe('running');
  });

  test('flatten closes every position at the next open and pauses; repeated, it does nothing more', async () => {
    const one = await rig();
    await playUntil(one, '2016-06-10');
    const answer = await one.control.flatten(ask('flatten'));
    expect(answer['orders']).toHaveLength(one.session.account.ledger.positions.size);
    expect(await one.control.flatten(ask('flatten'))).toMatchObject({ repeated: true, state: 'reducing' });
    await one.session.step();
    expect(one.session.account.ledger.positions.size).toBe(0);
    expect(one.session.account.ledger.imbalance()).toBe(0n);
    const restarted = await rig({}, one.log.records);
    expect(await restarted.control.flatten(ask('flatten'))).toMatchObject({ repeated: true });
  });

  test('cancel-orders takes back what waits for the next open, of one symbol or all', async () => {
    const one = await rig();
    await playUntil(one, '2016-06-01');
    const [first] = one.session.account.openOrders();
    expect(
      await one.control.cancelOrders(ask('cancel-orders', { symbol: first?.intent.symbol })),
    ).toMatchObject({ cancelled_orders: [first?.intent.id] });
    const rest = one.session.account.openOrders().map(({ intent }) => intent.id);
    expect(await one.control.cancelOrders(ask('cancel-orders', {}, 'c2'))).toMatchObject({
      cancelled_orders: rest,
    });
    await one.session.step();
    expect(one.session.account.trades).toEqual([]);
    expect(one.session.venue.balance().locked).toBe(0n);
  });
});

describe('limits in the order path', () => {
  const cases: [string, Record<string, unknown>][] = [
    ['ORDER_NOTIONAL', { max_order_notional: 0.1 }],
    ['POSITION_WEIGHT', { max_position_weight: 0.2 }],
    ['GROSS', { max_gross: 0.5 }],
    ['OPEN_ORDERS', { max_open_orders: 1 }],
    ['RATE_LIMIT', { orders_per_10s: 1 }],
    ['RATE_LIMIT', { orders_per_day: 2 }],
  ];
  test.each(cases)('%s denies with numbers and the account keeps within it', async (code, risk) => {
    const one = await rig({ risk });
    await playUntil(one, '2016-06-10');
    const denied = [...one.session.account.orders.values()].filter(({ outcome }) => outcome === code);
    expect(denied.length).toBeGreaterThan(0);
    expect(denied[0]?.message).toMatch(/=\d/);
    expect(deniedCodes(one)).toEqual([code]);
  });

  test('a loss of the day beyond the limit lets nothing raise exposure until the next day', async () => {
    const one = await rig({ risk: { max_daily_loss: 1e-9 } });
    await playUntil(one, '2017-01-01');
    expect(deniedCodes(one)).toEqual(['REDUCE_ONLY']);
    expect(one.session.account.trades.length).toBeGreaterThan(0);
  });

  test('without a lease nothing leaves', async () => {
    const one = await rig();
    one.canTrade = false;
    await playUntil(one, '2016-07-10');
    expect(deniedCodes(one)).toEqual(['NO_LEASE']);
    expect(one.session.account.trades).toEqual([]);
  });
});
