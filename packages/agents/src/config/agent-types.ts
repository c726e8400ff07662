/**
 * The agent types this package provides: plain data, no strategy is imported.
 *
 * Both types run with an empty configuration. The schemas list every known key with its bounds and let unknown keys pass, because
 * the manager accepts those with a warning; what a schema cannot say (relations between keys) is in `validateConfig`.
 */
import type { AgentTypeRecipe } from '@muster/contract';

const draft = 'https://json-schema.org/draft/2020-12/schema';
const fraction = { type: 'number', minimum: 0, maximum: 1 };
const positiveFraction = { type: 'number', exclusiveMinimum: 0, maximum: 1 };
const bars = { type: 'integer', minimum: 1, maximum: 1_000_000 };
const skip = { type: 'integer', minimum: 0, maximum: 1_000_000 };
const symbol = { type: 'string', pattern: '^[A-Za-z0-9._:/-]{1,40}$' };
const symbols = { type: 'array', items: symbol, minItems: 1, maxItems: 500, uniqueItems: true };

const data = {
  type: 'object',
  description:
    'Where prices come from. "bundled" holds equity_daily; "path" reads the directory MUSTER_MARKET_DATA of the orchestrator.',
  properties: {
    source: { type: 'string', enum: ['bundled', 'path'], default: 'bundled' },
    set: {
      type: 'string',
      enum: ['equity_daily', 'crypto_daily', 'crypto_5m', 'crypto_1m'],
      default: 'equity_daily',
    },
    max_bar_move: {
      type: 'number',
      exclusiveMinimum: 0,
      maximum: 100,
      description: 'Larger moves of one bar quarantine the symbol.',
    },
    confirmed_moves: {
      type: 'array',
      maxItems: 100,
      items: {
        type: 'string',
        pattern: '^[A-Za-z0-9._:/-]{1,40}@\\d{4}-\\d{2}-\\d{2}(T\\d{2}:\\d{2}:\\d{2}Z)?$',
      },
      description: 'Large moves that are real, as SYMBOL@date.',
    },
  },
};

const replay = {
  type: 'object',
  properties: {
    bars_per_second: {
      type: 'number',
      minimum: 0,
      maximum: 1_000_000,
      default: 2,
      description: '0 = as fast as possible.',
    },
    loop: {
      type: 'boolean',
      default: false,
      description: 'Start over with a fresh account when history ends.',
    },
    start: {
      type: 'string',
      pattern: '^\\d{4}-\\d{2}-\\d{2}$',
      description: 'Market time begins here; earlier bars are history.',
    },
  },
};

const risk = {
  type: 'object',
  description: 'Limits every order passes. Fractions are of equity.',
  properties: {
    max_order_notional: { ...positiveFraction, maximum: 2 },
    max_position_weight: positiveFraction,
    max_gross: { ...positiveFraction, maximum: 10 },
    max_open_orders: { type: 'integer', minimum: 1, maximum: 1_000 },
    orders_per_10s: { type: 'integer', minimum: 1, maximum: 10_000 },
    orders_per_day: { type: 'integer', minimum: 1, maximum: 1_000_000 },
    price_collar: positiveFraction,
    max_daily_loss: positiveFraction,
    max_drawdown: positiveFraction,
    on_max_drawdown: { type: 'string', enum: ['halt', 'halt_and_flatten'] },
    stale_intervals: { type: 'integer', minimum: 1, maximum: 10_000 },
    repeat_guard: { type: 'integer', minimum: 1, maximum: 1_000 },
  },
};

