import { describe, expect, test } from 'vitest';
import { agentTypes, validateConfig } from '../catalogue.ts';

const paths = (type: string, config: unknown): string[] =>
  validateConfig(type, config).map(({ path }) => path);

describe('the catalogue', () => {
  test('both types run with an empty configuration and survive JSON', () => {
    for (const recipe of agentTypes) {
      expect(validateConfig(recipe.type, {})).toEqual([]);
      expect(JSON.parse(JSON.stringify(recipe))).toEqual(recipe);
      expect(recipe.stopGraceMs).toBeGreaterThan(0);
    }
    expect(agentTypes.map(({ type, trading }) => [type, trading])).toEqual([
      ['trading_agent', true],
      ['analysis_agent', false],
    ]);
  });
  test('an unknown type names the known ones', () => {
    expect(validateConfig('mining_agent', {})[0]?.message).toContain('trading_agent');
  });
});

describe('a trading configuration', () => {
  test('of the first customers is accepted, unknown keys included', () => {
    expect(validateConfig('trading_agent', { strategy: 'distributed_momentum', colour: 'blue' })).toEqual([]);
  });
  test('asking for live trading is refused with the reason', () => {
    expect(validateConfig('trading_agent', { mode: 'live' })).toEqual([
      { path: '/mode', message: 'live trading is not available: this release trades paper accounts only' },
    ]);
  });
  test.each([
    ['an unknown strategy', { strategy: 'hodl' }, '/strategy'],
    ['text for a number', { L: '252' }, '/L'],
    ['a fraction for bars', { L: 252.5 }, '/L'],
    ['a short volatility window', { W: 19 }, '/W'],
    ['a number that is none', { initial_cash: Number.NaN }, '/initial_cash'],
    ['a skip beyond the look-back', { L: 20, S: 20 }, '/S'],
    ['a trend skip beyond its look-back', { TL: 5, TS: 5 }, '/TS'],
    ['a default look-back below a given skip', { S: 252 }, '/S'],
    ['half the names on both sides', { allow_short: true, top_quantile: 0.6 }, '/top_quantile'],
    ['no cap', { max_weight: 0 }, '/max_weight'],
    ['a symbol that is a path', { universe: ['../../etc passwd'] }, '/universe/0'],
    ['a symbol twice', { universe: ['AAPL', 'AAPL'] }, '/universe'],
    ['no symbol', { universe: [] }, '/universe'],
    ['an unknown data set', { data: { set: '../golden' } }, '/data/set'],
    ['a set that is not bundled', { data: { set: 'crypto_5m' } }, '/data/set'],
    ['a negative speed', { replay: { bars_per_second: -1 } }, '/replay/bars_per_second'],
    ['a limit that is text', { risk: { max_gross: 'none' } }, '/risk/max_gross'],
    ['a list for an object', { risk: [] }, '/risk'],
  ])('%s is refused at its place', (_name, config, path) => {
    expect(paths('trading_agent', config)).toEqual([path]);
  });
  test('grid defaults are used for a grid set', () => {
    const data = { source: 'path', set: 'crypto_5m' };
    expect(paths('trading_agent', { data, S: 800 })).toEqual([]);
    expect(paths('trading_agent', { data, S: 900 })).toEqual(['/S']);
  });
  test.each([null, [], 'text', 5, undefined])('%j is no configuration', (config) => {
    expect(validateConfig('trading_agent', config)).toEqual([{ path: '', message: 'must be an object' }]);
  });
});

describe('an analysis configuration', () => {
  test('accepts analysis_type and refuses what it cannot compute', () => {
    expect(
      paths('analysis_agent', { analysis_type: 'technical', symbols: ['AAPL'], indicators: ['rsi'] }),
    ).toEqual([]);
    expect(paths('analysis_agent', { analysis_type: 'astrology' })).toEqual(['/analysis_type']);
    expect(paths('analysis_agent', { indicators: ['rsi', 'moon'] })).toEqual(['/indicators/1']);
    expect(paths('analysis_agent', { periods: { macd_fast: 30 } })).toEqual(['/periods/macd_fast']);
  });
});
