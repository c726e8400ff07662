/** What the reading verbs answer, and the metrics: plain JSON from the account, changing nothing. Names are snake_case as on the wire. */
import { type AgentCommand, CommandRefused } from '@muster/agent-sdk';
import { instantText } from '../market-data/calendar.ts';
import { fixedText, toNumber } from '../money/fixed-point.ts';
import type { AccountOrder } from './account.ts';
import type { TradingConfig } from './config.ts';
import type { ReplaySession } from './replay.ts';

const pageMax = 500;

interface Exposure {
  readonly gross: number;
  readonly net: number;
  readonly unrealized: number;
}

/** Gross and net exposure as fractions of equity, and profit not yet realised, at the last good closes. */
function exposureOf(session: ReplaySession): Exposure {
  const { ledger, performance } = session.account;
  let gross = 0;
  let net = 0;
  let unrealized = 0;
  for (const [symbol, { quantity, cost }] of ledger.positions) {
    const value = toNumber(quantity) * session.market.lastClose(symbol, session.engine.now);
    gross += Math.abs(value);
    net += value;
    unrealized += value - toNumber(cost);
  }
  const equity = performance.equity;
  return equity > 0
    ? { gross: gross / equity, net: net / equity, unrealized }
    : { gross: 0, net: 0, unrealized };
}

/** All metrics of the agent as numbers. `bar_time` is Unix ms of the current bar's open, 0 before the first. */
export function metricsOf(session: ReplaySession): Record<string, number> {
  const { account } = session;
  const { gross, net, unrealized } = exposureOf(session);
  return {
    equity: account.performance.equity,
    cash: toNumber(account.ledger.cash),
    gross_exposure: gross,
    net_exposure: net,
    drawdown: account.performance.drawdown,
    max_drawdown: account.performance.maxDrawdown,
    orders_total: account.counters.orders,
    fills_total: account.counters.fills,
    fees_total: toNumber(account.ledger.fees),
    realized_pnl: toNumber(account.ledger.realized),
    unrealized_pnl: unrealized,
    positions: account.ledger.positions.size,
    open_orders: account.openOrders().length,
    bar_time: account.lastBar?.openAt ?? 0,
    bars_seen: account.barsSeen,
    journal_seq: session.book.seq,
  };
}

export function statusOf(session: ReplaySession, config: TradingConfig): Record<string, unknown> {
  const { account } = session;
  return {
    strategy: config.strategy,
    mode: config.mode,
    data_set: config.data.set,
    universe: session.market.series.map(({ id }) => id),
    config_hash: config.hash,
    run: account.run,
    bar_time: account.lastBar === null ? null : instantText(account.lastBar.openAt),
    replay: {
      position: session.position,
      length: session.length,
      bars_per_second: config.replay.barsPerSecond,
      ended: session.ended,
    },
    last_cutoff: account.lastCutoff,
    latch: account.latch,
    equity: account.performance.equity,
    positions: account.ledger.positions.size,
    open_orders: account.openOrders().length,
    journal_seq: session.book.seq,
  };
}

export function balanceOf(session: ReplaySession): Record<string, unknown> {
  const { ledger, performance } = session.account;
  const { free, locked } = session.venue.balance();
  return {
    cash: fixedText(ledger.cash),
    free: fixedText(free),
    locked: fixedText(locked),
    initial_cash: fixedText(ledger.initialCash),
    equity: performance.equity,
    realized_pnl: fixedText(ledger.realized),
    fees: fixedText(ledger.fees),
  };
}

export function positionsOf(session: ReplaySession): Record<string, unknown> {
  const { ledger, performance } = session.account;
  const positions = [...ledger.positions]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([symbol, { quantity, cost }]) => {
      const last = session.market.lastClose(symbol, session.engine.now);
      const value = toNumber(quantity) * last;
      return {
        symbol,
        quantity: fixedText(quantity),
        average_price: toNumber(cost) / toNumber(quantity),
        last_price: last,
        value,
        weight: performance.equity > 0 ? value / performance.equity : null,
        unrealized_pnl: value - toNumber(cost),
      };
    });
  return { positions };
}

/** Newest last; `state` = open | all (default), paged by `cursor` and `limit`. */
export function ordersOf(session: ReplaySession, command: AgentCommand): Record<string, unknown> {
  const open = command.args['state'] === 'open';
  const orders = open ? session.account.openOrders() : [...session.account.orders.values()];
  return page('orders', orders.map(orderView), command);
}

export function tradesOf(session: ReplaySession, command: AgentCommand): Record<string, unknown> {
  const trades = session.account.trades.map((trade) => ({
    seq: trade.seq,
    trade_id: trade.tradeId,
    order_id: trade.orderId,
    cutoff: trade.cutoff,
    symbol: trade.symbol,
    side: trade.side,
    quantity: trade.quantity,
    ref_price: trade.refPrice,
    price: trade.price,
    fee: trade.fee,
    realized_pnl: trade.realized,
    at: instantText(trade.at),
  }));
  return page('trades', trades, command);
}

export function performanceOf(session: ReplaySession, periodsPerYear: number): Record<string, unknown> {
  const { account } = session;
  const realized = account.trades.map((trade) => Number(trade.realized)).filter((profit) => profit !== 0);
  const profit = realized.filter((one) => one > 0).reduce((sum, one) => sum + one, 0);
  const loss = -realized.filter((one) => one < 0).reduce((sum, one) => sum + one, 0);
  return {
    ...account.performance.figures(periodsPerYear),
    periods_per_year: periodsPerYear,
    fees: toNumber(account.ledger.fees),
    realized_pnl: toNumber(account.ledger.realized),
    unrealized_pnl: exposureOf(session).unrealized,
    closing_trades: realized.length,
    win_rate: realized.length > 0 ? realized.filter((one) => one > 0).length / realized.length : null,
    profit_factor: loss > 0 ? profit / loss : null,
  };
}

export function riskOf(session: ReplaySession, config: TradingConfig): Record<string, unknown> {
  const { performance, latch } = session.account;
  const { gross, net } = exposureOf(session);
  const start = performance.dayStartEquity;
  return {
    limits: config.risk,
    now: {
      gross_exposure: gross,
      net_exposure: net,
      drawdown: performance.drawdown,
      daily_loss: start > 0 ? Math.max(0, (start - performance.equity) / start) : 0,
      open_orders: session.account.openOrders().length,
    },
    latch,
  };
}

function orderView(order: AccountOrder): Record<string, unknown> {
  const { intent } = order;
  return {
    id: intent.id,
    cutoff: intent.cutoff,
    symbol: intent.symbol,
    side: intent.side,
    quantity: intent.quantity,
    filled: fixedText(order.filled),
    ref_price: intent.refPrice,
    purpose: intent.purpose,
    status: order.status,
    outcome: order.outcome ?? null,
    message: order.message ?? null,
    created_at: instantText(intent.at),
  };
}

/** `cursor` is the index to go on from; `next_cursor` is null on the last page. */
function page(name: string, all: readonly unknown[], command: AgentCommand): Record<string, unknown> {
  const cursor = command.args['cursor'] ?? 0;
  const limit = command.args['limit'] ?? 100;
  if (!isCount(cursor) || !isCount(limit) || limit < 1 || limit > pageMax) {
    throw new CommandRefused(
      'bad-arguments',
      `"cursor" is a whole number from 0 and "limit" one from 1 to ${pageMax}.`,
    );
  }
  const end = cursor + limit;
  return { [name]: all.slice(cursor, end), total: all.length, next_cursor: end < all.length ? end : null };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
