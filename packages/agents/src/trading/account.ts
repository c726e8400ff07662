/**
 * The account as the journal tells it: orders, ledger, marks, latches. `apply` is the only way it changes, so replaying the
 * journal gives the same account, and every record may be the last one before a crash.
 *
 * Kept for display are the newest `closedOrdersKept` closed orders and `tradesKept` trades; sums and counters cover everything.
 */
import { type Fixed, fixedText, parseFixed, toNumber } from '../money/fixed-point.ts';
import { Ledger, type LedgerSnapshot } from '../paper/ledger.ts';
import { Performance, type PerformanceSnapshot } from './performance.ts';
import type { LatchState, OrderIntent, OrderRecord, TradingRecord } from './records.ts';

export type OrderStatus = 'intent' | 'sent' | 'acked' | 'unknown' | 'rejected' | 'denied' | 'closed';

export interface AccountOrder {
  readonly intent: OrderIntent;
  status: OrderStatus;
  filled: Fixed;
  sentAt: number;
  /** Open time of the bar of the last fill; 0 = none. */
  metAt: number;
  /** Why it ended, or the code of its refusal. */
  outcome?: string;
  message?: string;
}

export interface Trade {
  /** Counts filled orders from 1. */
  readonly seq: number;
  readonly tradeId: string;
  readonly orderId: string;
  readonly cutoff: string;
  readonly symbol: string;
  readonly side: 'buy' | 'sell';
  readonly quantity: string;
  readonly refPrice: number;
  readonly price: string;
  readonly fee: string;
  readonly realized: string;
  readonly at: number;
}

export interface Latch {
  readonly state: LatchState;
  readonly reason: string;
  readonly by: string;
  readonly at: number;
  readonly flattening: boolean;
}

const closedOrdersKept = 300;
const tradesKept = 1_000;
const commandsKept = 64;

export interface AccountSnapshot {
  readonly v: 1;
  readonly run: number;
  readonly config: string;
  readonly ledger: LedgerSnapshot;
  readonly performance: PerformanceSnapshot;
  readonly orders: readonly (Omit<AccountOrder, 'filled'> & { readonly filled: string })[];
  readonly trades: readonly Trade[];
  readonly lastBar: { readonly openAt: number; readonly closeAt: number } | null;
  readonly barsSeen: number;
  readonly lastCutoff: { readonly name: string; readonly at: number; readonly digest: string } | null;
  readonly unscored: Readonly<Record<string, number>>;
  readonly latch: Latch;
  readonly counters: { readonly orders: number; readonly fills: number; readonly filledOrders: number };
  readonly taken: { readonly openAt: number; readonly bySymbol: Readonly<Record<string, string>> };
  readonly sentTimes: readonly number[];
  readonly refusals: Readonly<Record<string, number>>;
  readonly commands: readonly string[];
}

const running: Latch = { state: 'running', reason: 'started', by: 'agent', at: 0, flattening: false };

export class Account {
  run = 0;
  config = '';
  ledger = new Ledger(0n);
  performance = new Performance(0);
  /** By client order id, oldest first; open ones and the newest closed ones. */
  readonly orders = new Map<string, AccountOrder>();
  trades: Trade[] = [];
  lastBar: { readonly openAt: number; readonly closeAt: number } | null = null;
  barsSeen = 0;
  lastCutoff: { readonly name: string; readonly at: number; readonly digest: string } | null = null;
  unscored = new Map<string, number>();
  latch: Latch = running;
  counters = { orders: 0, fills: 0, filledOrders: 0 };
  taken: { openAt: number; bySymbol: Map<string, Fixed> } = { openAt: 0, bySymbol: new Map() };
  /** Run-clock instants of the newest sends, for the rate limits. */
  sentTimes: number[] = [];
  /** Rejections in a row, by symbol and side. */
  readonly refusals = new Map<string, number>();
  readonly commands = new Set<string>();

  get opened(): boolean {
    return this.run > 0;
  }

  /** Orders that have not ended, oldest first. */
  openOrders(): AccountOrder[] {
    return [...this.orders.values()].filter(({ status }) => !ended.has(status));
  }

  apply(record: TradingRecord): void {
    switch (record.k) {
      case 'opened':
        return this.#open(record);
      case 'config-changed':
        this.config = record.config;
        return;
      case 'bar':
        this.lastBar = { openAt: record.openAt, closeAt: record.closeAt };
        this.barsSeen += 1;
        this.performance.mark(record.openAt, record.equity);
        return;
      case 'decided':
        this.lastCutoff = { name: record.cutoff, at: record.at, digest: record.digest };
        this.unscored = new Map(Object.entries(record.unscored));
        return this.#intend(record.intents);
      case 'intended':
        return this.#intend(record.intents);
      case 'latched':
        this.latch = {
          state: record.state,
          reason: record.reason,
          by: record.by,
          at: record.at,
          flattening: record.flattening === true,
        };
        if (record.state === 'running') this.refusals.clear();
        return;
      case 'command':
        this.commands.add(record.id);
        if (this.commands.size > commandsKept)
          this.commands.delete(this.commands.values().next().value as string);
        return;
      default:
        return this.#applyToOrder(record);
    }
  }

