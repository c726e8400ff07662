import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { buildCalendar, dayMs } from '../market-data/calendar.ts';
import type { BarSeries } from '../market-data/series.ts';
import { fixed } from '../money/fixed-point.ts';
import { dailySeries, gridMs, gridSeries, path } from '../testing/made-data.ts';
import { buildBook } from './book.ts';
import { cutoffsOf } from './cutoffs.ts';
import { dailyMomentum, type MomentumParams } from './params.ts';
import { type AccountView, planOrders } from './plan.ts';
import { ownersOf } from './rendezvous.ts';
import { type Score, scoreSymbol } from './score.ts';

const params: MomentumParams = {
  ...dailyMomentum,
  lookback: 20,
  skip: 2,
  trendLookback: 20,
  volatilityWindow: 20,
  centreOfMass: 5,
  topQuantile: 0.5,
};
const need = 21;

function scoreLast(series: BarSeries, other = dailySeries('Z', path(9, 40)), using = params): Score {
  const calendar = buildCalendar('exchange', [series, other], dayMs);
  return scoreSymbol(series, calendar, calendar.closeAt.at(-1) as number, using);
}

function scoreGrid(series: BarSeries, points: number): Score {
  const calendar = buildCalendar('continuous', [series, gridSeries('Z', path(9, points))], gridMs);
  return scoreSymbol(series, calendar, calendar.closeAt[points - 1] as number, params);
}

const ok = (id: string, rXs: number, rTs = 1, sigma = 0.2, close = 10): Score => ({
  id,
  status: 'ok',
  bars: 300,
  close,
  signal: { rXs, rTs, sigma },
});

describe('score status of daily bars', () => {
  test('too few bars come before everything else', () => {
    expect(scoreLast(dailySeries('A', path(1, need - 1)))).toMatchObject({
      status: 'insufficient_history',
      bars: 20,
    });
  });
  test('no bar on the cut-off day is stale', () => {
    expect(scoreLast(dailySeries('A', path(1, 40), { without: [39] })).status).toBe('stale');
  });
  test('a zero close in the window is bad data, before the window it is not', () => {
    const closes = path(1, 40);
    expect(scoreLast(dailySeries('A', closes.with(30, 0))).status).toBe('bad_data');
    expect(scoreLast(dailySeries('A', closes.with(5, 0))).status).toBe('ok');
  });
  test('a move beyond max_bar_move quarantines while it is in the window, as an unadjusted split does', () => {
    const split = path(1, 40).map((close, index) => (index >= 30 ? close / 7 : close));
    expect(scoreLast(dailySeries('A', split, { maxBarMove: 0.4 })).status).toBe('bad_data');
    expect(scoreLast(dailySeries('A', split)).status).toBe('ok');
  });
  test('a constant price is flat', () => {
    expect(
      scoreLast(
        dailySeries(
          'A',
          Array.from({ length: 40 }, () => 5),
        ),
      ).status,
    ).toBe('flat');
  });
});

describe('score status on the grid', () => {
  const all = path(3, 100);
  test('an absent point repeats the close before it, also from before the window', () => {
    const full = scoreGrid(gridSeries('A', all), 100);
    expect(full).toMatchObject({ status: 'ok', bars: 100 });
    const filled = scoreGrid(gridSeries('A', all.with(79, all[78] as number)), 100);
    const lenient = buildCalendar('continuous', [gridSeries('A', all)], gridMs);
    const holed = scoreSymbol(
      gridSeries('A', all, { without: [79] }),
      lenient,
      lenient.closeAt[99] as number,
      {
        ...params,
        maxMissingFraction: 0.1,
      },
    );
    expect(holed.signal).toEqual(filled.signal);
    expect(holed.bars).toBe(99);
  });
  test('nothing before the window and its first point absent is insufficient history', () => {
    const without = Array.from({ length: 80 }, (_, index) => index);
    expect(scoreGrid(gridSeries('A', all, { without }), 100).status).toBe('insufficient_history');
  });
  test('stale comes before gap: three trailing points absent', () => {
    expect(scoreGrid(gridSeries('A', all, { without: [97, 98, 99] }), 100).status).toBe('stale');
    expect(scoreGrid(gridSeries('A', all, { without: [90] }), 100).status).toBe('gap');
  });
});

