import { describe, expect, test } from 'vitest';
import { clientOrderId } from '../journal/client-order-id.ts';
import { loadMarketData } from '../market-data/market-data.ts';
import { fixed } from '../money/fixed-point.ts';
import { PaperVenue } from '../paper/venue.ts';
import { Market } from '../replay/market.ts';
import { MemoryLog } from '../testing/memory-log.ts';
import { AccountBook } from './account-book.ts';
import { resolveTradingConfig } from './config.ts';
import { openAccount, TradingEngine } from './engine.ts';
import type { ExecutionClient, SubmitOutcome, VenueOrder } from './ports.ts';
import type { TradingRecord } from './records.ts';
import { ReplaySession } from './replay.ts';

const data = loadMarketData({ source: 'bundled', set: 'equity_daily', maxBarMove: 0.4 });
const config = resolveTradingConfig({ replay: { start: '2016-05-02' } });

/** A paper venue that answers "unknown" instead of its answer: the order did or did not arrive. */
class Doubtful implements ExecutionClient {
  readonly resendDelayMs = 0;
  readonly paper: PaperVenue;
  readonly sent: string[] = [];
  mode: 'lost' | 'arrived' | 'clear' = 'clear';

  constructor(paper: PaperVenue) {
    this.paper = paper;
  }
  async submit(order: VenueOrder): Promise<SubmitOutcome> {
    this.sent.push(order.clientOrderId);
    const outcome = this.mode === 'lost' ? undefined : await this.paper.submit(order);
    return this.mode === 'clear' && outcome !== undefined
      ? outcome
      : { kind: 'unknown', message: 'no answer' };
  }
  cancel(id: string): Promise<boolean> {
    return this.paper.cancel(id);
  }
  takeReports(): ReturnType<PaperVenue['takeReports']> {
    return this.paper.takeReports();
  }
  query(id: string): ReturnType<PaperVenue['query']> {
    return this.paper.query(id);
  }
  openOrders(): ReturnType<PaperVenue['openOrders']> {
    return this.paper.openOrders();
  }
  positions(): ReturnType<PaperVenue['positions']> {
    return this.paper.positions();
  }
  missedFills(): ReturnType<PaperVenue['missedFills']> {
    return this.paper.missedFills();
  }
}

function bench(): {
  engine: TradingEngine;
  venue: Doubtful;
  book: AccountBook;
  play: (until: string) => Promise<void>;
  notes: string[];
} {
  const market = new Market(data);
  const book = new AccountBook(new MemoryLog());
  openAccount(book, config);
  const venue = new Doubtful(
    new PaperVenue(config.paper, market.series, {
      ledger: book.account.ledger,
      open: [],
      taken: { openAt: 0, bySymbol: new Map() },
    }),
  );
  const notes: string[] = [];
  const note = (_level: string, message: string): void => void notes.push(message);
  const engine = new TradingEngine({
    agentId: 'agt_1',
    deploymentId: 'dep_1',
    config,
    market,
    book,
    venue,
    canTrade: () => true,
    note,
  });
  let next = market.firstSlotAfter(Date.parse('2016-05-02T00:00:00Z'));
  const play = async (until: string): Promise<void> => {
    for (
      let slot = market.slot(next);
      slot !== undefined && slot.openAt < Date.parse(`${until}T00:00:00Z`);
      slot = market.slot(next)
    ) {
      engine.takeReports(venue.paper.meet(slot));
      await engine.closeSlot(slot);
      next += 1;
    }
  };
  return { engine, venue, book, play, notes };
}

describe('an order whose fate is unknown', () => {
  test('that arrived is found at the venue and not sent again', async () => {
    const { engine, venue, book, play } = bench();
    venue.mode = 'arrived';
    await play('2016-06-01');
    const unknown = book.account.openOrders().map(({ intent, status }) => [intent.id, status]);
    expect(new Set(unknown.map(([, status]) => status))).toEqual(new Set(['unknown']));
    venue.mode = 'clear';
    expect(await engine.reconcile()).toEqual([]);
    expect(venue.sent).toEqual(unknown.map(([id]) => id));
    expect(book.account.openOrders().every(({ status }) => status === 'acked')).toBe(true);
  });

  test('that the venue definitely never saw is sent again under the same id, once', async () => {
    const { engine, venue, book, play } = bench();
    venue.mode = 'lost';
    await play('2016-06-01');
    const ids = book.account.openOrders().map(({ intent }) => intent.id);
    venue.mode = 'clear';
    await engine.reconcile();
    await engine.reconcile();
    expect(venue.sent).toEqual([...ids, ...ids]);
    await play('2016-06-02');
    expect(book.account.trades.map(({ orderId }) => orderId)).toEqual(ids);
  });
});

