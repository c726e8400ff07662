/**
 * What the trading engine needs from the outside. Backtest, paper and live run the same engine; only what stands behind
 * these interfaces differs: a replay clock and paper venue here, a wall clock and an exchange connector there.
 */
import type { Fixed } from '../money/fixed-point.ts';

/** An order as it is handed to a venue. */
export interface VenueOrder {
  /** Deterministic client order id; the venue knows the order by it. */
  readonly clientOrderId: string;
  readonly symbol: string;
  readonly side: 'buy' | 'sell';
  readonly quantity: Fixed;
  readonly type: 'market' | 'limit';
  /** Limit orders only. */
  readonly limitPrice?: number;
  /** Never increases |position|; the venue cuts it to what is held. */
  readonly reduceOnly: boolean;
  /** Last known price when the order was made. */
  readonly refPrice: number;
  /** When it was first sent, in the clock of the run, Unix ms. */
  readonly sentAt: number;
}

/** An order as a venue reports it. */
export interface VenueOrderState {
  readonly clientOrderId: string;
  readonly symbol: string;
  readonly filled: Fixed;
  readonly open: boolean;
}

/** The four outcomes of a submission; `unknown` is resolved by `query`, never by sending again unasked. */
export type SubmitOutcome =
  | { readonly kind: 'acked' }
  | { readonly kind: 'rejected'; readonly code: DenialCode | 'INVALID_ORDER'; readonly message: string }
  | { readonly kind: 'unknown'; readonly message: string };

export type CloseReason =
  | 'filled'
  | 'timeout'
  | 'no-bar'
  | 'cancelled'
  | 'FREE_BALANCE'
  | 'MAX_SLIPPAGE'
  | 'REDUCE_ONLY';

/** What happened to an order at the venue. A fill that ends its order says so itself, so that no crash can separate the two. */
export type ExecutionReport =
  | {
      readonly kind: 'fill';
      readonly clientOrderId: string;
      /** Unique at the venue; applying one twice is impossible. */
      readonly tradeId: string;
      readonly quantity: Fixed;
      readonly price: Fixed;
      readonly fee: Fixed;
      /** When, Unix ms, and open time of the bar it met (equal to `at` where there are no bars). */
      readonly at: number;
      readonly barOpenAt: number;
      readonly closed?: CloseReason;
    }
  | {
      readonly kind: 'closed';
      readonly clientOrderId: string;
      readonly at: number;
      readonly reason: CloseReason;
    };

/** A venue: the paper exchange, or a connector to a real one. */
export interface ExecutionClient {
  submit(order: VenueOrder): Promise<SubmitOutcome>;
  /** Cancels one own open order; its report is then in `takeReports`. False: not open (any more). */
  cancel(clientOrderId: string): Promise<boolean>;
  /** What happened since the last call, oldest first. */
  takeReports(): ExecutionReport[];
  /** Null only when the venue definitely does not know the id. */
  query(clientOrderId: string): Promise<VenueOrderState | null>;
  openOrders(): Promise<readonly VenueOrderState[]>;
  /** Signed quantities by symbol. Throws when the venue is out of reach; never "flat" by default. */
  positions(): Promise<ReadonlyMap<string, Fixed>>;
  /** Fills the agent may have missed while it was away, oldest first. */
  missedFills(): Promise<readonly ExecutionReport[]>;
  /** How long a definite "does not exist" must have lasted before an order may be sent again, ms. */
  readonly resendDelayMs: number;
}

/** One step of market time: a calendar slot and the bars that exist in it. */
export interface MarketSlot {
  readonly index: number;
  readonly openAt: number;
  readonly closeAt: number;
  /** Symbol → index of its bar. */
  readonly bars: ReadonlyMap<string, number>;
}

/** Codes of denials and rejections; stable, for people and programs. */
export type DenialCode =
  | 'TRADING_HALTED'
  | 'REDUCE_ONLY'
  | 'ORDER_NOTIONAL'
  | 'POSITION_WEIGHT'
  | 'GROSS'
  | 'RATE_LIMIT'
  | 'OPEN_ORDERS'
  | 'PRICE_COLLAR'
  | 'MIN_NOTIONAL'
  | 'FREE_BALANCE'
  | 'STALE_DATA'
  | 'SYMBOL_LOCKED'
  | 'NO_LEASE';
