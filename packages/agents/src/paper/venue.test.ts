import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fixed, fixedText, toNumber } from '../money/fixed-point.ts';
import { Market } from '../replay/market.ts';
import { dailyMarket, dailySeries, type MadeOptions } from '../testing/made-data.ts';
import type { ExecutionReport, VenueOrder } from '../trading/ports.ts';
import { Ledger } from './ledger.ts';
import { type PaperRules, PaperVenue } from './venue.ts';

const rules: PaperRules = {
  slippage: 0,
  takerFee: 0,
  makerFee: 0,
  maxParticipation: 0.1,
  latencyMs: 250,
  orderTimeoutMs: 86_400_000 * 3,
  fillOnTouch: false,
  allowShort: false,
  quantityStep: fixed(1),
  tickSize: fixed(0.01),
  minQuantity: fixed(1),
  minNotional: 0,
};

class Bench {
  readonly market: Market;
  readonly venue: PaperVenue;
  #slot = 0;
  #orders = 0;

  constructor(
    closes: readonly number[],
    options: MadeOptions & { cash?: number; rules?: Partial<PaperRules> } = {},
  ) {
    this.market = new Market(
      dailyMarket([
        dailySeries('A', closes, options),
        dailySeries(
          'B',
          closes.map(() => 10),
        ),
      ]),
    );
    const ledger = new Ledger(fixed(options.cash ?? 1_000));
    this.venue = new PaperVenue({ ...rules, ...options.rules }, this.market.series, {
      ledger,
      open: [],
      taken: { openAt: 0, bySymbol: new Map() },
    });
  }

