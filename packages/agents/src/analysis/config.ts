/** From `agent_config` of an analysis agent to what it works with; the input has passed `validateConfig('analysis_agent', …)`. */
import { createHash } from 'node:crypto';
import { dataSets } from '../market-data/data-sets.ts';

const indicatorNames = ['sma', 'ema', 'wma', 'rsi', 'macd', 'roc', 'atr', 'bollinger'] as const;
export type IndicatorName = (typeof indicatorNames)[number];

const defaultPeriods = {
  sma: 20,
  ema: 20,
  wma: 14,
  rsi: 14,
  roc: 14,
  atr: 14,
  bollinger: 20,
  macd_fast: 12,
  macd_slow: 26,
  macd_signal: 9,
} as const;
export type Periods = { readonly [K in keyof typeof defaultPeriods]: number };

export interface AnalysisConfig {
  readonly analysisType: 'technical';
  readonly symbols: readonly string[] | undefined;
  readonly indicators: readonly IndicatorName[];
  readonly periods: Periods;
  readonly data: { readonly source: 'bundled' | 'path'; readonly set: string };
  readonly maxBarMove: number;
  readonly confirmedMoves: readonly string[];
  readonly replay: {
    readonly barsPerSecond: number;
    readonly loop: boolean;
    readonly start: string | undefined;
  };
  /** SHA-256 over what the values depend on. */
  readonly hash: string;
}

interface RawConfig {
  readonly symbols?: readonly string[];
  readonly indicators?: readonly IndicatorName[];
  readonly periods?: Partial<Periods>;
  readonly data?: {
    readonly source?: string;
    readonly set?: string;
    readonly max_bar_move?: number;
    readonly confirmed_moves?: readonly string[];
  };
  readonly replay?: { readonly bars_per_second?: number; readonly loop?: boolean; readonly start?: string };
}

/** Applies defaults. */
export function resolveAnalysisConfig(config: Readonly<Record<string, unknown>>): AnalysisConfig {
  const raw = config as RawConfig;
  const set = raw.data?.set ?? 'equity_daily';
  const daily = (dataSets[set]?.intervalMs ?? 0) >= 86_400_000;
  const resolved = {
    analysisType: 'technical' as const,
    symbols: raw.symbols,
    indicators: raw.indicators ?? (['sma', 'ema', 'rsi', 'macd', 'atr', 'bollinger'] as const),
    periods: { ...defaultPeriods, ...raw.periods },
    data: { source: raw.data?.source === 'path' ? ('path' as const) : ('bundled' as const), set },
    maxBarMove: raw.data?.max_bar_move ?? (daily ? 0.4 : 0.2),
    confirmedMoves: raw.data?.confirmed_moves ?? [],
  };
  return {
    ...resolved,
    replay: {
      barsPerSecond: raw.replay?.bars_per_second ?? 2,
      loop: raw.replay?.loop === true,
      start: raw.replay?.start,
    },
    hash: createHash('sha256')
      .update(JSON.stringify([resolved, raw.replay?.start ?? null]))
      .digest('hex'),
  };
}

/** Bars until every indicator has a value. */
export function barsUntilWarm({ indicators, periods }: AnalysisConfig): number {
  const need: Record<IndicatorName, number> = {
    sma: periods.sma,
    ema: periods.ema,
    wma: periods.wma,
    rsi: periods.rsi + 1,
    roc: periods.roc + 1,
    atr: periods.atr + 1,
    bollinger: periods.bollinger,
    macd: periods.macd_slow + periods.macd_signal - 1,
  };
  return Math.max(...indicators.map((name) => need[name]));
}