  #applyToOrder(record: OrderRecord): void {
    const order = this.orders.get(record.id);
    if (order === undefined)
      throw new Error(`the journal speaks of an order it never intended: ${record.id}`);
    switch (record.k) {
      case 'sent':
        order.status = 'sent';
        if (order.sentAt === 0)
          this.sentTimes = [...this.sentTimes.filter((at) => at > record.at - dayMs), record.at];
        order.sentAt = record.at;
        return;
      case 'acked':
        if (!ended.has(order.status)) order.status = 'acked';
        this.refusals.delete(refusalKey(order.intent));
        return;
      case 'unknown':
        order.status = 'unknown';
        order.message = record.message;
        return;
      case 'rejected':
      case 'denied':
        if (record.k === 'rejected')
          this.refusals.set(refusalKey(order.intent), (this.refusals.get(refusalKey(order.intent)) ?? 0) + 1);
        order.message = record.message;
        return this.#end(order, record.k, record.code);
      case 'fill':
        return this.#fill(order, record);
      case 'closed':
        return this.#end(order, 'closed', record.reason);
    }
  }

  snapshot(): AccountSnapshot {
    return {
      v: 1,
      run: this.run,
      config: this.config,
      ledger: this.ledger.snapshot(),
      performance: this.performance.snapshot(),
      orders: [...this.orders.values()].map((order) => ({ ...order, filled: fixedText(order.filled) })),
      trades: this.trades,
      lastBar: this.lastBar,
      barsSeen: this.barsSeen,
      lastCutoff: this.lastCutoff,
      unscored: Object.fromEntries(this.unscored),
      latch: this.latch,
      counters: this.counters,
      taken: {
        openAt: this.taken.openAt,
        bySymbol: Object.fromEntries(
          [...this.taken.bySymbol].map(([id, quantity]) => [id, fixedText(quantity)]),
        ),
      },
      sentTimes: this.sentTimes,
      refusals: Object.fromEntries(this.refusals),
      commands: [...this.commands],
    };
  }

  static restore(snapshot: AccountSnapshot): Account {
    const account = new Account();
    account.run = snapshot.run;
    account.config = snapshot.config;
    account.ledger = Ledger.restore(snapshot.ledger);
    account.performance = Performance.restore(toNumber(account.ledger.initialCash), snapshot.performance);
    for (const order of snapshot.orders)
      account.orders.set(order.intent.id, { ...order, filled: parseFixed(order.filled) });
    account.trades = [...snapshot.trades];
    account.lastBar = snapshot.lastBar;
    account.barsSeen = snapshot.barsSeen;
    account.lastCutoff = snapshot.lastCutoff;
    account.unscored = new Map(Object.entries(snapshot.unscored));
    account.latch = snapshot.latch;
    account.counters = { ...snapshot.counters };
    const taken = Object.entries(snapshot.taken.bySymbol).map(([id, quantity]): [string, Fixed] => [
      id,
      parseFixed(quantity),
    ]);
    account.taken = { openAt: snapshot.taken.openAt, bySymbol: new Map(taken) };
    account.sentTimes = [...snapshot.sentTimes];
    for (const [key, count] of Object.entries(snapshot.refusals)) account.refusals.set(key, count);
    for (const id of snapshot.commands) account.commands.add(id);
    return account;
  }

  #open(record: Extract<TradingRecord, { k: 'opened' }>): void {
    this.run = record.run;
    this.config = record.config;
    this.ledger = new Ledger(parseFixed(record.initialCash));
    this.performance = new Performance(toNumber(this.ledger.initialCash));
    this.orders.clear();
    this.trades = [];
    this.lastBar = null;
    this.barsSeen = 0;
    this.lastCutoff = null;
    this.unscored = new Map();
    this.counters = { orders: 0, fills: 0, filledOrders: 0 };
    this.taken = { openAt: 0, bySymbol: new Map() };
    this.sentTimes = [];
    this.refusals.clear();
  }

  #intend(intents: readonly OrderIntent[]): void {
    for (const intent of intents) {
      if (this.orders.has(intent.id)) continue;
      this.orders.set(intent.id, { intent, status: 'intent', filled: 0n, sentAt: 0, metAt: 0 });
      this.counters.orders += 1;
    }
  }

  #fill(order: AccountOrder, record: Extract<TradingRecord, { k: 'fill' }>): void {
    const { symbol, side, cutoff, refPrice } = order.intent;
    const quantity = parseFixed(record.quantity);
    const realized = this.ledger.apply({
      symbol,
      side,
      quantity,
      price: parseFixed(record.price),
      fee: parseFixed(record.fee),
    });
    if (order.filled === 0n) this.counters.filledOrders += 1;
    this.counters.fills += 1;
    order.filled += quantity;
    order.metAt = record.barOpenAt;
    if (this.taken.openAt !== record.barOpenAt)
      this.taken = { openAt: record.barOpenAt, bySymbol: new Map() };
    this.taken.bySymbol.set(symbol, (this.taken.bySymbol.get(symbol) ?? 0n) + quantity);
    this.trades.push({
      seq: this.counters.filledOrders,
      tradeId: record.trade,
      orderId: order.intent.id,
      cutoff,
      symbol,
      side,
      quantity: record.quantity,
      refPrice,
      price: record.price,
      fee: record.fee,
      realized: fixedText(realized),
      at: record.at,
    });
    if (this.trades.length > tradesKept) this.trades = this.trades.slice(-tradesKept);
    if (record.closed !== undefined) this.#end(order, 'closed', record.closed);
  }

  #end(order: AccountOrder, status: OrderStatus, outcome: string): void {
    order.status = status;
    order.outcome = outcome;
    const closed = [...this.orders.values()].filter((one) => ended.has(one.status));
    for (const old of closed.slice(0, Math.max(0, closed.length - closedOrdersKept)))
      this.orders.delete(old.intent.id);
  }
}

const dayMs = 86_400_000;
const ended: ReadonlySet<OrderStatus> = new Set(['rejected', 'denied', 'closed']);

export function refusalKey(intent: { readonly symbol: string; readonly side: string }): string {
  return `${intent.symbol} ${intent.side}`;
}