  /** Plays one slot and returns its reports in short. */
  play(): string[] {
    const slot = this.market.slot(this.#slot);
    this.#slot += 1;
    if (slot === undefined) throw new Error('no more slots');
    return this.venue.meet(slot).map(short);
  }

  async order(side: 'buy' | 'sell', quantity: number, more: Partial<VenueOrder> = {}): Promise<string> {
    this.#orders += 1;
    const order: VenueOrder = {
      clientOrderId: `o${this.#orders}`,
      symbol: 'A',
      side,
      quantity: fixed(quantity),
      type: more.limitPrice === undefined ? 'market' : 'limit',
      reduceOnly: false,
      refPrice: 10,
      sentAt: this.market.calendar.closeAt[this.#slot - 1] ?? 0,
      ...more,
    };
    const outcome = await this.venue.submit(order);
    return outcome.kind === 'rejected' ? outcome.code : outcome.kind;
  }
}

function short(report: ExecutionReport): string {
  if (report.kind === 'closed') return `${report.clientOrderId} ${report.reason}`;
  return `${report.clientOrderId} ${fixedText(report.quantity)}@${fixedText(report.price)}${report.closed === undefined ? '' : ` ${report.closed}`}`;
}

describe('market orders', () => {
  test('fill at the next open with slippage and fee, never on the bar of the signal', async () => {
    const bench = new Bench([10, 12, 14], { opens: [9, 11, 13], rules: { slippage: 0.01, takerFee: 0.001 } });
    expect(bench.play()).toEqual([]);
    expect(await bench.order('buy', 10)).toBe('acked');
    expect(bench.play()).toEqual(['o1 10@11.11 filled']);
    expect(toNumber(bench.venue.balance().free)).toBeCloseTo(1_000 - 111.1 - 0.1111, 10);
  });
  test('meet no bar that opened before submission and latency', async () => {
    const bench = new Bench([10, 10, 10], { rules: { latencyMs: 86_400_000 } });
    bench.play();
    await bench.order('buy', 1);
    expect(bench.play()).toEqual([]);
    expect(bench.play()).toEqual(['o1 1@10 filled']);
  });
  test('a buy is cut to what cash pays, fee included, and to nothing it is closed', async () => {
    const bench = new Bench([10, 10, 10], { cash: 100, rules: { takerFee: 0.05 } });
    bench.play();
    await bench.order('buy', 20);
    expect(bench.play()).toEqual(['o1 9@10 FREE_BALANCE']);
    const poor = new Bench([10, 10], { cash: 5 });
    poor.play();
    await poor.order('buy', 1);
    expect(poor.play()).toEqual(['o1 FREE_BALANCE']);
  });
  test('a sale before it pays for a buy', async () => {
    const bench = new Bench([10, 10, 10], { cash: 100 });
    bench.play();
    await bench.order('buy', 10);
    bench.play();
    await bench.order('sell', 10);
    expect(await bench.order('buy', 5, { symbol: 'B' })).toBe('acked');
    expect(bench.play()).toEqual(['o1 10@10 filled'].map(() => 'o2 10@10 filled').concat('o3 5@10 filled'));
  });
  test('take at most their share of a bar together and carry the rest until their time is up', async () => {
    const bench = new Bench([10, 10, 10, 10, 10, 10], { volume: 100 });
    bench.play();
    await bench.order('buy', 15);
    await bench.order('buy', 50);
    expect(bench.play()).toEqual(['o1 10@10']);
    expect(bench.play()).toEqual(['o1 5@10 filled', 'o2 5@10']);
    expect(bench.play()).toEqual(['o2 10@10', 'o2 timeout']);
  });
  test('are dropped when their symbol has no bar, or a bad one', async () => {
    const absent = new Bench([10, 10, 10], { without: [1] });
    absent.play();
    await absent.order('buy', 1);
    expect(absent.play()).toEqual(['o1 no-bar']);
    const bad = new Bench([10, 0, 10]);
    bad.play();
    await bad.order('buy', 1);
    expect(bad.play()).toEqual(['o1 no-bar']);
  });
  test('reduce-only sells no more than is held', async () => {
    const bench = new Bench([10, 10, 10, 10]);
    bench.play();
    await bench.order('buy', 3);
    bench.play();
    await bench.order('sell', 5, { reduceOnly: true });
    await bench.order('sell', 5, { reduceOnly: true });
    expect(bench.play()).toEqual(['o2 3@10 filled', 'o3 REDUCE_ONLY']);
  });
});

describe('a venue restored in the middle of a slot', () => {
  const half = (filled: number, metAt: number, taken: number): string[] => {
    const market = new Market(dailyMarket([dailySeries('A', [10, 10, 10], { volume: 100 })]));
    const slot = market.slot(1);
    if (slot === undefined) throw new Error('no slot');
    const order = (clientOrderId: string): VenueOrder => {
      const sentAt = market.calendar.closeAt[0] ?? 0;
      return {
        clientOrderId,
        symbol: 'A',
        side: 'buy',
        quantity: fixed(8),
        type: 'market',
        reduceOnly: false,
        refPrice: 10,
        sentAt,
      };
    };
    const open = [
      { order: order('o1'), filled: fixed(filled), metAt: metAt * slot.openAt },
      { order: order('o2'), filled: 0n, metAt: 0 },
    ];
    const memory = {
      ledger: new Ledger(fixed(1_000)),
      open,
      taken: { openAt: slot.openAt, bySymbol: new Map([['A', fixed(taken)]]) },
    };
    return new PaperVenue(rules, market.series, memory).meet(slot).map(short);
  };
  test('takes no more from a bar than what earlier fills left', () => {
    expect(half(0, 0, 0)).toEqual(['o1 8@10 filled', 'o2 2@10']);
    expect(half(0, 0, 9)).toEqual(['o1 1@10']);
  });
  test('lets an order meet a bar once', () => {
    expect(half(4, 1, 4)).toEqual(['o2 6@10']);
  });
});

describe('limit orders', () => {
  test('fill when the bar trades strictly through, at the better of limit and open', async () => {
    const bench = new Bench([10, 9, 9, 7], { opens: [10, 10, 9, 8] });
    bench.play();
    await bench.order('buy', 1, { limitPrice: 9 });
    expect(bench.play()).toEqual([]);
    expect(bench.play()).toEqual([]);
    expect(bench.play()).toEqual(['o1 1@8 filled']);
  });
  test('fill on touch where that is asked for', async () => {
    const bench = new Bench([10, 9], { opens: [10, 10], rules: { fillOnTouch: true } });
    bench.play();
    await bench.order('buy', 1, { limitPrice: 9 });
    expect(bench.play()).toEqual(['o1 1@9 filled']);
  });
  test('lock their whole cost, and a cancel gives it back', async () => {
    const bench = new Bench([10, 10, 10], { cash: 100 });
    bench.play();
    expect(await bench.order('buy', 9, { limitPrice: 10 })).toBe('acked');
    expect(toNumber(bench.venue.balance().free)).toBe(10);
    expect(await bench.order('buy', 2, { limitPrice: 10 })).toBe('FREE_BALANCE');
    expect(await bench.venue.cancel('o1')).toBe(true);
    expect(await bench.venue.cancel('o1')).toBe(false);
    expect(toNumber(bench.venue.balance().free)).toBe(100);
    expect(bench.play()).toEqual(['o1 cancelled']);
  });
});

describe('what an exchange refuses', () => {
  test('wrong quantity, step, tick, symbol, notional, and sales of what is not held', async () => {
    const bench = new Bench([10, 10], { rules: { minNotional: 20 } });
    bench.play();
    expect(await bench.order('buy', 0)).toBe('INVALID_ORDER');
    expect(await bench.order('buy', 2.5)).toBe('INVALID_ORDER');
    expect(await bench.order('buy', 3, { limitPrice: 10.001 })).toBe('INVALID_ORDER');
    expect(await bench.order('buy', 3, { symbol: 'NONE' })).toBe('INVALID_ORDER');
    expect(await bench.order('buy', 1)).toBe('MIN_NOTIONAL');
    expect(await bench.order('sell', 3)).toBe('FREE_BALANCE');
    expect(await new Bench([10, 10], { rules: { allowShort: true } }).order('sell', 3)).toBe('acked');
  });
  test('an id that is open is accepted once', async () => {
    const bench = new Bench([10, 10]);
    bench.play();
    await bench.order('buy', 1, { clientOrderId: 'same' });
    expect(await bench.order('buy', 1, { clientOrderId: 'same' })).toBe('acked');
    expect(bench.play()).toEqual(['same 1@10 filled']);
  });
});

describe('the ledger', () => {
  const fills = fc.array(
    fc.record({
      symbol: fc.constantFrom('A', 'B', 'C'),
      side: fc.constantFrom('buy' as const, 'sell' as const),
      quantity: fc.bigInt({ min: 1n, max: 10n ** 22n }),
      price: fc.bigInt({ min: 1n, max: 10n ** 23n }),
      fee: fc.bigInt({ min: 0n, max: 10n ** 19n }),
    }),
    { maxLength: 40 },
  );
  test('conserves money to the last unit through any fills, changes of side included', () => {
    fc.assert(
      fc.property(fills, (all) => {
        const ledger = new Ledger(fixed(1_000));
        for (const fill of all) {
          ledger.apply(fill);
          expect(ledger.imbalance()).toBe(0n);
        }
        expect(Ledger.restore(ledger.snapshot()).snapshot()).toEqual(ledger.snapshot());
      }),
    );
  });
  test('realises profit by average cost', () => {
    const ledger = new Ledger(fixed(1_000));
    const fill = (side: 'buy' | 'sell', quantity: number, price: number): number =>
      toNumber(ledger.apply({ symbol: 'A', side, quantity: fixed(quantity), price: fixed(price), fee: 0n }));
    expect([fill('buy', 10, 10), fill('buy', 10, 20), fill('sell', 5, 25), fill('sell', 20, 10)]).toEqual([
      0, 0, 50, -75,
    ]);
    expect(fixedText(ledger.quantityOf('A'))).toBe('-5');
    expect(fill('buy', 5, 8)).toBe(10);
  });
  test('decimal text and doubles survive the round trip', () => {
    fc.assert(
      fc.property(fc.double({ min: -1e12, max: 1e12, noNaN: true }), (value) => {
        expect(fixed(toNumber(fixed(value)))).toBe(fixed(value));
        expect(Math.abs(toNumber(fixed(value)) - value)).toBeLessThanOrEqual(1e-18);
      }),
    );
  });
});
