import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Atr, Macd, type PriceRange, Rsi, TrueRange } from './composite.ts';
import { Bollinger, Ema, type Indicator, Roc, Sma, Wma } from './rolling.ts';

function table(name: string): Record<string, string>[] {
  const [header = '', ...rows] = readFileSync(join(import.meta.dirname, '../../data/reference', name), 'utf8')
    .trimEnd()
    .split('\n');
  const names = header.split(',');
  return rows.map((row) =>
    Object.fromEntries(row.split(',').map((cell, index) => [names[index] ?? '', cell])),
  );
}

const quotes = table('quotes_502.csv').map(({ high, low, close }) => ({
  high: Number(high),
  low: Number(low),
  close: Number(close),
}));
const talib = table('indicators_talib_502.csv');
const stockIndicators = table('indicators_stockindicators_502.csv');

/** Rows where a column and the computed values differ by more than 1e-9 (relative), empty cells standing for null. */
function differences(
  values: readonly (number | null | undefined)[],
  rows: Record<string, string>[],
  column: string,
): unknown[] {
  return rows.flatMap((row, index) => {
    const cell = row[column];
    if (cell === undefined) throw new Error(`no column ${column}`);
    const value = values[index] ?? null;
    const same =
      cell === '' || value === null
        ? cell === '' && value === null
        : Math.abs(value - Number(cell)) <= 1e-9 * Math.max(1, Math.abs(Number(cell)));
    return same ? [] : [{ index, value, expected: cell }];
  });
}

const closes = quotes.map(({ close }) => close);
function run<In, Out>(indicator: Indicator<In, Out>, inputs: readonly In[]): (Out | null)[] {
  return inputs.map((input) => indicator.update(input));
}

describe('every bar equals the reference table, empty heads included', () => {
  const overCloses: [string, () => Indicator<number, number>][] = [
    ['SMA_20', () => new Sma(20)],
    ['EMA_20', () => new Ema(20)],
    ['WMA_14', () => new Wma(14)],
    ['RSI_14', () => new Rsi(14)],
    ['ROC_14', () => new Roc(14)],
  ];
  test.each(overCloses)('%s', (column, make) => {
    expect(differences(run(make(), closes), talib, column)).toEqual([]);
  });

  test('MACD 12, 26, 9: line, signal and histogram', () => {
    const values = run(new Macd(12, 26, 9), closes);
    expect(
      differences(
        values.map((value) => value?.macd),
        talib,
        'MACD_12_26_9',
      ),
    ).toEqual([]);
    expect(
      differences(
        values.map((value) => value?.signal),
        talib,
        'MACDSIGNAL_12_26_9',
      ),
    ).toEqual([]);
    expect(
      differences(
        values.map((value) => value?.histogram),
        talib,
        'MACDHIST_12_26_9',
      ),
    ).toEqual([]);
    expect(values[33]?.macd).toBeCloseTo(2.244479390749916, 12);
    expect(values[33]?.signal).toBeCloseTo(1.6114185678801727, 12);
  });

  test('true range and ATR', () => {
    expect(differences(run(new TrueRange(), quotes), talib, 'TRANGE')).toEqual([]);
    expect(differences(run(new Atr(14), quotes), talib, 'ATR_14')).toEqual([]);
  });

  test('Bollinger 20, 2 with the population deviation', () => {
    const values = run(new Bollinger(20, 2), closes);
    expect(
      differences(
        values.map((value) => value?.upper),
        stockIndicators,
        'bb_upper_20_2',
      ),
    ).toEqual([]);
    expect(
      differences(
        values.map((value) => value?.middle),
        stockIndicators,
        'bb_middle_20',
      ),
    ).toEqual([]);
    expect(
      differences(
        values.map((value) => value?.lower),
        stockIndicators,
        'bb_lower_20_2',
      ),
    ).toEqual([]);
  });
});

describe('properties', () => {
  const prices = fc.array(fc.double({ min: 0.01, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 80 });
  const period = fc.integer({ min: 2, max: 12 });

  test('saving and restoring in mid-series changes no later value', () => {
    const kinds: ((n: number) => Indicator<number, unknown>)[] = [
      (n) => new Sma(n),
      (n) => new Ema(n),
      (n) => new Wma(n),
      (n) => new Roc(n),
      (n) => new Rsi(n),
      (n) => new Bollinger(n),
      (n) => new Macd(n, n + 5, 4),
    ];
    fc.assert(
      fc.property(prices, period, fc.nat(), (series, n, cut) => {
        for (const make of kinds) {
          const whole = run(make(n), series);
          const at = cut % series.length;
          const first = make(n);
          const head = run(first, series.slice(0, at));
          const second = make(n);
          second.restore(JSON.parse(JSON.stringify(first.save())));
          expect([...head, ...run(second, series.slice(at))]).toEqual(whole);
        }
      }),
    );
  });

  test('incremental equals batch: each value from its definition over the whole prefix', () => {
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    const batchEma = (values: readonly number[], n: number): number =>
      values
        .slice(n)
        .reduce((average, value) => (value * 2 + average * (n - 1)) / (n + 1), mean(values.slice(0, n)));
    const close = (a: number | null | undefined, b: number): boolean =>
      a !== null && a !== undefined && Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(b));
    fc.assert(
      fc.property(prices, period, (series, n) => {
        const sma = run(new Sma(n), series);
        const ema = run(new Ema(n), series);
        const bands = run(new Bollinger(n), series);
        for (const index of series.keys()) {
          const prefix = series.slice(0, index + 1);
          if (index < n - 1) {
            expect([sma[index], ema[index], bands[index]]).toEqual([null, null, null]);
            continue;
          }
          const window = prefix.slice(-n);
          const deviation = Math.sqrt(mean(window.map((value) => (value - mean(window)) ** 2)));
          expect(close(sma[index], mean(window))).toBe(true);
          expect(close(ema[index], batchEma(prefix, n))).toBe(true);
          expect(close(bands[index]?.upper, mean(window) + 2 * deviation)).toBe(true);
        }
      }),
    );
  });

  test('RSI stays within 0 and 100 and is 0 for a constant price', () => {
    fc.assert(
      fc.property(prices, period, (series, n) => {
        for (const value of run(new Rsi(n), series))
          expect(value === null || (value >= 0 && value <= 100)).toBe(true);
      }),
    );
    expect(run(new Rsi(3), [5, 5, 5, 5, 5]).at(-1)).toBe(0);
  });

  test('a true range never lies below high - low', () => {
    const bars = fc.array(
      fc.tuple(fc.double({ min: 1, max: 9, noNaN: true }), fc.double({ min: 1, max: 9, noNaN: true })),
      { minLength: 2 },
    );
    fc.assert(
      fc.property(bars, (pairs) => {
        const series: PriceRange[] = pairs.map(([a, b]) => ({
          high: Math.max(a, b),
          low: Math.min(a, b),
          close: a,
        }));
        const values = run(new TrueRange(), series);
        const below = series.filter(({ high, low }, index) => index > 0 && (values[index] ?? 0) < high - low);
        expect(below).toEqual([]);
      }),
    );
  });
});
