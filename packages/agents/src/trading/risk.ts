/**
 * The limits every order passes before it may leave, and the denials they produce.
 *
 * Pure: the same account, prices and order give the same answer, so a restarted agent denies what it denied before. An
 * order that lowers |position| passes everything but a halt, a lost lease and the rate of messages.
 */
import { absolute, type Fixed, parseFixed, toNumber } from '../money/fixed-point.ts';
import { type Account, refusalKey } from './account.ts';
import type { RiskLimits } from './config.ts';
import type { DenialCode } from './ports.ts';
import type { OrderIntent } from './records.ts';

export interface Denial {
  readonly code: DenialCode;
  /** The numbers, for example `effective_quantity=15, max_quantity=10`. */
  readonly message: string;
}

export interface RiskContext {
  readonly now: number;
  readonly canTrade: boolean;
  /** Last good close of a symbol; NaN when there is none. */
  readonly priceOf: (symbol: string) => number;
  /** Calendar slots since the symbol's last bar. */
  readonly ageOf: (symbol: string) => number;
}

/** Undefined = the order may leave. */
export function judgeOrder(
  intent: OrderIntent,
  account: Account,
  limits: RiskLimits,
  context: RiskContext,
): Denial | undefined {
  if (!context.canTrade) return { code: 'NO_LEASE', message: 'the lease of this agent has run out' };
  const { latch } = account;
  if (latch.state === 'halted' && !(latch.flattening && intent.purpose === 'flatten')) {
    return { code: 'TRADING_HALTED', message: `halted by ${latch.by}: ${latch.reason}` };
  }
  const rate = judgeRate(account, limits, context.now);
  if (rate !== undefined) return rate;
  if (lowersPosition(intent, account)) return undefined;
  return judgeState(intent, account, limits, context) ?? judgeSize(intent, account, limits, context);
}

function judgeRate(account: Account, limits: RiskLimits, now: number): Denial | undefined {
  const day = Math.floor(now / 86_400_000);
  const recent = account.sentTimes.filter((at) => at > now - 10_000).length;
  const today = account.sentTimes.filter((at) => Math.floor(at / 86_400_000) === day).length;
  if (recent >= limits.ordersPer10s)
    return { code: 'RATE_LIMIT', message: `orders_in_10s=${recent}, max=${limits.ordersPer10s}` };
  if (today >= limits.ordersPerDay)
    return { code: 'RATE_LIMIT', message: `orders_today=${today}, max=${limits.ordersPerDay}` };
  return undefined;
}

/** Counting what open orders will have done, the order only brings the position nearer to zero. */
function lowersPosition(intent: OrderIntent, account: Account): boolean {
  const before = expectedPosition(account, intent.symbol, intent.id);
  const after = before + signed(intent);
  return before !== 0n && (after === 0n || after > 0n === before > 0n) && absolute(after) < absolute(before);
}

function judgeState(
  intent: OrderIntent,
  account: Account,
  limits: RiskLimits,
  context: RiskContext,
): Denial | undefined {
  if (account.latch.state !== 'running')
    return { code: 'REDUCE_ONLY', message: `paused by ${account.latch.by}: ${account.latch.reason}` };
  const start = account.performance.dayStartEquity;
  const loss = start > 0 ? (start - account.performance.equity) / start : 0;
  if (loss > limits.maxDailyLoss)
    return {
      code: 'REDUCE_ONLY',
      message: `daily_loss=${loss.toFixed(6)}, max_daily_loss=${limits.maxDailyLoss}`,
    };
  const age = context.ageOf(intent.symbol);
  if (age > limits.staleIntervals)
    return { code: 'STALE_DATA', message: `intervals_without_bar=${age}, max=${limits.staleIntervals}` };
  const refusals = account.refusals.get(refusalKey(intent)) ?? 0;
  if (refusals >= limits.repeatGuard)
    return { code: 'SYMBOL_LOCKED', message: `rejections_in_a_row=${refusals}, max=${limits.repeatGuard}` };
  const open = account.openOrders().filter(({ status }) => status !== 'intent').length;
  if (open >= limits.maxOpenOrders)
    return { code: 'OPEN_ORDERS', message: `open_orders=${open}, max=${limits.maxOpenOrders}` };
  return undefined;
}

function judgeSize(
  intent: OrderIntent,
  account: Account,
  limits: RiskLimits,
  context: RiskContext,
): Denial | undefined {
  const equity = account.performance.equity;
  const price = context.priceOf(intent.symbol);
  if (!(equity > 0)) return { code: 'GROSS', message: `equity=${equity}` };
  const away = Math.abs(intent.refPrice / price - 1);
  if (!(away <= limits.priceCollar))
    return {
      code: 'PRICE_COLLAR',
      message: `ref_price=${intent.refPrice}, last=${price}, max_fraction=${limits.priceCollar}`,
    };
  const order = (toNumber(parseFixed(intent.quantity)) * price) / equity;
  if (exceeds(order, limits.maxOrderNotional))
    return {
      code: 'ORDER_NOTIONAL',
      message: `fraction=${order.toFixed(6)}, max_fraction=${limits.maxOrderNotional}`,
    };
  const after = expectedPosition(account, intent.symbol, intent.id) + signed(intent);
  const weight = (Math.abs(toNumber(after)) * price) / equity;
  if (exceeds(weight, limits.maxPositionWeight))
    return {
      code: 'POSITION_WEIGHT',
      message: `weight=${weight.toFixed(6)}, max_weight=${limits.maxPositionWeight}`,
    };
  const gross = expectedGross(account, intent, after, context) / equity;
  if (exceeds(gross, limits.maxGross))
    return { code: 'GROSS', message: `gross=${gross.toFixed(6)}, max_gross=${limits.maxGross}` };
  return undefined;
}

/** Limits are compared with room for the rounding of doubles only. */
function exceeds(value: number, limit: number): boolean {
  return !(value <= limit + 1e-9);
}

function expectedGross(account: Account, intent: OrderIntent, after: Fixed, context: RiskContext): number {
  const symbols = new Set([
    ...account.ledger.positions.keys(),
    ...account.openOrders().map((order) => order.intent.symbol),
  ]);
  symbols.add(intent.symbol);
  let gross = 0;
  for (const symbol of symbols) {
    const quantity = symbol === intent.symbol ? after : expectedPosition(account, symbol, intent.id);
    if (quantity !== 0n) gross += Math.abs(toNumber(quantity)) * context.priceOf(symbol);
  }
  return gross;
}

/** Position plus what sent and still open orders will add; the order under judgement (`except`) and mere intents do not count. */
function expectedPosition(account: Account, symbol: string, except: string): Fixed {
  let quantity = account.ledger.quantityOf(symbol);
  for (const { intent, status, filled } of account.openOrders()) {
    if (intent.symbol !== symbol || intent.id === except || status === 'intent') continue;
    const rest = parseFixed(intent.quantity) - filled;
    quantity += intent.side === 'buy' ? rest : -rest;
  }
  return quantity;
}

function signed(intent: OrderIntent): Fixed {
  const quantity = parseFixed(intent.quantity);
  return intent.side === 'buy' ? quantity : -quantity;
}
