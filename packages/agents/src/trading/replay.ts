/**
 * The replay session: history as market time, paper venue as exchange, one account in one state directory.
 *
 * The position in history is the account's last mark, so a session opened again goes on with the slot after it.
 */

import { RecordLog } from '../journal/record-log.ts';
import { gapsOf } from '../market-data/calendar.ts';
import { loadMarketData, type MarketData } from '../market-data/market-data.ts';
import { type PaperRules, PaperVenue } from '../paper/venue.ts';
import { Market } from '../replay/market.ts';
import type { Account } from './account.ts';
import { AccountBook, type Log } from './account-book.ts';
import type { TradingConfig } from './config.ts';
import { type EngineParts, openAccount, TradingEngine, venueOrderOf } from './engine.ts';

export interface ReplayParts {
  readonly agentId: string;
  readonly deploymentId: string;
  readonly config: TradingConfig;
  readonly data: MarketData;
  readonly log: Log;
  readonly canTrade: () => boolean;
  readonly note: EngineParts['note'];
  readonly onDecision?: NonNullable<EngineParts['onDecision']>;
}

export class ReplaySession {
  readonly market: Market;
  readonly book: AccountBook;
  readonly #parts: ReplayParts;
  #venue: PaperVenue;
  #engine: TradingEngine;
  #next = 0;

  constructor(parts: ReplayParts) {
    this.#parts = parts;
    this.market = new Market(parts.data, parts.config.calendar);
    this.book = new AccountBook(parts.log);
    openAccount(this.book, parts.config);
    this.#venue = restoreVenue(parts.config.paper, this.market, this.book.account);
    this.#engine = this.#buildEngine();
  }

  get engine(): TradingEngine {
    return this.#engine;
  }
  get venue(): PaperVenue {
    return this.#venue;
  }
  get account(): Account {
    return this.book.account;
  }
  /** Calendar index of the next slot. */
  get position(): number {
    return this.#next;
  }
  get length(): number {
    return this.market.calendar.openAt.length;
  }
  get ended(): boolean {
    return this.#next >= this.length;
  }

  /** Settles what a crash left open and finds the place in history. Returns reconciliation differences. */
  async begin(): Promise<Awaited<ReturnType<TradingEngine['reconcile']>>> {
    const differences = await this.#engine.reconcile();
    if (differences.length === 0) await this.#engine.catchUp();
    this.#next = this.market.firstSlotAfter(this.account.lastBar?.closeAt ?? this.#startAt());
    return differences;
  }

  /** Bars that the checks refused, by symbol. */
  badBars(): { id: string; openAt: number; reason: string }[] {
    return [...this.#parts.data.reports].flatMap(([id, { badBars }]) =>
      badBars.map((bar) => ({ id, ...bar })),
    );
  }

  /** Runs of absent grid points, by symbol; an exchange calendar has none by definition. */
  gaps(): { symbol: string; gaps: number; missing: number; longest: number }[] {
    const { kind, intervalMs } = this.market.calendar;
    if (kind !== 'continuous') return [];
    return this.market.series.flatMap((series) => {
      const runs = gapsOf(series, intervalMs).map(({ missing }) => missing);
      const missing = runs.reduce((sum, run) => sum + run, 0);
      return missing === 0
        ? []
        : [{ symbol: series.id, gaps: runs.length, missing, longest: Math.max(...runs) }];
    });
  }

  /** Plays one slot. False when history has ended. */
  async step(): Promise<boolean> {
    const slot = this.market.slot(this.#next);
    if (slot === undefined) return false;
    this.#engine.takeReports(this.#venue.meet(slot));
    await this.#engine.closeSlot(slot);
    this.#next += 1;
    return true;
  }

  /** Starts over with a fresh account under the next run number. */
  restart(): void {
    openAccount(this.book, this.#parts.config, this.account.run + 1);
    this.#venue = restoreVenue(this.#parts.config.paper, this.market, this.account);
    this.#engine = this.#buildEngine();
    this.#next = this.market.firstSlotAfter(this.#startAt());
  }

  #startAt(): number {
    const { start } = this.#parts.config.replay;
    return start === undefined ? Number.NEGATIVE_INFINITY : Date.parse(`${start}T00:00:00Z`);
  }

  #buildEngine(): TradingEngine {
    const { onDecision, ...parts } = this.#parts;
    return new TradingEngine({
      ...parts,
      market: this.market,
      book: this.book,
      venue: this.#venue,
      ...(onDecision === undefined ? {} : { onDecision }),
    });
  }
}

/** Opens the session a configuration describes, with its journal in `stateDir`. Throws `DataMissing` or `JournalDamaged`. */
export function openReplay(
  config: TradingConfig,
  identity: { readonly agentId: string; readonly deploymentId: string },
  stateDir: string,
  parts: {
    readonly marketDirectory: string | undefined;
    readonly canTrade: () => boolean;
    readonly note: EngineParts['note'];
  },
): ReplaySession {
  const { data, maxBarMove, confirmedMoves } = config;
  const loaded = loadMarketData({ ...data, directory: parts.marketDirectory, maxBarMove, confirmedMoves });
  const log = new RecordLog(stateDir);
  return new ReplaySession({
    agentId: identity.agentId,
    deploymentId: identity.deploymentId,
    config,
    data: loaded,
    log,
    canTrade: parts.canTrade,
    note: parts.note,
  });
}

function restoreVenue(rules: PaperRules, market: Market, account: Account): PaperVenue {
  const open = account
    .openOrders()
    .filter(({ status }) => status === 'acked')
    .map((order) => ({ order: venueOrderOf(order), filled: order.filled, metAt: order.metAt }));
  return new PaperVenue(rules, market.series, { ledger: account.ledger, open, taken: account.taken });
}