describe('invariants of the score', () => {
  const noise = fc.array(fc.double({ min: 0.01, max: 1e6, noNaN: true }), { minLength: 10, maxLength: 10 });
  test('no look-ahead: bars after the cut-off change nothing (I4)', () => {
    fc.assert(
      fc.property(fc.integer(), noise, (seed, future) => {
        const past = path(seed, 40);
        const calendar = buildCalendar('exchange', [dailySeries('A', [...past, ...future])], dayMs);
        const at = calendar.closeAt[39] as number;
        const known = scoreSymbol(dailySeries('A', past), calendar, at, params);
        expect(scoreSymbol(dailySeries('A', [...past, ...future]), calendar, at, params)).toEqual(known);
      }),
    );
  });
  test('a power of two on all closes leaves the score bit-equal (I5)', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: -20, max: 20 }), (seed, power) => {
        const closes = path(seed, 40);
        const scaled = scoreLast(
          dailySeries(
            'A',
            closes.map((close) => close * 2 ** power),
          ),
        );
        expect(scaled.signal).toEqual(scoreLast(dailySeries('A', closes)).signal);
      }),
    );
  });
  test('raising the close at the skip never worsens the rank (I6)', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer(), { minLength: 2, maxLength: 6 }),
        fc.double({ min: 1, max: 3, noNaN: true }),
        (seeds, factor) => {
          const rankOf = (raise: number): number => {
            const scores = seeds.map((seed, index) => {
              const closes = path(seed, 40);
              return scoreLast(
                dailySeries(
                  `S${index}`,
                  index === 0 ? closes.with(37, (closes[37] as number) * raise) : closes,
                ),
              );
            });
            return buildBook(scores, params).find(({ id }) => id === 'S0')?.rank ?? Number.NaN;
          };
          expect(rankOf(factor)).toBeLessThanOrEqual(rankOf(1));
        },
      ),
    );
  });
});

describe('the book', () => {
  test('ties go to the smaller id; one name alone may be held; no name gives an empty book', () => {
    const tied = buildBook([ok('B', 1), ok('C', 1), ok('A', 1), ok('D', 1)], params);
    expect(tied.map(({ id, rank, side }) => [id, rank, side])).toEqual([
      ['A', 1, 1],
      ['B', 2, 1],
      ['C', 3, undefined],
      ['D', 4, undefined],
    ]);
    expect(buildBook([ok('A', 1)], params)).toMatchObject([{ rank: 1, weight: 0.35 }]);
    expect(buildBook([], params)).toEqual([]);
  });
  test('a tiny volatility is floored before it becomes a weight', () => {
    const loose = { ...params, maxWeight: 1_000, maxGross: 1_000 };
    expect(buildBook([ok('A', 1, 1, 1e-12)], loose)[0]?.weight).toBe(params.volTarget / params.volFloor);
  });
  test('a name that the filter drops is not replaced and the divisor stays', () => {
    const book = buildBook([ok('A', 4, -1), ok('B', 3), ok('C', 2), ok('D', 1)], { ...params, maxWeight: 1 });
    expect(book.map(({ weight }) => weight)).toEqual([undefined, 0.5, undefined, undefined]);
  });

  const scores = fc.uniqueArray(
    fc.record({
      id: fc.string({ minLength: 1, maxLength: 4 }),
      rXs: fc.double({ min: -0.9, max: 5, noNaN: true }),
      rTs: fc.double({ min: -0.9, max: 5, noNaN: true }),
      sigma: fc.double({ min: 1e-9, max: 3, noNaN: true }),
      scored: fc.boolean(),
    }),
    { selector: ({ id }) => id, maxLength: 20 },
  );
  test('weights keep their caps, at most q names a side, only ok names are held (I3, I10)', () => {
    fc.assert(
      fc.property(
        scores,
        fc.boolean(),
        fc.boolean(),
        fc.double({ min: 0.05, max: 0.5, noNaN: true }),
        (made, allowShort, absFilter, quantile) => {
          const using = { ...params, allowShort, absFilter, topQuantile: quantile };
          const all = made.map(
            ({ id, rXs, rTs, sigma, scored }): Score =>
              scored ? ok(id, rXs, rTs, sigma) : { id, status: 'stale', bars: 1, close: 1 },
          );
          const book = buildBook(all, using);
          const count = all.filter(({ status }) => status === 'ok').length;
          const q = Math.max(1, Math.floor(count * quantile + 1e-9));
          const weights = book.map(({ weight }) => weight ?? 0);
          expect(weights.every((weight) => Math.abs(weight) <= using.maxWeight)).toBe(true);
          expect(weights.reduce((sum, weight) => sum + Math.abs(weight), 0)).toBeLessThanOrEqual(
            using.maxGross + 1e-12,
          );
          if (!allowShort) expect(weights.every((weight) => weight >= 0)).toBe(true);
          expect(weights.filter((weight) => weight > 0).length).toBeLessThanOrEqual(q);
          expect(weights.filter((weight) => weight < 0).length).toBeLessThanOrEqual(q);
          expect(book.filter(({ score, weight }) => score.status !== 'ok' && weight !== undefined)).toEqual(
            [],
          );
        },
      ),
    );
  });
});

