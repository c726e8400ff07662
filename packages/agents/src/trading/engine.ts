/**
 * The trading engine: market time in, orders out, every step through the journal.
 *
 * One instance serves replay, paper and later live; it owns no clock and no connection. Callers run one operation at a
 * time. The order of a slot is fixed: execution reports of the slot → mark at its close → decision when the close is a
 * cut-off → orders. Each arrow is a record, so a crash after any of them continues with the next one:
 * `reconcile` settles orders between intent and acknowledgement, `catchUp` takes the decision a crash left out.
 */
import { clientOrderId } from '../journal/client-order-id.ts';
import { buildBook, type Target } from '../momentum/book.ts';
import { type Cutoff, cutoffsOf } from '../momentum/cutoffs.ts';
import { equityOf, planOrders } from '../momentum/plan.ts';
import { scoreSymbol } from '../momentum/score.ts';
import { targetsDigest } from '../momentum/targets.ts';
import { absolute, type Fixed, fixedText, parseFixed, toNumber } from '../money/fixed-point.ts';
import type { Market } from '../replay/market.ts';
import type { AccountOrder } from './account.ts';
import type { AccountBook } from './account-book.ts';
import type { TradingConfig } from './config.ts';
import type { ExecutionClient, ExecutionReport, MarketSlot, VenueOrder } from './ports.ts';
import type { OrderIntent, OrderPurpose } from './records.ts';
import { judgeOrder } from './risk.ts';

export interface EngineParts {
  readonly agentId: string;
  /** Stands for the deployment in client order ids; the agent id where there is none. */
  readonly deploymentId: string;
  readonly config: TradingConfig;
  readonly market: Market;
  readonly book: AccountBook;
  readonly venue: ExecutionClient;
  readonly canTrade: () => boolean;
  /** Something a person may want to know. */
  readonly note: (
    level: 'info' | 'warn' | 'error',
    message: string,
    fields: Readonly<Record<string, unknown>>,
  ) => void;
  /** Told of every decision; for tests and displays. */
  readonly onDecision?: (cutoff: Cutoff, targets: readonly Target[]) => void;
}

