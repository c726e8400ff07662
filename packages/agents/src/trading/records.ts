/**
 * The records of the trading journal. The account is a fold of these and of nothing else.
 *
 * An order's way: intent (inside `decided` or `intended`) → sent → acked | rejected | unknown → fill* → closed. `sent` is on the disk before the
 * venue hears of the order. Amounts are decimal text, exact to 10^-18; instants are Unix ms of the run's clock.
 */
import type { CloseReason } from './ports.ts';

/** Why an order exists: the strategy lowers or raises a position, or somebody flattens the account. */
export type OrderPurpose = 'reduce' | 'increase' | 'flatten';

export interface OrderIntent {
  readonly id: string;
  readonly cutoff: string;
  readonly symbol: string;
  readonly side: 'buy' | 'sell';
  readonly quantity: string;
  readonly refPrice: number;
  readonly purpose: OrderPurpose;
  readonly attempt: number;
  readonly reduceOnly: boolean;
  readonly at: number;
}

export type LatchState = 'running' | 'reducing' | 'halted';

export type TradingRecord =
  /** The account was opened, or (`run` > 1) opened anew because the replay starts over. */
  | { readonly k: 'opened'; readonly run: number; readonly initialCash: string; readonly config: string }
  | { readonly k: 'config-changed'; readonly config: string }
  /** Market time: the slot is over and the account was marked. Never written before all reports of the slot. */
  | { readonly k: 'bar'; readonly openAt: number; readonly closeAt: number; readonly equity: number }
  /** A cut-off's decision, whole: digest of the targets, intents, counts of unscored names. */
  | {
      readonly k: 'decided';
      readonly cutoff: string;
      readonly at: number;
      readonly digest: string;
      readonly intents: readonly OrderIntent[];
      readonly unscored: Readonly<Record<string, number>>;
    }
  | { readonly k: 'intended'; readonly intents: readonly OrderIntent[] }
  | { readonly k: 'sent'; readonly id: string; readonly at: number }
  | { readonly k: 'acked'; readonly id: string }
  | {
      readonly k: 'rejected' | 'denied';
      readonly id: string;
      readonly code: string;
      readonly message: string;
    }
  | { readonly k: 'unknown'; readonly id: string; readonly message: string }
  | {
      readonly k: 'fill';
      readonly id: string;
      readonly trade: string;
      readonly quantity: string;
      readonly price: string;
      readonly fee: string;
      readonly at: number;
      readonly barOpenAt: number;
      readonly closed?: CloseReason;
    }
  | { readonly k: 'closed'; readonly id: string; readonly at: number; readonly reason: CloseReason }
  /** Pause, halt and their ends; survives everything until the opposite is recorded. */
  | {
      readonly k: 'latched';
      readonly state: LatchState;
      readonly reason: string;
      readonly by: string;
      readonly at: number;
      /** Halted, but orders that flatten the account may still leave. */
      readonly flattening?: boolean;
    }
  /** A command with lasting effect was carried out; its id is not carried out again. */
  | { readonly k: 'command'; readonly id: string };

/** Records that belong to one order. */
export type OrderRecord = Extract<
  TradingRecord,
  { readonly k: 'sent' | 'acked' | 'rejected' | 'denied' | 'unknown' | 'fill' | 'closed' }
>;
