/**
 * The paper exchange for bar data: deterministic, no random numbers, no clock of its own.
 *
 * Orders meet bars through `meet(slot)`. A market order fills at the open (times 1 ± slippage) of the first bar stamped at or after
 * its submission plus latency, so never on the bar that produced the signal; at most `maxParticipation` of a bar's volume
 * is taken and the rest carried until the order's time is up (at least one bar). A symbol without a bar in the slot drops the order ("no-bar").
 * A resting limit order fills when the bar trades strictly through its price.
 *
 * Balances: an accepted buy locks cash (free → locked) for what it is expected to cost. Locks protect in order of acceptance: at execution
 * an order may use all cash but the locks of orders accepted before it. A market buy waits for an open whose price
 * nobody knows, so it may count on the sales accepted before it, and is cut at execution to what cash pays; a limit buy must be covered in full.
 *
 * The venue owns no file. Its state is the agent's journal: `PaperVenue.restore` rebuilds it from the account.
 */
import { type BarSeries, tradeClose, tradeOpen, tradeRange } from '../market-data/series.ts';
import {
  absolute,
  type Fixed,
  fixed,
  fixedOne,
  lesser,
  multiply,
  quotientToStep,
  toNumber,
  truncateToStep,
} from '../money/fixed-point.ts';
import type {
  CloseReason,
  ExecutionClient,
  ExecutionReport,
  MarketSlot,
  SubmitOutcome,
  VenueOrder,
  VenueOrderState,
} from '../trading/ports.ts';
import { Ledger } from './ledger.ts';

export interface PaperRules {
  /** Fraction of price. */
  readonly slippage: number;
  /** Taker and maker fee, fraction of notional, in quote currency. */
  readonly takerFee: number;
  readonly makerFee: number;
  /** Largest share of a bar's volume one symbol's orders take together. */
  readonly maxParticipation: number;
  readonly latencyMs: number;
  /** An order unfilled this long is cancelled at the end of the bar it met last; it always meets at least one bar. */
  readonly orderTimeoutMs: number;
  readonly fillOnTouch: boolean;
  readonly allowShort: boolean;
  readonly quantityStep: Fixed;
  readonly tickSize: Fixed;
  readonly minQuantity: Fixed;
  readonly minNotional: number;
}

interface OpenOrder {
  readonly order: VenueOrder;
  filled: Fixed;
  locked: Fixed;
  /** Open time of the last bar it was filled on; 0 = none. */
  metAt: number;
}

/** What the journal knows that the venue must know again after a restart. */
export interface VenueMemory {
  readonly ledger: Ledger;
  /** Accepted and still open, in order of acceptance. */
  readonly open: readonly { readonly order: VenueOrder; readonly filled: Fixed; readonly metAt: number }[];
  /** Quantities already taken from the bars that opened at `openAt`. */
  readonly taken: { readonly openAt: number; readonly bySymbol: ReadonlyMap<string, Fixed> };
}

export class PaperVenue implements ExecutionClient {
  readonly resendDelayMs = 0;
  readonly #rules: PaperRules;
  readonly #series: ReadonlyMap<string, BarSeries>;
  readonly #ledger: Ledger;
  readonly #open = new Map<string, OpenOrder>();
  readonly #pending: ExecutionReport[] = [];
  #takenAt = 0;
  #taken = new Map<string, Fixed>();
  #now = 0;

