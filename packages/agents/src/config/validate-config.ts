/**
 * Is a configuration fit to run? Pure; the manager asks before it places an agent, the agent asks again before it starts.
 *
 * Schema first, then what a schema cannot say: relations between keys after defaults. Keys that no schema knows are
 * nobody's error here.
 */

import { dataSets } from '../market-data/data-sets.ts';
import { barsNeeded, dailyMomentum, gridMomentum } from '../momentum/params.ts';
import { resolveParams } from '../momentum/resolve-params.ts';
import { agentTypes } from './agent-types.ts';
import { type ConfigIssue, checkSchema } from './schema-check.ts';

export type { ConfigIssue };

/** Everything wrong with `config` for agent type `type`; empty = it will run. An unknown type is one issue at the root. */
export function validateConfig(type: string, config: unknown): ConfigIssue[] {
  const recipe = agentTypes.find((one) => one.type === type);
  if (recipe === undefined) {
    return [
      {
        path: '',
        message: `unknown agent type "${type}"; known: ${agentTypes.map((one) => one.type).join(', ')}`,
      },
    ];
  }
  const raw = config as Readonly<Record<string, unknown>>;
  if (type === 'trading_agent' && typeof raw === 'object' && raw !== null && raw['mode'] === 'live') {
    return [
      { path: '/mode', message: 'live trading is not available: this release trades paper accounts only' },
    ];
  }
  const issues = checkSchema(recipe.configSchema, config);
  if (issues.length > 0) return issues;
  return type === 'trading_agent'
    ? [...checkData(raw), ...checkMomentum(raw)]
    : [...checkData(raw), ...checkPeriods(raw)];
}

function checkData(raw: Readonly<Record<string, unknown>>): ConfigIssue[] {
  const { source, set } = (raw['data'] ?? {}) as { source?: string; set?: string };
  if (source === 'path' || set === undefined || set === 'equity_daily') return [];
  return [{ path: '/data/set', message: `"${set}" is not bundled; use source "path"` }];
}

function checkMomentum(raw: Readonly<Record<string, unknown>>): ConfigIssue[] {
  const set = ((raw['data'] ?? {}) as { set?: string }).set ?? 'equity_daily';
  const daily = (dataSets[set]?.intervalMs ?? 0) >= 86_400_000;
  const params = resolveParams(raw, daily ? dailyMomentum : gridMomentum);
  const issues: ConfigIssue[] = [];
  if (params.skip >= params.lookback)
    issues.push({ path: '/S', message: `S=${params.skip} must be less than L=${params.lookback}` });
  if (params.trendSkip >= params.trendLookback) {
    issues.push({
      path: '/TS',
      message: `TS=${params.trendSkip} must be less than TL=${params.trendLookback}`,
    });
  }
  if (params.allowShort && params.topQuantile > 0.5) {
    issues.push({ path: '/top_quantile', message: 'must be at most 0.5 when allow_short is on' });
  }
  if (barsNeeded(params) > 100_000)
    issues.push({ path: '', message: 'L, TL and W must not need more than 100000 bars' });
  return issues;
}

function checkPeriods(raw: Readonly<Record<string, unknown>>): ConfigIssue[] {
  const periods = (raw['periods'] ?? {}) as Readonly<Record<string, number>>;
  const fast = periods['macd_fast'] ?? 12;
  const slow = periods['macd_slow'] ?? 26;
  if (fast < slow) return [];
  return [{ path: '/periods/macd_fast', message: `macd_fast=${fast} must be less than macd_slow=${slow}` }];
}
