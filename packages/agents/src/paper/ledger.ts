/**
 * Cash, positions and profit of one account, exact to 10^-18.
 *
 * Every amount is posted twice: what leaves cash arrives as cost of a position, as fee or as realised profit, so
 *     initial cash + realised - fees = cash + sum of signed position costs
 * holds to the last unit after every fill. Realised profit is by average cost and before fees.
 */
import {
  absolute,
  type Fixed,
  fixedText,
  lesser,
  multiply,
  parseFixed,
  proportion,
} from '../money/fixed-point.ts';

export interface Position {
  /** Signed: negative is short. */
  readonly quantity: Fixed;
  /** Signed cost of what is held: quantity x average price. */
  readonly cost: Fixed;
}

export interface LedgerFill {
  readonly symbol: string;
  readonly side: 'buy' | 'sell';
  readonly quantity: Fixed;
  readonly price: Fixed;
  readonly fee: Fixed;
}

export interface LedgerSnapshot {
  readonly initialCash: string;
  readonly cash: string;
  readonly realized: string;
  readonly fees: string;
  readonly positions: Readonly<Record<string, { quantity: string; cost: string }>>;
}

export class Ledger {
  readonly #initialCash: Fixed;
  #cash: Fixed;
  #realized: Fixed = 0n;
  #fees: Fixed = 0n;
  readonly #positions = new Map<string, Position>();

  constructor(initialCash: Fixed) {
    this.#initialCash = initialCash;
    this.#cash = initialCash;
  }

  static restore(snapshot: LedgerSnapshot): Ledger {
    const ledger = new Ledger(parseFixed(snapshot.initialCash));
    ledger.#cash = parseFixed(snapshot.cash);
    ledger.#realized = parseFixed(snapshot.realized);
    ledger.#fees = parseFixed(snapshot.fees);
    for (const [symbol, { quantity, cost }] of Object.entries(snapshot.positions)) {
      ledger.#positions.set(symbol, { quantity: parseFixed(quantity), cost: parseFixed(cost) });
    }
    return ledger;
  }

  get initialCash(): Fixed {
    return this.#initialCash;
  }
  get cash(): Fixed {
    return this.#cash;
  }
  get realized(): Fixed {
    return this.#realized;
  }
  get fees(): Fixed {
    return this.#fees;
  }
  /** Open positions only. */
  get positions(): ReadonlyMap<string, Position> {
    return this.#positions;
  }

  quantityOf(symbol: string): Fixed {
    return this.#positions.get(symbol)?.quantity ?? 0n;
  }

  /** Posts one fill and returns the profit it realised (before fees). */
  apply(fill: LedgerFill): Fixed {
    const notional = multiply(fill.quantity, fill.price);
    const signed = fill.side === 'buy' ? fill.quantity : -fill.quantity;
    const before = this.#positions.get(fill.symbol) ?? { quantity: 0n, cost: 0n };
    this.#cash += (fill.side === 'buy' ? -notional : notional) - fill.fee;
    this.#fees += fill.fee;

    const closing =
      before.quantity !== 0n && before.quantity > 0n !== signed > 0n
        ? lesser(absolute(signed), absolute(before.quantity))
        : 0n;
    const closedValue = closing === 0n ? 0n : proportion(notional, closing, fill.quantity);
    const closedCost = closing === 0n ? 0n : proportion(before.cost, closing, absolute(before.quantity));
    const openedValue = notional - closedValue;
    const realized = closing === 0n ? 0n : (before.quantity > 0n ? closedValue : -closedValue) - closedCost;
    const quantity = before.quantity + signed;
    const cost = before.cost - closedCost + (signed > 0n ? openedValue : -openedValue);
    if (quantity === 0n) this.#positions.delete(fill.symbol);
    else this.#positions.set(fill.symbol, { quantity, cost });
    this.#realized += realized;
    return realized;
  }

  /** Zero when every posted amount is accounted for; anything else is a bug. */
  imbalance(): Fixed {
    let costs = 0n;
    for (const { cost } of this.#positions.values()) costs += cost;
    return this.#initialCash + this.#realized - this.#fees - this.#cash - costs;
  }

  snapshot(): LedgerSnapshot {
    const positions: Record<string, { quantity: string; cost: string }> = {};
    for (const symbol of [...this.#positions.keys()].sort()) {
      const { quantity, cost } = this.#positions.get(symbol) as Position;
      positions[symbol] = { quantity: fixedText(quantity), cost: fixedText(cost) };
    }
    return {
      initialCash: fixedText(this.#initialCash),
      cash: fixedText(this.#cash),
      realized: fixedText(this.#realized),
      fees: fixedText(this.#fees),
      positions,
    };
  }
}
