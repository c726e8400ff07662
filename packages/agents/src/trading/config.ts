/**
 * From `agent_config` (snake_case, the specification's letters) to what the trading agent works with.
 *
 * The configuration was validated against the type's schema and rules before it got here (validate-config.ts), at the manager and
 * again by the agent. Defaults depend on the data set: daily sessions or a continuous grid.
 */
import { createHash } from 'node:crypto';
import { type CalendarKind, dayMs } from '../market-data/calendar.ts';
import { dataSets } from '../market-data/data-sets.ts';
import { dailyMomentum, gridMomentum, type MomentumParams } from '../momentum/params.ts';
import { resolveParams } from '../momentum/resolve-params.ts';
import { type Fixed, fixed } from '../money/fixed-point.ts';
import type { PaperRules } from '../paper/venue.ts';

/** Fractions of equity unless said otherwise. */
export interface RiskLimits {
  readonly maxOrderNotional: number;
  readonly maxPositionWeight: number;
  readonly maxGross: number;
  readonly maxOpenOrders: number;
  readonly ordersPer10s: number;
  readonly ordersPerDay: number;
  readonly priceCollar: number;
  readonly maxDailyLoss: number;
  readonly maxDrawdown: number;
  readonly onMaxDrawdown: 'halt' | 'halt_and_flatten';
  /** Calendar slots without a bar. */
  readonly staleIntervals: number;
  /** Identical rejected orders in a row that lock a symbol. */
  readonly repeatGuard: number;
}

export interface TradingConfig {
  readonly strategy: 'distributed_momentum';
  readonly mode: 'paper';
  readonly data: {
    readonly source: 'bundled' | 'path';
    readonly set: string;
    readonly universe: readonly string[] | undefined;
  };
  readonly maxBarMove: number;
  readonly confirmedMoves: readonly string[];
  readonly calendar: CalendarKind;
  readonly params: MomentumParams;
  readonly initialCash: Fixed;
  readonly quantityStep: Fixed;
  readonly minNotional: number;
  readonly paper: PaperRules;
  readonly risk: RiskLimits;
  readonly replay: {
    readonly barsPerSecond: number;
    readonly loop: boolean;
    readonly start: string | undefined;
  };
  /** SHA-256 of the resolved configuration without the replay speed: decisions depend on it. */
  readonly hash: string;
}

type Raw = Readonly<Record<string, unknown>>;

/** Applies defaults. The input must have passed `validateConfig('trading_agent', …)`. */
export function resolveTradingConfig(raw: Raw): TradingConfig {
  const data = section(raw, 'data');
  const set = text(data, 'set', 'equity_daily');
  const traits = dataSets[set] ?? { calendar: 'exchange', intervalMs: dayMs, suffixes: [''] };
  const daily = traits.intervalMs >= dayMs;
  const params = resolveParams(raw, daily ? dailyMomentum : gridMomentum);
  const universe = Array.isArray(raw['universe']) ? (raw['universe'] as string[]) : undefined;
  const step = fixed(number(raw, 'quantity_step', set === 'equity_daily' ? 1 : 1e-8));
  const replay = section(raw, 'replay');
  const config: Omit<TradingConfig, 'hash' | 'replay'> = {
    strategy: 'distributed_momentum',
    mode: 'paper',
    data: { source: data['source'] === 'path' ? 'path' : 'bundled', set, universe },
    maxBarMove: number(data, 'max_bar_move', daily ? 0.4 : 0.2),
    confirmedMoves: Array.isArray(data['confirmed_moves']) ? (data['confirmed_moves'] as string[]) : [],
    calendar:
      raw['calendar'] === 'exchange' || raw['calendar'] === 'continuous' ? raw['calendar'] : traits.calendar,
    params,
    initialCash: fixed(number(raw, 'initial_cash', 100_000)),
    quantityStep: step,
    minNotional: number(raw, 'min_notional', 0),
    paper: resolvePaper(raw, step, params),
    risk: resolveRisk(section(raw, 'risk'), params),
  };
  const canonical = JSON.stringify(config, (_key, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  );
  return {
    ...config,
    replay: {
      barsPerSecond: number(replay, 'bars_per_second', 2),
      loop: replay['loop'] === true,
      start: typeof replay['start'] === 'string' ? replay['start'] : undefined,
    },
    hash: createHash('sha256').update(canonical).digest('hex'),
  };
}

function resolvePaper(raw: Raw, quantityStep: Fixed, params: MomentumParams): PaperRules {
  const fee = number(raw, 'fee', 0.001);
  return {
    slippage: number(raw, 'slippage', 0.0005),
    takerFee: fee,
    makerFee: fee,
    maxParticipation: number(raw, 'max_participation', 0.1),
    latencyMs: number(raw, 'latency_ms', 250),
    orderTimeoutMs: number(raw, 'order_timeout_ms', 600_000),
    fillOnTouch: flag(raw, 'fill_on_touch', false),
    allowShort: params.allowShort,
    quantityStep,
    tickSize: fixed(number(raw, 'tick_size', 1e-8)),
    minQuantity: quantityStep,
    minNotional: number(raw, 'min_notional', 0),
  };
}

/**
 * The limits of a paper account. One default is relaxed against a live account's: `max_order_notional` (10 % there) is the
 * weight cap here, because a monthly rebalance buys a whole position in one order and replayed daily bars have no later
 * slice to spread it over; a change of side is twice that. All others keep the specification's values.
 */
function resolveRisk(raw: Raw, params: MomentumParams): RiskLimits {
  return {
    maxOrderNotional: number(raw, 'max_order_notional', params.maxWeight * (params.allowShort ? 2 : 1)),
    maxPositionWeight: number(raw, 'max_position_weight', params.maxWeight),
    maxGross: number(raw, 'max_gross', params.maxGross),
    maxOpenOrders: number(raw, 'max_open_orders', 20),
    ordersPer10s: number(raw, 'orders_per_10s', 10),
    ordersPerDay: number(raw, 'orders_per_day', 200),
    priceCollar: number(raw, 'price_collar', 0.05),
    maxDailyLoss: number(raw, 'max_daily_loss', 0.03),
    maxDrawdown: number(raw, 'max_drawdown', 0.2),
    onMaxDrawdown: raw['on_max_drawdown'] === 'halt_and_flatten' ? 'halt_and_flatten' : 'halt',
    staleIntervals: number(raw, 'stale_intervals', 3),
    repeatGuard: number(raw, 'repeat_guard', 5),
  };
}

function section(raw: Raw, key: string): Raw {
  const value = raw[key];
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Raw) : {};
}
function number(raw: Raw, key: string, fallback: number): number {
  const value = raw[key];
  return typeof value === 'number' ? value : fallback;
}
function text(raw: Raw, key: string, fallback: string): string {
  const value = raw[key];
  return typeof value === 'string' ? value : fallback;
}
function flag(raw: Raw, key: string, fallback: boolean): boolean {
  const value = raw[key];
  return typeof value === 'boolean' ? value : fallback;
}