export class TradingEngine {
  readonly #parts: EngineParts;
  readonly #cutoffs: ReadonlyMap<number, Cutoff>;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    this.#cutoffs = new Map(cutoffsOf(parts.market.calendar).map((cutoff) => [cutoff.slot, cutoff]));
  }

  /** Now in the run's clock: the close of the last slot. */
  get now(): number {
    return this.#parts.book.account.lastBar?.closeAt ?? 0;
  }

  /** Takes in what the venue reports. Reports of unknown orders are noted and left alone. */
  takeReports(reports: readonly ExecutionReport[]): void {
    const { book } = this.#parts;
    for (const report of reports) {
      const order = book.account.orders.get(report.clientOrderId);
      if (order === undefined || order.status === 'closed') {
        this.#parts.note('warn', 'a report for an order that is not open was ignored', {
          order: report.clientOrderId,
        });
        continue;
      }
      this.#recordReport(report);
    }
  }

  /** Everything that belongs to the end of a slot. The reports of the slot were taken before. */
  async closeSlot(slot: MarketSlot): Promise<void> {
    const { book } = this.#parts;
    book.record({
      k: 'bar',
      openAt: slot.openAt,
      closeAt: slot.closeAt,
      equity: this.#equityAt(slot.closeAt),
    });
    this.#guardDrawdown();
    this.#decideAt(slot.index);
    book.commit();
    await this.#sendIntents();
  }

  /** After a restart: the decision of the last marked slot, if a crash came between mark and decision. */
  async catchUp(): Promise<void> {
    const { book, market } = this.#parts;
    const { lastBar } = book.account;
    if (lastBar !== null) {
      this.#guardDrawdown();
      this.#decideAt(market.firstSlotAfter(lastBar.closeAt) - 1);
    }
    book.commit();
    await this.#sendIntents();
  }

  /**
   * Settles every order whose fate is open, adopts nothing it did not intend, trades nothing. Returns the differences
   * between the account's positions and the venue's; a non-empty answer means: stay degraded, a person decides.
   */
  async reconcile(): Promise<readonly { symbol: string; account: string; venue: string }[]> {
    const { book, venue } = this.#parts;
    this.takeReports(await venue.missedFills());
    for (const order of book.account.openOrders()) {
      if (order.status === 'sent' || order.status === 'unknown') await this.#settle(order);
    }
    book.commit();
    for (const { clientOrderId: id, symbol } of await venue.openOrders()) {
      if (!book.account.orders.has(id))
        this.#parts.note('warn', 'the venue has an open order that this agent did not make', {
          order: id,
          symbol,
        });
    }
    const held = await venue.positions();
    const symbols = new Set([...held.keys(), ...book.account.ledger.positions.keys()]);
    const differences: { symbol: string; account: string; venue: string }[] = [];
    for (const symbol of [...symbols].sort()) {
      const ours = book.account.ledger.quantityOf(symbol);
      const theirs = held.get(symbol) ?? 0n;
      if (absolute(ours - theirs) > 0n)
        differences.push({ symbol, account: fixedText(ours), venue: fixedText(theirs) });
    }
    return differences;
  }

  /** Cancels own open orders, of one symbol or all. Returns the ids that were open. */
  async cancelOrders(symbol?: string): Promise<string[]> {
    const { book, venue } = this.#parts;
    const cancelled: string[] = [];
    for (const { intent, status } of book.account.openOrders()) {
      if (symbol !== undefined && intent.symbol !== symbol) continue;
      if (status === 'intent') book.record({ k: 'closed', id: intent.id, at: this.now, reason: 'cancelled' });
      else if (!(await venue.cancel(intent.id))) continue;
      cancelled.push(intent.id);
    }
    this.takeReports(venue.takeReports());
    book.commit();
    return cancelled;
  }

  /** Closes all positions (or one symbol's) with reduce-only orders named after `cause`. Returns the order ids. */
  async flatten(cause: string, symbol?: string): Promise<string[]> {
    const { book, market } = this.#parts;
    const intents: OrderIntent[] = [];
    for (const [id, { quantity }] of [...book.account.ledger.positions].sort(([a], [b]) =>
      a < b ? -1 : 1,
    )) {
      if (symbol !== undefined && id !== symbol) continue;
      const side = quantity > 0n ? 'sell' : 'buy';
      intents.push(
        this.#intent(cause, id, side, absolute(quantity), market.lastClose(id, this.now), 'flatten'),
      );
    }
    if (intents.length > 0) book.record({ k: 'intended', intents });
    book.commit();
    await this.#sendIntents();
    return intents.map(({ id }) => id);
  }

  #recordReport(report: ExecutionReport): void {
    const { book } = this.#parts;
    if (report.kind === 'closed') {
      book.record({ k: 'closed', id: report.clientOrderId, at: report.at, reason: report.reason });
      return;
    }
    book.record({
      k: 'fill',
      id: report.clientOrderId,
      trade: report.tradeId,
      quantity: fixedText(report.quantity),
      price: fixedText(report.price),
      fee: fixedText(report.fee),
      at: report.at,
      barOpenAt: report.barOpenAt,
      ...(report.closed === undefined ? {} : { closed: report.closed }),
    });
  }

  #equityAt(at: number): number {
    const { market } = this.#parts;
    return equityOf(this.#view(), (symbol) => market.lastClose(symbol, at));
  }

  #view(): { cash: number; positions: ReadonlyMap<string, Fixed>; unscored: ReadonlyMap<string, number> } {
    const { ledger, unscored } = this.#parts.book.account;
    const positions = new Map([...ledger.positions].map(([symbol, { quantity }]) => [symbol, quantity]));
    return { cash: toNumber(ledger.cash), positions, unscored };
  }

  #guardDrawdown(): void {
    const { book, config } = this.#parts;
    const { performance, latch } = book.account;
    if (latch.state === 'halted' || !(performance.drawdown >= config.risk.maxDrawdown)) return;
    const reason = `drawdown ${performance.drawdown.toFixed(4)} reached the limit ${config.risk.maxDrawdown}`;
    const flattening = config.risk.onMaxDrawdown === 'halt_and_flatten';
    book.record({ k: 'latched', state: 'halted', reason, by: 'risk limit', at: this.now, flattening });
    this.#parts.note('error', 'trading halted', { reason });
    if (!flattening) return;
    const intents: OrderIntent[] = [];
    for (const [symbol, { quantity }] of book.account.ledger.positions) {
      const price = this.#parts.market.lastClose(symbol, this.now);
      intents.push(
        this.#intent(
          `drawdown:${this.now}`,
          symbol,
          quantity > 0n ? 'sell' : 'buy',
          absolute(quantity),
          price,
          'flatten',
        ),
      );
    }
    if (intents.length > 0) book.record({ k: 'intended', intents });
  }

  /** Computes book and orders when the slot is a cut-off that was not decided yet. */
  #decideAt(slotIndex: number): void {
    const { book, config, market } = this.#parts;
    const cutoff = this.#cutoffs.get(slotIndex);
    if (cutoff === undefined || (book.account.lastCutoff?.at ?? 0) >= cutoff.at) return;
    const scores = market.series.map((series) =>
      scoreSymbol(series, market.calendar, cutoff.at, config.params),
    );
    const targets = buildBook(scores, config.params);
    const plan = planOrders(targets, this.#view(), config.params, config);
    const name = this.#runName(cutoff.name);
    const intents = plan.orders.map((order) =>
      this.#intent(name, order.id, order.side, order.quantity, order.refPrice, order.purpose),
    );
    const digest = targetsDigest(cutoff.name, targets);
    book.record({
      k: 'decided',
      cutoff: name,
      at: cutoff.at,
      digest,
      intents,
      unscored: Object.fromEntries(plan.unscored),
    });
    this.#parts.onDecision?.(cutoff, targets);
    const scored = scores.filter(({ status }) => status === 'ok').length;
    if (scored === 0 && intents.length === 0) return;
    this.#parts.note('info', 'rebalanced', {
      cutoff: name,
      equity: plan.equity,
      scored,
      held: targets.filter(({ weight }) => weight !== undefined).length,
      orders: intents.length,
    });
  }

  #runName(name: string): string {
    const { run } = this.#parts.book.account;
    return run === 1 ? name : `${name}#${run}`;
  }

  #intent(
    cutoff: string,
    symbol: string,
    side: 'buy' | 'sell',
    quantity: Fixed,
    refPrice: number,
    purpose: OrderPurpose,
  ): OrderIntent {
    const { agentId, deploymentId } = this.#parts;
    const attempt = 1;
    const id = clientOrderId({
      agentId,
      deploymentId,
      cutoffId: cutoff,
      instrument: symbol,
      side,
      purpose,
      attempt,
    });
    const reduceOnly = purpose === 'flatten';
    return {
      id,
      cutoff,
      symbol,
      side,
      quantity: fixedText(quantity),
      refPrice,
      purpose,
      attempt,
      reduceOnly,
      at: this.now,
    };
  }

  /** Judges all waiting intents, makes the allowed ones durable as sent, then sends them in order. */
  async #sendIntents(): Promise<void> {
    const { book } = this.#parts;
    const sending: AccountOrder[] = [];
    for (const order of book.account.openOrders()) {
      if (order.status !== 'intent') continue;
      const denial = this.#judge(order.intent);
      if (denial === undefined) {
        book.record({ k: 'sent', id: order.intent.id, at: this.now });
        sending.push(order);
      } else {
        book.record({ k: 'denied', id: order.intent.id, ...denial });
        this.#parts.note('warn', 'order denied', {
          order: order.intent.id,
          symbol: order.intent.symbol,
          ...denial,
        });
      }
    }
    book.commit();
    for (const order of sending) await this.#submit(order);
    if (sending.length > 0) book.commit();
  }

  #judge(intent: OrderIntent): ReturnType<typeof judgeOrder> {
    const { book, config, market, canTrade } = this.#parts;
    return judgeOrder(intent, book.account, config.risk, {
      now: this.now,
      canTrade: canTrade(),
      priceOf: (symbol) => market.lastClose(symbol, this.now),
      ageOf: (symbol) => market.slotsSinceBar(symbol, this.now),
    });
  }

  async #submit(order: AccountOrder): Promise<void> {
    const { book, venue } = this.#parts;
    const outcome = await venue.submit(venueOrderOf(order));
    const id = order.intent.id;
    if (outcome.kind === 'acked') book.record({ k: 'acked', id });
    else if (outcome.kind === 'unknown') book.record({ k: 'unknown', id, message: outcome.message });
    else {
      book.record({ k: 'rejected', id, code: outcome.code, message: outcome.message });
      this.#parts.note('warn', 'order rejected', {
        order: id,
        symbol: order.intent.symbol,
        code: outcome.code,
        reason: outcome.message,
      });
    }
  }

  /** Asks the venue first; sends again only what it definitely never saw. */
  async #settle(order: AccountOrder): Promise<void> {
    const { book, venue } = this.#parts;
    const known = await venue.query(order.intent.id);
    if (known !== null) {
      book.record({ k: 'acked', id: order.intent.id });
      return;
    }
    if (venue.resendDelayMs > 0 && this.now < order.sentAt + venue.resendDelayMs) return;
    await this.#submit(order);
  }
}

/** Opens the account on first use or for a new run, before any venue is built on it; notes a configuration that changed since. */
export function openAccount(book: AccountBook, config: TradingConfig, run = 1): void {
  if (!book.account.opened || run > book.account.run) {
    book.record({ k: 'opened', run, initialCash: fixedText(config.initialCash), config: config.hash });
  } else if (book.account.config !== config.hash) {
    book.record({ k: 'config-changed', config: config.hash });
  }
  book.commit();
}

/** The order as the venue sees it. */
export function venueOrderOf(order: AccountOrder): VenueOrder {
  const { id, symbol, side, quantity, refPrice, reduceOnly } = order.intent;
  return {
    clientOrderId: id,
    symbol,
    side,
    quantity: parseFixed(quantity),
    type: 'market',
    reduceOnly,
    refPrice,
    sentAt: order.sentAt,
  };
}