const tradingSchema = {
  $schema: draft,
  title: 'Configuration of trading_agent',
  type: 'object',
  additionalProperties: true,
  properties: {
    strategy: { type: 'string', enum: ['distributed_momentum'], default: 'distributed_momentum' },
    mode: { type: 'string', enum: ['paper'], default: 'paper' },
    universe: symbols,
    calendar: { type: 'string', enum: ['exchange', 'continuous'] },
    L: bars,
    S: skip,
    TL: bars,
    TS: skip,
    W: { ...bars, minimum: 20 },
    com: { type: 'number', exclusiveMinimum: 0, maximum: 1_000_000 },
    A: { type: 'number', exclusiveMinimum: 0, maximum: 100_000_000 },
    top_quantile: positiveFraction,
    vol_target: { type: 'number', exclusiveMinimum: 0, maximum: 10 },
    vol_floor: { type: 'number', exclusiveMinimum: 0, maximum: 10 },
    max_weight: positiveFraction,
    max_gross: { type: 'number', exclusiveMinimum: 0, maximum: 10 },
    allow_short: { type: 'boolean', default: false },
    abs_filter: { type: 'boolean', default: true },
    max_missing_frac: fraction,
    max_stale_bars: { type: 'integer', minimum: 0, maximum: 1_000_000 },
    cash_buffer: { ...fraction, exclusiveMaximum: 1 },
    rebalance_threshold: fraction,
    max_unscored_epochs: { type: 'integer', minimum: 1, maximum: 1_000 },
    execution_scope: { type: 'string', enum: ['account'], default: 'account' },
    initial_cash: { type: 'number', exclusiveMinimum: 0, maximum: 1e12, default: 100_000 },
    fee: { ...fraction, exclusiveMaximum: 1, default: 0.001 },
    slippage: { ...fraction, exclusiveMaximum: 1, default: 0.0005 },
    quantity_step: { type: 'number', minimum: 1e-12, maximum: 1e9 },
    tick_size: { type: 'number', minimum: 1e-12, maximum: 1e6 },
    min_notional: { type: 'number', minimum: 0, maximum: 1e9 },
    max_participation: positiveFraction,
    latency_ms: { type: 'integer', minimum: 0, maximum: 86_400_000, default: 250 },
    order_timeout_ms: { type: 'integer', minimum: 1, maximum: 31_536_000_000, default: 600_000 },
    fill_on_touch: { type: 'boolean', default: false },
    data,
    replay,
    risk,
  },
} as const;

const analysisSchema = {
  $schema: draft,
  title: 'Configuration of analysis_agent',
  type: 'object',
  additionalProperties: true,
  properties: {
    analysis_type: { type: 'string', enum: ['technical'], default: 'technical' },
    symbols,
    indicators: {
      type: 'array',
      minItems: 1,
      maxItems: 8,
      uniqueItems: true,
      items: { type: 'string', enum: ['sma', 'ema', 'wma', 'rsi', 'macd', 'roc', 'atr', 'bollinger'] },
    },
    periods: {
      type: 'object',
      description: 'Periods in bars.',
      properties: {
        sma: { type: 'integer', minimum: 1, maximum: 10_000, default: 20 },
        ema: { type: 'integer', minimum: 1, maximum: 10_000, default: 20 },
        wma: { type: 'integer', minimum: 1, maximum: 10_000, default: 14 },
        rsi: { type: 'integer', minimum: 2, maximum: 10_000, default: 14 },
        roc: { type: 'integer', minimum: 1, maximum: 10_000, default: 14 },
        atr: { type: 'integer', minimum: 1, maximum: 10_000, default: 14 },
        bollinger: { type: 'integer', minimum: 2, maximum: 10_000, default: 20 },
        macd_fast: { type: 'integer', minimum: 2, maximum: 10_000, default: 12 },
        macd_slow: { type: 'integer', minimum: 2, maximum: 10_000, default: 26 },
        macd_signal: { type: 'integer', minimum: 1, maximum: 10_000, default: 9 },
      },
    },
    data,
    replay,
  },
} as const;

/** Every agent type of this package. */
export const agentTypes: readonly AgentTypeRecipe[] = [
  {
    type: 'trading_agent',
    version: '1.0.0',
    title: 'Trading agent',
    description:
      'Trades a momentum book over a universe in a paper account; history is replayed at a chosen speed.',
    trading: true,
    run: { kind: 'node', entry: '@muster/agents/trading' },
    configSchema: tradingSchema,
    defaults: {},
    resources: { memoryBytes: 201_326_592, cpuCores: 0.1 },
    verbs: [
      'status',
      'balance',
      'positions',
      'orders',
      'trades',
      'performance',
      'risk',
      'pause',
      'resume',
      'halt',
      'release',
      'flatten',
      'cancel-orders',
      'reconcile',
      'health',
      'config',
    ],
    stopGraceMs: 10_000,
    inFlightMs: 0,
  },
  {
    type: 'analysis_agent',
    version: '1.0.0',
    title: 'Analysis agent',
    description: 'Computes technical indicators per symbol at each bar close and serves the last values.',
    trading: false,
    run: { kind: 'node', entry: '@muster/agents/analysis' },
    configSchema: analysisSchema,
    defaults: {},
    resources: { memoryBytes: 201_326_592, cpuCores: 0.1 },
    verbs: ['status', 'indicators', 'signals', 'health', 'config'],
    stopGraceMs: 5_000,
    inFlightMs: 0,
  },
];