describe('orders towards the book', () => {
  const venue = { quantityStep: fixed(1), minNotional: 0 };
  const account = (
    positions: Record<string, number> = {},
    cash = 1_000,
    unscored: Record<string, number> = {},
  ): AccountView => ({
    cash,
    positions: new Map(Object.entries(positions).map(([id, quantity]) => [id, fixed(quantity)])),
    unscored: new Map(Object.entries(unscored)),
  });
  const free = { ...params, cashBuffer: 0, maxWeight: 0.5, volTarget: 10 };
  const stale = (id: string, close = 10): Score => ({ id, status: 'stale', bars: 300, close });
  const plan = (scores: Score[], view: AccountView, using = free): string[] =>
    planOrders(buildBook(scores, using), view, using, venue).orders.map(
      ({ id, side, quantity, purpose }) => `${purpose} ${side} ${quantity / fixed(1)} ${id}`,
    );

  test('reductions come first, then increases, each by id', () => {
    const scores = [ok('A', 4), ok('B', 3), ok('C', -1), ok('D', -2)];
    expect(plan(scores, account({ D: 20, C: 20 }, 600))).toEqual([
      'reduce sell 20 C',
      'reduce sell 20 D',
      'increase buy 50 A',
      'increase buy 50 B',
    ]);
  });
  test('a small change is skipped, a full exit never is', () => {
    const scores = [ok('A', 4, 1, 0.2, 1), ok('B', 3, -1, 0.2, 1)];
    expect(plan(scores, account({ A: 498, B: 1 }, 501))).toEqual(['reduce sell 1 B']);
  });
  test('below the venue minimum nothing is ordered', () => {
    const book = buildBook([ok('A', 1)], free);
    expect(planOrders(book, account({}, 100), free, { ...venue, minNotional: 51 }).orders).toEqual([]);
    expect(planOrders(book, account({}, 100), free, { ...venue, minNotional: 50 }).orders).toHaveLength(1);
  });
  test('no equity, no orders; a price above the equity makes none either', () => {
    expect(plan([ok('A', 1)], account({}, 0))).toEqual([]);
    expect(plan([ok('A', 1)], account({}, -5))).toEqual([]);
    expect(plan([ok('A', 1, 1, 0.2, 5_000)], account())).toEqual([]);
  });
  test('a held name without a score is kept and takes its share of the gross limit', () => {
    const scores = [ok('A', 4), ok('B', 3), ok('C', -1), ok('D', -2), stale('H')];
    expect(plan(scores, account({ H: 60 }, 400))).toEqual(['increase buy 20 A', 'increase buy 20 B']);
  });
  test('at the third cut-off in a row without a score it is closed', () => {
    const scores = [ok('A', -1, -1), stale('H')];
    const first = planOrders(buildBook(scores, free), account({ H: 60 }, 400), free, venue);
    expect([first.orders, first.unscored.get('H')]).toEqual([[], 1]);
    expect(plan(scores, account({ H: 60 }, 400, { H: 1 }))).toEqual([]);
    expect(plan(scores, account({ H: 60 }, 400, { H: 2 }))).toEqual(['reduce sell 60 H']);
  });
  test('a change of side is one order and an increase', () => {
    const short = { ...free, allowShort: true, absFilter: false };
    expect(plan([ok('A', 1), ok('B', -1)], account({ A: -10, B: 10 }, 1_000), short)).toEqual([
      'increase buy 60 A',
      'increase sell 60 B',
    ]);
  });
  test('quantities are multiples of the step, truncated towards zero', () => {
    const book = buildBook([ok('A', 1, 1, 0.2, 3)], free);
    const [order] = planOrders(book, account({}, 1), free, {
      quantityStep: fixed(0.01),
      minNotional: 0,
    }).orders;
    expect(order?.quantity).toBe(fixed(0.16));
  });
});

describe('cut-offs and owners', () => {
  test('months end on their last trading day, holidays and 29 February included; a running month has none', () => {
    const calendar = buildCalendar('exchange', [dailySeries('A', path(1, 70), { without: [22] })], dayMs);
    expect(cutoffsOf(calendar).map(({ name }) => name)).toEqual(['2020-01-30', '2020-02-28', '2020-03-31']);
    expect(
      cutoffsOf(buildCalendar('exchange', [dailySeries('A', path(1, 60))], dayMs)).map(({ name }) => name),
    ).toEqual(['2020-01-31', '2020-02-28']);
  });
  test('the grid is cut at every midnight up to the last close', () => {
    const calendar = buildCalendar('continuous', [gridSeries('A', path(1, 576))], gridMs);
    expect(cutoffsOf(calendar).map(({ name }) => name)).toEqual([
      '2020-01-02T00:00:00Z',
      '2020-01-03T00:00:00Z',
    ]);
  });
  test('a member that comes or goes moves only its own symbols (I11)', () => {
    const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 8 }), { minLength: 2, maxLength: 8 });
    fc.assert(
      fc.property(
        names,
        fc.array(fc.string({ minLength: 1, maxLength: 8 }), { maxLength: 20 }),
        (members, ids) => {
          const [leaving, ...staying] = members;
          const moved = ids.filter(
            (id) =>
              ownersOf(id, members)[0] !== leaving && ownersOf(id, members)[0] !== ownersOf(id, staying)[0],
          );
          expect(moved).toEqual([]);
        },
      ),
    );
  });
});
