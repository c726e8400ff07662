import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RecordLog } from '../journal/record-log.ts';
import { loadMarketData, type MarketData } from '../market-data/market-data.ts';
import { dailyMarket, dailySeries, path } from '../testing/made-data.ts';
import { resolveAnalysisConfig } from './config.ts';
import { AnalysisSession } from './session.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'muster-analysis-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const config = resolveAnalysisConfig({
  indicators: ['sma', 'ema', 'wma', 'rsi', 'macd', 'roc', 'atr', 'bollinger'],
});
const open = (name: string, data: MarketData): AnalysisSession =>
  new AnalysisSession(config, data, new RecordLog(join(directory, name)));
const values = (session: AnalysisSession): unknown => session.analysts.map(({ view }) => view);

test('killed and started again in mid-series, every later value equals an undisturbed run', () => {
  const data = loadMarketData({
    source: 'bundled',
    set: 'equity_daily',
    universe: ['FB', 'SPY'],
    maxBarMove: 0.4,
  });
  const undisturbed = open('undisturbed', data);
  const expected: unknown[] = [];
  while (undisturbed.step()) expected.push(values(undisturbed));
  for (const killedAt of [0, 1, 99, 100, 101, 250, 1_000]) {
    const name = `killed-${killedAt}`;
    const first = open(name, data);
    for (let bar = 0; bar < killedAt; bar += 1) first.step();
    const second = open(name, data);
    expect(second.position).toBe(Math.floor(killedAt / 100) * 100);
    while (second.step()) expect(values(second)).toEqual(expected[second.position - 1]);
    expect(second.signalsTotal).toBe(undisturbed.signalsTotal);
  }
});

test('stopped in order it goes on with the very next bar', () => {
  const data = dailyMarket([dailySeries('A', path(1, 60))]);
  const first = open('stopped', data);
  for (let bar = 0; bar < 37; bar += 1) first.step();
  first.close();
  expect(open('stopped', data).position).toBe(37);
});

test('another configuration starts anew', () => {
  const data = dailyMarket([dailySeries('A', path(1, 60))]);
  const first = open('changed', data);
  for (let bar = 0; bar < 37; bar += 1) first.step();
  first.close();
  const changed = resolveAnalysisConfig({ periods: { rsi: 7 } });
  expect(new AnalysisSession(changed, data, new RecordLog(join(directory, 'changed'))).position).toBe(0);
});

test('a bad bar and a missing one are counted and named, and go into no value', () => {
  const closes = path(1, 60);
  const clean = open(
    'clean',
    dailyMarket([dailySeries('A', closes.toSpliced(40, 1)), dailySeries('B', closes)]),
  );
  const damaged = open(
    'damaged',
    dailyMarket([dailySeries('A', closes.with(40, 0), { opens: closes }), dailySeries('B', closes)]),
  );
  while (damaged.position < 41) damaged.step();
  expect(damaged.analysts[0]?.view).toMatchObject({ bad_bars: 1, n_bars: 40, signals: ['bad_bar'] });
  while (clean.position < 41 && clean.step());
  const holed = open(
    'holed',
    dailyMarket([dailySeries('A', closes, { without: [40] }), dailySeries('B', closes)]),
  );
  while (holed.position < 41) holed.step();
  expect(holed.analysts[0]?.view).toMatchObject({ missing_bars: 1, n_bars: 40, signals: ['gap'] });
  expect(holed.analysts[0]?.view.values).toEqual(damaged.analysts[0]?.view.values);
});

test('nothing is shown before it is defined, and warm means that everything is', () => {
  const session = open('heads', dailyMarket([dailySeries('A', path(1, 60))]));
  const warmAt: number[] = [];
  while (session.step()) {
    const view = session.analysts[0]?.view;
    expect(view?.values['sma_20'] === null).toBe(session.position < 20);
    expect(view?.values['rsi_14'] === null).toBe(session.position < 15);
    expect(view?.values['macd'] === null).toBe(session.position < 34);
    if (view?.warm === true) warmAt.push(session.position);
  }
  expect(warmAt[0]).toBe(34);
});