describe('reconciliation', () => {
  test('names positions that differ with both numbers and does not trade them away', async () => {
    const { engine, venue, play } = bench();
    await play('2016-06-10');
    const before = venue.sent.length;
    const real = await venue.positions();
    venue.positions = () => Promise.resolve(new Map([...real, ['GOLD', fixed(3)]]));
    expect(await engine.reconcile()).toEqual([{ symbol: 'GOLD', account: '0', venue: '3' }]);
    expect(venue.sent).toHaveLength(before);
  });

  test('reports a foreign order and leaves it alone', async () => {
    const { engine, venue, play, notes } = bench();
    await play('2016-05-10');
    await venue.paper.submit({
      clientOrderId: 'somebody-else',
      symbol: 'SPY',
      side: 'buy',
      quantity: fixed(1),
      type: 'market',
      reduceOnly: false,
      refPrice: 200,
      sentAt: 0,
    });
    await engine.reconcile();
    expect(notes).toContain('the venue has an open order that this agent did not make');
    expect(await venue.query('somebody-else')).not.toBe(null);
  });
});

describe('client order ids', () => {
  const decision = {
    agentId: 'agt_1',
    deploymentId: 'dep_1',
    cutoffId: '2016-05-31',
    instrument: 'SPY',
    side: 'buy',
    purpose: 'increase',
    attempt: 1,
  } as const;
  test('have 28 characters a venue accepts and depend on every part of the decision', () => {
    const id = clientOrderId(decision);
    expect(id).toMatch(/^dm[a-z2-7]{26}$/);
    expect(clientOrderId({ ...decision })).toBe(id);
    const others = [
      { agentId: 'x' },
      { deploymentId: 'x' },
      { cutoffId: 'x' },
      { instrument: 'x' },
      { side: 'sell' as const },
      { purpose: 'x' },
      { attempt: 2 },
    ];
    expect(new Set(others.map((other) => clientOrderId({ ...decision, ...other }))).size).toBe(others.length);
  });
  test('equal an independent computation of sha256 in base 32', async () => {
    const text = 'agt_1|dep_1|2016-05-31|SPY|buy|increase|1';
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
    const bits = [...digest].map((byte) => byte.toString(2).padStart(8, '0')).join('');
    const letters = Array.from(
      { length: 26 },
      (_, index) =>
        'abcdefghijklmnopqrstuvwxyz234567'[Number.parseInt(bits.slice(index * 5, index * 5 + 5), 2)],
    );
    expect(clientOrderId(decision)).toBe(`dm${letters.join('')}`);
  });
});

describe('history that starts over', () => {
  test('gives the same trades under new ids, also when it was interrupted', async () => {
    const play = async (
      records: readonly TradingRecord[],
    ): Promise<{ session: ReplaySession; log: MemoryLog }> => {
      const log = new MemoryLog(records);
      const session = new ReplaySession({
        agentId: 'agt_1',
        deploymentId: 'dep_1',
        config,
        data,
        log,
        canTrade: () => true,
        note: () => {},
      });
      await session.begin();
      while (await session.step());
      return { session, log };
    };
    const { session, log } = await play([]);
    const what = ({ account }: ReplaySession): unknown =>
      account.trades.map(({ symbol, quantity, price, at }) => [symbol, quantity, price, at]);
    const ids = ({ account }: ReplaySession): string[] => account.trades.map(({ orderId }) => orderId);
    const [firstTrades, firstIds] = [what(session), ids(session)];
    session.restart();
    for (let slot = 0; slot < 60; slot += 1) await session.step();
    const again = (await play(log.records)).session;
    expect(again.account.run).toBe(2);
    expect(what(again)).toEqual(firstTrades);
    expect(ids(again).some((id) => firstIds.includes(id))).toBe(false);
  });
});
