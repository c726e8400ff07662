/**
 * Parameters of `distributed_momentum` and their two sets of defaults (daily bars, five-minute grid).
 *
 * The names of `lookback` and the like are the specification's letters in the configuration (`L`, `S`, …) because
 * customers' configurations speak them; inside the code they have words.
 */

export interface MomentumParams {
  /** Cross-sectional look-back and skip, in bars (L, S). */
  readonly lookback: number;
  readonly skip: number;
  /** Time-series look-back and skip, in bars (TL, TS). */
  readonly trendLookback: number;
  readonly trendSkip: number;
  /** Volatility window in returns (W), centre of mass in bars (com), bars per year (A). */
  readonly volatilityWindow: number;
  readonly centreOfMass: number;
  readonly barsPerYear: number;
  readonly topQuantile: number;
  /** Annual. */
  readonly volTarget: number;
  readonly volFloor: number;
  readonly maxWeight: number;
  readonly maxGross: number;
  readonly allowShort: boolean;
  readonly absFilter: boolean;
  /** Grid only: largest share of missing points, longest trailing run of them. */
  readonly maxMissingFraction: number;
  readonly maxStaleBars: number;
  /** Fractions of equity. */
  readonly cashBuffer: number;
  readonly rebalanceThreshold: number;
  readonly maxUnscoredEpochs: number;
}

const shared = {
  volFloor: 0.01,
  maxGross: 1,
  allowShort: false,
  absFilter: true,
  cashBuffer: 0.02,
  rebalanceThreshold: 0.005,
  maxUnscoredEpochs: 3,
  maxMissingFraction: 0.02,
  maxStaleBars: 2,
} as const;

export const dailyMomentum: MomentumParams = {
  ...shared,
  lookback: 252,
  skip: 21,
  trendLookback: 252,
  trendSkip: 0,
  volatilityWindow: 252,
  centreOfMass: 60,
  barsPerYear: 252,
  topQuantile: 0.25,
  volTarget: 0.2,
  maxWeight: 0.35,
};

export const gridMomentum: MomentumParams = {
  ...shared,
  lookback: 864,
  skip: 12,
  trendLookback: 864,
  trendSkip: 0,
  volatilityWindow: 864,
  centreOfMass: 288,
  barsPerYear: 105_120,
  topQuantile: 0.34,
  volTarget: 0.6,
  maxWeight: 0.5,
};

/** Bars one score needs: the longest window and one close before it. */
export function barsNeeded(params: MomentumParams): number {
  return Math.max(params.lookback, params.trendLookback, params.volatilityWindow) + 1;
}
