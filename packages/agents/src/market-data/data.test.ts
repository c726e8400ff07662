import { describe, expect, test } from 'vitest';
import { gridSeries, path, weekday } from '../testing/made-data.ts';
import { buildCalendar, gapsOf, newYorkSession } from './calendar.ts';
import { dataSets } from './data-sets.ts';
import { DataMissing, loadMarketData, parseBars } from './market-data.ts';
import {
  barsClosedBy,
  buildSeries,
  indexAt,
  type RawBar,
  tradeClose,
  tradeOpen,
  tradeRange,
} from './series.ts';

const bar = (at: number, more: Partial<RawBar> = {}): RawBar => ({
  openAt: at,
  closeAt: at + 10,
  open: 5,
  high: 6,
  low: 4,
  close: 5,
  volume: 1,
  ...more,
});
const badReasons = (rows: RawBar[], maxBarMove = 0.4, confirmed: number[] = []): string[] =>
  buildSeries('A', rows, { maxBarMove, confirmedMoves: new Set(confirmed) }).report.badBars.map(
    ({ openAt, reason }) => `${openAt}: ${reason}`,
  );

describe('bars', () => {
  test('are sorted, duplicates replaced by the newest copy, both counted', () => {
    const { series, report } = buildSeries('A', [bar(10), bar(30), bar(20), bar(10, { close: 5.5 })], {
      maxBarMove: 1,
    });
    expect([...series.openAt]).toEqual([10, 20, 30]);
    expect(series.close[0]).toBe(5.5);
    expect(report).toMatchObject({ duplicates: 1, outOfOrder: 2, badBars: [] });
  });
  test.each<[string, Partial<RawBar>]>([
    ['a price is not a positive number', { close: 0 }],
    ['a price is not a positive number', { low: Number.NaN }],
    ['a price is not a positive number', { open: -1 }],
    ['the volume is not a number', { volume: Number.NaN }],
    ['high is below open or close', { high: 4.5 }],
    ['low is above open or close', { low: 5.5 }],
  ])('are bad when %s', (reason, more) => {
    expect(badReasons([bar(10, more)])).toEqual([`10: ${reason}`]);
  });
  test('a move beyond the limit is bad once, not for ever, and not when an operator confirmed it', () => {
    const split = [
      bar(10),
      bar(20, { open: 1, high: 1, low: 1, close: 1 }),
      bar(30, { open: 1, high: 1, low: 1, close: 1 }),
    ];
    expect(badReasons(split)).toEqual(['20: moved 80.0 % in one bar']);
    expect(badReasons(split, 0.4, [20])).toEqual([]);
    expect(badReasons(split, 0.9)).toEqual([]);
  });
  test('adjusted prices are what is traded, and volume is on their scale', () => {
    const { series } = buildSeries('A', [bar(10, { adjustedOpen: 2.5, adjustedClose: 2.5, volume: 100 })], {
      maxBarMove: 1,
    });
    expect([tradeOpen(series, 0), tradeClose(series, 0), series.volume[0]]).toEqual([2.5, 2.5, 200]);
    expect(tradeRange(series, 0)).toEqual({ high: 3, low: 2 });
  });
  test('are known from their close on, and found by their open', () => {
    const { series } = buildSeries('A', [bar(10), bar(30)], { maxBarMove: 1 });
    expect([19, 20, 39, 40].map((at) => barsClosedBy(series, at))).toEqual([0, 1, 1, 2]);
    expect([10, 20, 30].map((at) => indexAt(series, at))).toEqual([0, -1, 1]);
  });
});

describe('calendars', () => {
  test('New York sessions follow daylight saving time', () => {
    const openings = ['2016-03-11', '2016-03-14', '2016-11-04', '2016-11-07'].map((date) =>
      new Date(newYorkSession(date).openAt).toISOString(),
    );
    expect(openings.map((text) => text.slice(11, 16))).toEqual(['14:30', '13:30', '13:30', '14:30']);
    const { openAt, closeAt } = newYorkSession('2016-07-01');
    expect(closeAt - openAt).toBe(6.5 * 3_600_000);
  });
  test('the grid has every point, the union only those somebody traded; gaps are told', () => {
    const holed = gridSeries('A', path(1, 10), { without: [3, 4, 7] });
    expect(buildCalendar('continuous', [holed], 300_000).openAt).toHaveLength(10);
    expect(buildCalendar('exchange', [holed], 300_000).openAt).toHaveLength(7);
    expect(gapsOf(holed, 300_000).map(({ missing }) => missing)).toEqual([2, 1]);
    expect(buildCalendar('continuous', [], 300_000).openAt).toHaveLength(0);
  });
  test('made weekdays are weekdays', () => {
    expect([0, 1, 2, 3, 7, 8].map(weekday)).toEqual([
      '2020-01-01',
      '2020-01-02',
      '2020-01-03',
      '2020-01-06',
      '2020-01-10',
      '2020-01-13',
    ]);
  });
});

describe('data sets', () => {
  const traits = dataSets['equity_daily'];
  test('the bundled set has twelve symbols and not one bad bar', () => {
    const { series, reports } = loadMarketData({ source: 'bundled', set: 'equity_daily', maxBarMove: 0.4 });
    expect(series.map(({ id }) => id)).toEqual([
      'AAPL',
      'AIG',
      'BAC',
      'BNO',
      'EEM',
      'FB',
      'IBM',
      'IWM',
      'QQQ',
      'SPY',
      'USO',
      'WM',
    ]);
    expect([...reports.values()].flatMap(({ badBars }) => badBars)).toEqual([]);
    expect(series.find(({ id }) => id === 'QQQ')?.openAt).toHaveLength(1_455);
  });
  test('what is not there is named, with what there is', () => {
    const ask = (more: object) => () =>
      loadMarketData({ source: 'bundled', set: 'equity_daily', maxBarMove: 1, ...more });
    expect(ask({ set: 'moon' })).toThrow(/no data set "moon"; known: equity_daily/);
    expect(ask({ set: 'constructor' })).toThrow(DataMissing);
    expect(ask({ set: 'crypto_5m' })).toThrow(DataMissing);
    expect(ask({ universe: ['../golden/x'] })).toThrow(/has no symbol/);
    expect(ask({ source: 'path' })).toThrow(/MUSTER_MARKET_DATA/);
    expect(ask({ source: 'path', directory: '/nonexistent' })).toThrow(DataMissing);
  });
  test('a cell that is no number makes a bad bar, a row without a time stops the load', () => {
    if (traits === undefined) throw new Error('no traits');
    const rows = parseBars(
      'date,open,high,low,close,volume\n2020-01-02,1,1,1,,5\n2020-01-03,1,1,x,1,5\n',
      traits,
    );
    expect(badReasons(rows)).toHaveLength(2);
    expect(() => parseBars('date,open,high,low,close,volume\nyesterday,1,1,1,1,1\n', traits)).toThrow(
      /Line 2/,
    );
  });
  test('a confirmed move is matched by symbol and day', () => {
    const moves = (confirmedMoves: string[]): number => {
      const request = {
        source: 'bundled',
        set: 'equity_daily',
        universe: ['BAC'],
        maxBarMove: 0.19,
        confirmedMoves,
      } as const;
      return loadMarketData(request).reports.get('BAC')?.badBars.length ?? 0;
    };
    const before = moves([]);
    expect(before).toBeGreaterThan(0);
    expect(moves(['BAC@2011-08-08'])).toBe(before - 1);
    expect(moves(['AAPL@2011-08-08'])).toBe(before);
  });
});
