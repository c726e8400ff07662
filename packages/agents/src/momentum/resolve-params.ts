/** Reads the strategy's parameters from a configuration: the specification's letters over a set of defaults. */
import type { MomentumParams } from './params.ts';

type Raw = Readonly<Record<string, unknown>>;

/** The momentum parameters a configuration means, over the given defaults. */
export function resolveParams(raw: Raw, defaults: MomentumParams): MomentumParams {
  return {
    lookback: number(raw, 'L', defaults.lookback),
    skip: number(raw, 'S', defaults.skip),
    trendLookback: number(raw, 'TL', defaults.trendLookback),
    trendSkip: number(raw, 'TS', defaults.trendSkip),
    volatilityWindow: number(raw, 'W', defaults.volatilityWindow),
    centreOfMass: number(raw, 'com', defaults.centreOfMass),
    barsPerYear: number(raw, 'A', defaults.barsPerYear),
    topQuantile: number(raw, 'top_quantile', defaults.topQuantile),
    volTarget: number(raw, 'vol_target', defaults.volTarget),
    volFloor: number(raw, 'vol_floor', defaults.volFloor),
    maxWeight: number(raw, 'max_weight', defaults.maxWeight),
    maxGross: number(raw, 'max_gross', defaults.maxGross),
    allowShort: flag(raw, 'allow_short', defaults.allowShort),
    absFilter: flag(raw, 'abs_filter', defaults.absFilter),
    maxMissingFraction: number(raw, 'max_missing_frac', defaults.maxMissingFraction),
    maxStaleBars: number(raw, 'max_stale_bars', defaults.maxStaleBars),
    cashBuffer: number(raw, 'cash_buffer', defaults.cashBuffer),
    rebalanceThreshold: number(raw, 'rebalance_threshold', defaults.rebalanceThreshold),
    maxUnscoredEpochs: number(raw, 'max_unscored_epochs', defaults.maxUnscoredEpochs),
  };
}

function number(raw: Raw, key: string, fallback: number): number {
  const value = raw[key];
  return typeof value === 'number' ? value : fallback;
}

function flag(raw: Raw, key: string, fallback: boolean): boolean {
  const value = raw[key];
  return typeof value === 'boolean' ? value : fallback;
}
