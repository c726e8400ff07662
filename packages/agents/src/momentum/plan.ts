/**
 * From targets to orders: which trades bring the account to the book, in which order.
 *
 * A name that is held but not `ok` is kept untouched and takes its share of the gross limit, until it went unscored for
 * `maxUnscoredEpochs` consecutive cut-offs: then it is closed. Reductions come first, then increases, each by id. The cash
 * cut happens at execution, where the fill price is known.
 */

import { byCodeUnit } from '../market-data/order.ts';
import { absolute, type Fixed, fixed, toNumber, truncateToStep } from '../money/fixed-point.ts';
import type { Target } from './book.ts';
import type { MomentumParams } from './params.ts';

export interface AccountView {
  readonly cash: number;
  /** Signed quantities by id; zero positions are left out. */
  readonly positions: ReadonlyMap<string, Fixed>;
  /** Consecutive earlier cut-offs at which the name was not `ok`. */
  readonly unscored: ReadonlyMap<string, number>;
}

export interface VenueRules {
  /** Quantity step, > 0. */
  readonly quantityStep: Fixed;
  /** Smallest |quantity| x price of an order, quote currency. */
  readonly minNotional: number;
}

interface PlannedOrder {
  readonly id: string;
  readonly side: 'buy' | 'sell';
  readonly quantity: Fixed;
  /** Last close at the cut-off: the price the size was computed with. */
  readonly refPrice: number;
  /** `reduce` lowers |position|; everything else, a change of sign included, is `increase`. */
  readonly purpose: 'reduce' | 'increase';
}

export interface Plan {
  readonly equity: number;
  readonly orders: readonly PlannedOrder[];
  /** The counts that belong to this cut-off and feed the next one. */
  readonly unscored: ReadonlyMap<string, number>;
}

/** Account value at the targets' last closes: cash, then positions in id order. */
export function equityOf(account: AccountView, closeOf: (id: string) => number): number {
  let equity = account.cash;
  for (const id of [...account.positions.keys()].sort(byCodeUnit)) {
    equity += toNumber(account.positions.get(id) as Fixed) * closeOf(id);
  }
  return equity;
}

/** Plans the orders of one cut-off. With equity <= 0 there are none. */
export function planOrders(
  targets: readonly Target[],
  account: AccountView,
  params: MomentumParams,
  venue: VenueRules,
): Plan {
  const closes = new Map(targets.map(({ id, score }) => [id, score.close]));
  const closeOf = (id: string): number => closes.get(id) ?? Number.NaN;
  const unscored = countUnscored(targets, account.unscored);
  const equity = equityOf(account, closeOf);
  if (!(equity > 0)) return { equity, orders: [], unscored };
  const kept = keptNames(targets, account, unscored, params);
  const scale = grossScale(targets, kept, account, equity, closeOf, params);
  const orders: PlannedOrder[] = [];
  for (const target of targets) {
    if (kept.has(target.id)) continue;
    const price = closeOf(target.id);
    const position = account.positions.get(target.id) ?? 0n;
    if (!(price > 0)) continue;
    const weight = (target.weight ?? 0) * scale;
    const wanted = truncateToStep(
      fixed((weight * (equity * (1 - params.cashBuffer))) / price),
      venue.quantityStep,
    );
    const order = orderTowards(target.id, position, wanted, price);
    if (order !== undefined && worthwhile(order, wanted, equity, params, venue)) orders.push(order);
  }
  const rank = (order: PlannedOrder): number => (order.purpose === 'reduce' ? 0 : 1);
  orders.sort((a, b) => rank(a) - rank(b) || byCodeUnit(a.id, b.id));
  return { equity, orders, unscored };
}

function countUnscored(targets: readonly Target[], before: ReadonlyMap<string, number>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { id, score } of targets) if (score.status !== 'ok') counts.set(id, (before.get(id) ?? 0) + 1);
  return counts;
}

function keptNames(
  targets: readonly Target[],
  account: AccountView,
  unscored: ReadonlyMap<string, number>,
  params: MomentumParams,
): Set<string> {
  const kept = new Set<string>();
  for (const { id, score } of targets) {
    const held = (account.positions.get(id) ?? 0n) !== 0n;
    if (score.status !== 'ok' && held && (unscored.get(id) ?? 0) < params.maxUnscoredEpochs) kept.add(id);
  }
  return kept;
}

/** Factor on all weights so that the book and the kept names together stay within the gross limit. */
function grossScale(
  targets: readonly Target[],
  kept: ReadonlySet<string>,
  account: AccountView,
  equity: number,
  closeOf: (id: string) => number,
  params: MomentumParams,
): number {
  let h = 0;
  for (const id of kept) h += (Math.abs(toNumber(account.positions.get(id) ?? 0n)) * closeOf(id)) / equity;
  let gross = 0;
  for (const { weight } of targets) gross += Math.abs(weight ?? 0);
  if (kept.size === 0 || gross === 0 || gross + h <= params.maxGross) return 1;
  return Math.max(0, params.maxGross - h) / gross;
}

function orderTowards(
  id: string,
  position: Fixed,
  wanted: Fixed,
  refPrice: number,
): PlannedOrder | undefined {
  const delta = wanted - position;
  if (delta === 0n) return undefined;
  const sameSide = wanted === 0n || wanted > 0n === position > 0n;
  const purpose = sameSide && absolute(wanted) < absolute(position) ? 'reduce' : 'increase';
  return { id, side: delta > 0n ? 'buy' : 'sell', quantity: absolute(delta), refPrice, purpose };
}

function worthwhile(
  order: PlannedOrder,
  wanted: Fixed,
  equity: number,
  params: MomentumParams,
  venue: VenueRules,
): boolean {
  const notional = toNumber(order.quantity) * order.refPrice;
  if (wanted !== 0n && notional < params.rebalanceThreshold * equity) return false;
  return notional >= venue.minNotional;
}
