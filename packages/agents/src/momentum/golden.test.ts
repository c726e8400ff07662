import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { buildCalendar } from '../market-data/calendar.ts';
import { loadMarketData } from '../market-data/market-data.ts';
import { buildBook } from './book.ts';
import { cutoffsOf } from './cutoffs.ts';
import { dailyMomentum, gridMomentum, type MomentumParams } from './params.ts';
import { ownersOf } from './rendezvous.ts';
import { scoreSymbol } from './score.ts';
import { targetLines, targetsHeader } from './targets.ts';

const golden = (name: string): string =>
  readFileSync(join(import.meta.dirname, '../../data/golden', name), 'utf8');

/** The whole table from the first cut-off the expected file has. */
function targetsText(data: ReturnType<typeof loadMarketData>, params: MomentumParams, from: string): string {
  const calendar = buildCalendar(data.traits.calendar, data.series, data.traits.intervalMs);
  const lines = [targetsHeader];
  for (const cutoff of cutoffsOf(calendar)) {
    if (cutoff.name < from) continue;
    const scores = data.series.map((series) => scoreSymbol(series, calendar, cutoff.at, params));
    lines.push(...targetLines(cutoff.name, buildBook(scores, params)));
  }
  return `${lines.join('\n')}\n`;
}

describe('golden targets', () => {
  const equities = loadMarketData({ source: 'bundled', set: 'equity_daily', maxBarMove: 0.4 });

  test('the long-only book over 12 equities is text-equal', () => {
    expect(targetsText(equities, dailyMomentum, '2010-12-31')).toBe(
      golden('momentum_equity_daily_targets.csv'),
    );
  });

  test('the long/short book over 12 equities is text-equal', () => {
    const params = { ...dailyMomentum, allowShort: true, absFilter: false };
    expect(targetsText(equities, params, '2010-12-31')).toBe(
      golden('momentum_equity_daily_longshort_targets.csv'),
    );
  });

  test('owners of every symbol equal the table for each membership', () => {
    const members: Record<string, string[]> = {};
    for (const count of [1, 2, 3, 5, 8])
      members[String(count)] = Array.from({ length: count }, (_, index) => `agent-${index + 1}`);
    members['5-minus-agent-3'] = (members['5'] ?? []).filter((name) => name !== 'agent-3');
    const rows = golden('hrw_assignment.csv').trim().split('\n').slice(1);
    const wrong = rows.filter((row) => {
      const [membership = '', id = '', owner] = row.split(',');
      return ownersOf(id, members[membership] ?? [])[0] !== owner;
    });
    expect(rows).toHaveLength(90);
    expect(wrong).toEqual([]);
  });
});

const external = process.env['MUSTER_MARKET_DATA'];
if (external === undefined)
  process.stdout.write(
    'external data absent: golden crypto_5m targets were not compared (set MUSTER_MARKET_DATA)\n',
  );

describe.runIf(external !== undefined)('golden targets over external data', () => {
  test('the five-minute book over six pairs is text-equal', () => {
    const data = loadMarketData({ source: 'path', set: 'crypto_5m', directory: external, maxBarMove: 0.2 });
    const expected = readFileSync(join(external ?? '', 'golden/momentum_crypto_5m_targets.csv'), 'utf8');
    expect(targetsText(data, gridMomentum, '2018-01-11')).toBe(expected);
  });
});