  constructor(rules: PaperRules, series: readonly BarSeries[], memory: VenueMemory) {
    this.#rules = rules;
    this.#series = new Map(series.map((one) => [one.id, one]));
    this.#ledger = Ledger.restore(memory.ledger.snapshot());
    for (const { order, filled, metAt } of memory.open) {
      this.#open.set(order.clientOrderId, { order, filled, locked: 0n, metAt });
    }
    for (const open of this.#open.values()) open.locked = lesser(this.#cost(open), this.#free());
    this.#takenAt = memory.taken.openAt;
    this.#taken = new Map(memory.taken.bySymbol);
  }

  /** Validates as an exchange does, locks the balance and accepts. An id that is already open is accepted once. */
  submit(order: VenueOrder): Promise<SubmitOutcome> {
    if (this.#open.has(order.clientOrderId)) return Promise.resolve({ kind: 'acked' });
    const refusal = this.#validate(order);
    if (refusal !== undefined) return Promise.resolve(refusal);
    const open: OpenOrder = { order, filled: 0n, locked: 0n, metAt: 0 };
    open.locked = lesser(this.#cost(open), this.#free());
    this.#open.set(order.clientOrderId, open);
    return Promise.resolve({ kind: 'acked' });
  }

  cancel(clientOrderId: string): Promise<boolean> {
    const open = this.#open.get(clientOrderId);
    if (open === undefined) return Promise.resolve(false);
    this.#open.delete(clientOrderId);
    this.#pending.push({ kind: 'closed', clientOrderId, at: this.#now, reason: 'cancelled' });
    return Promise.resolve(true);
  }

  query(clientOrderId: string): Promise<VenueOrderState | null> {
    const open = this.#open.get(clientOrderId);
    return Promise.resolve(open === undefined ? null : stateOf(open));
  }

  openOrders(): Promise<readonly VenueOrderState[]> {
    return Promise.resolve([...this.#open.values()].map(stateOf));
  }

  positions(): Promise<ReadonlyMap<string, Fixed>> {
    return Promise.resolve(
      new Map([...this.#ledger.positions].map(([symbol, { quantity }]) => [symbol, quantity])),
    );
  }

  /** The venue lives inside the agent: it cannot have traded while the agent was away. */
  missedFills(): Promise<readonly ExecutionReport[]> {
    return Promise.resolve([]);
  }

  /** Free and locked cash. */
  balance(): { readonly free: Fixed; readonly locked: Fixed } {
    const free = this.#free();
    return { free, locked: this.#ledger.cash - free };
  }

  takeReports(): ExecutionReport[] {
    return this.#pending.splice(0);
  }

  /** Lets all open orders, oldest first, meet the slot's bars. Reports are in order of execution. */
  meet(slot: MarketSlot): ExecutionReport[] {
    this.#now = slot.closeAt;
    if (this.#takenAt !== slot.openAt) {
      this.#takenAt = slot.openAt;
      this.#taken = new Map();
    }
    const reports = this.takeReports();
    for (const open of [...this.#open.values()]) {
      if (slot.openAt < open.order.sentAt + this.#rules.latencyMs) continue;
      // After a crash in the middle of this slot the order may have met its bar already; its time may still be up.
      const report = open.metAt < slot.openAt ? this.#meetOne(open, slot) : undefined;
      if (report !== undefined) reports.push(report);
      this.#expire(open, slot, reports);
    }
    return reports;
  }

  #meetOne(open: OpenOrder, slot: MarketSlot): ExecutionReport | undefined {
    const { order } = open;
    const index = slot.bars.get(order.symbol);
    const series = this.#series.get(order.symbol);
    if (index === undefined || series === undefined || series.bad[index] === 1) {
      return order.type === 'market' ? this.#close(open, slot.openAt, 'no-bar') : undefined;
    }
    const price = this.#priceIn(order, series, index);
    if (price === undefined) return undefined;
    let wanted = order.quantity - open.filled;
    if (order.reduceOnly) {
      const held = this.#ledger.quantityOf(order.symbol);
      const reducible = held > 0n === (order.side === 'sell') ? absolute(held) : 0n;
      if (reducible === 0n) return this.#close(open, slot.openAt, 'REDUCE_ONLY');
      wanted = lesser(wanted, reducible);
    }
    const volume = fixed(Math.max(0, series.volume[index] as number) * this.#rules.maxParticipation);
    const room = truncateToStep(volume - (this.#taken.get(order.symbol) ?? 0n), this.#rules.quantityStep);
    const feeRate = order.type === 'market' ? this.#rules.takerFee : this.#rules.makerFee;
    const affordable =
      order.side === 'sell' ? wanted : lesser(wanted, this.#affordable(open, price, feeRate));
    if (affordable <= 0n) return this.#close(open, slot.openAt, 'FREE_BALANCE');
    const quantity = lesser(affordable, room);
    if (quantity <= 0n) return undefined;
    return this.#fill(
      open,
      slot,
      quantity,
      price,
      feeRate,
      affordable < wanted && quantity === affordable ? 'FREE_BALANCE' : undefined,
    );
  }

  #fill(
    open: OpenOrder,
    slot: MarketSlot,
    quantity: Fixed,
    price: Fixed,
    feeRate: number,
    cut: CloseReason | undefined,
  ): ExecutionReport {
    const { order } = open;
    const fee = multiply(multiply(quantity, price), fixed(feeRate));
    this.#ledger.apply({ symbol: order.symbol, side: order.side, quantity, price, fee });
    this.#taken.set(order.symbol, (this.#taken.get(order.symbol) ?? 0n) + quantity);
    open.filled += quantity;
    open.metAt = slot.openAt;
    open.locked = lesser(open.locked, this.#cost(open));
    const done =
      open.filled === order.quantity || (order.reduceOnly && this.#ledger.quantityOf(order.symbol) === 0n);
    const closed: CloseReason | undefined = done ? 'filled' : cut;
    if (closed !== undefined) this.#open.delete(order.clientOrderId);
    const at = order.type === 'market' ? slot.openAt : slot.closeAt;
    const fill = {
      kind: 'fill',
      clientOrderId: order.clientOrderId,
      tradeId: `${order.clientOrderId}.${slot.openAt}`,
      quantity,
      price,
      fee,
      at,
      barOpenAt: slot.openAt,
    } as const;
    return closed === undefined ? fill : { ...fill, closed };
  }

  #expire(open: OpenOrder, slot: MarketSlot, reports: ExecutionReport[]): void {
    if (!this.#open.has(open.order.clientOrderId)) return;
    if (slot.closeAt < open.order.sentAt + this.#rules.orderTimeoutMs) return;
    reports.push(this.#close(open, slot.closeAt, 'timeout'));
  }

  #close(open: OpenOrder, at: number, reason: CloseReason): ExecutionReport {
    this.#open.delete(open.order.clientOrderId);
    return { kind: 'closed', clientOrderId: open.order.clientOrderId, at, reason };
  }

  /** Price at which the order trades on this bar; undefined = not at all. */
  #priceIn(order: VenueOrder, series: BarSeries, index: number): Fixed | undefined {
    const opening = tradeOpen(series, index);
    if (order.type === 'market') {
      const factor =
        order.side === 'buy'
          ? fixedOne + fixed(this.#rules.slippage)
          : fixedOne - fixed(this.#rules.slippage);
      return multiply(fixed(opening), factor);
    }
    const limit = order.limitPrice ?? Number.NaN;
    const { high, low } = tradeRange(series, index);
    const touched = order.side === 'buy' ? low <= limit : high >= limit;
    const through = order.side === 'buy' ? low < limit : high > limit;
    if (!(this.#rules.fillOnTouch ? touched : through)) return undefined;
    return fixed(order.side === 'buy' ? Math.min(limit, opening) : Math.max(limit, opening));
  }

  #validate(order: VenueOrder): SubmitOutcome | undefined {
    const rules = this.#rules;
    const reject = (
      code: 'INVALID_ORDER' | 'MIN_NOTIONAL' | 'FREE_BALANCE',
      message: string,
    ): SubmitOutcome => ({ kind: 'rejected', code, message });
    if (!this.#series.has(order.symbol)) return reject('INVALID_ORDER', `unknown symbol ${order.symbol}`);
    if (order.quantity <= 0n || order.quantity < rules.minQuantity)
      return reject(
        'INVALID_ORDER',
        `quantity=${toNumber(order.quantity)}, min_quantity=${toNumber(rules.minQuantity)}`,
      );
    if (order.quantity % rules.quantityStep !== 0n)
      return reject(
        'INVALID_ORDER',
        `quantity=${toNumber(order.quantity)} is no multiple of step=${toNumber(rules.quantityStep)}`,
      );
    if (
      order.type === 'limit' &&
      !(
        order.limitPrice !== undefined &&
        order.limitPrice > 0 &&
        fixed(order.limitPrice) % rules.tickSize === 0n
      )
    ) {
      return reject(
        'INVALID_ORDER',
        `limit_price=${order.limitPrice} is no positive multiple of tick=${toNumber(rules.tickSize)}`,
      );
    }
    const notional = toNumber(order.quantity) * (order.limitPrice ?? order.refPrice);
    if (!order.reduceOnly && notional < rules.minNotional)
      return reject('MIN_NOTIONAL', `notional=${notional}, min_notional=${rules.minNotional}`);
    if (order.side === 'sell')
      return this.#coverSale(order)
        ? undefined
        : reject(
            'FREE_BALANCE',
            `quantity=${toNumber(order.quantity)}, held=${toNumber(this.#ledger.quantityOf(order.symbol))}`,
          );
    const free = this.#free();
    if (order.type === 'limit') {
      const cost = this.#cost({ order, filled: 0n, locked: 0n, metAt: 0 });
      return cost <= free
        ? undefined
        : reject('FREE_BALANCE', `cost=${toNumber(cost)}, free=${toNumber(free)}`);
    }
    return free + this.#expectedProceeds() > 0n || order.reduceOnly
      ? undefined
      : reject('FREE_BALANCE', `free=${toNumber(free)}`);
  }

  #coverSale(order: VenueOrder): boolean {
    if (this.#rules.allowShort || order.reduceOnly) return true;
    let available = this.#ledger.quantityOf(order.symbol);
    for (const { order: other, filled } of this.#open.values()) {
      if (other.symbol === order.symbol && other.side === 'sell') available -= other.quantity - filled;
    }
    return order.quantity <= available;
  }

  #expectedProceeds(): Fixed {
    let proceeds = 0n;
    for (const { order, filled } of this.#open.values()) {
      if (order.side === 'sell')
        proceeds += multiply(order.quantity - filled, fixed(order.limitPrice ?? order.refPrice));
    }
    return proceeds;
  }

  /** Expected cost of what is left of a buy; nothing for a sale. */
  #cost(open: OpenOrder): Fixed {
    const { order, filled } = open;
    if (order.side === 'sell') return 0n;
    const price =
      order.type === 'limit'
        ? fixed(order.limitPrice ?? 0)
        : multiply(fixed(order.refPrice), fixedOne + fixed(this.#rules.slippage));
    return multiply(multiply(order.quantity - filled, price), fixedOne + fixed(this.#rules.takerFee));
  }

  #free(): Fixed {
    let free = this.#ledger.cash;
    for (const { locked } of this.#open.values()) free -= locked;
    return free;
  }

  /** How much of a buy cash pays for, after the locks of orders accepted before it. */
  #affordable(open: OpenOrder, price: Fixed, feeRate: number): Fixed {
    let cash = this.#ledger.cash;
    for (const other of this.#open.values()) {
      if (other === open) break;
      cash -= other.locked;
    }
    if (cash <= 0n) return 0n;
    return quotientToStep(cash, multiply(price, fixedOne + fixed(feeRate)), this.#rules.quantityStep);
  }

  /** Last close at or before a slot, for marking; 0 when there is none. */
  static markOf(series: BarSeries, index: number): number {
    for (let at = index; at >= 0; at -= 1) if (series.bad[at] !== 1) return tradeClose(series, at);
    return 0;
  }
}

function stateOf(open: OpenOrder): VenueOrderState {
  return {
    clientOrderId: open.order.clientOrderId,
    symbol: open.order.symbol,
    filled: open.filled,
    open: true,
  };
}
