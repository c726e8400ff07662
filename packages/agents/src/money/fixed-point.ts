/**
 * Exact decimal arithmetic for money and quantities: a bigint that counts units of 10^-18.
 *
 * The ledger is kept in these so that cash, cost and fees add up to the last unit; signals and scores stay in doubles
 * (they are specified in doubles). A double enters by its shortest decimal text, never by its binary expansion, so 0.1 is
 * one tenth. Products are rounded half to even at the 18th decimal.
 */

/** Units of 10^-18. */
export type Fixed = bigint;

const decimals = 18;
export const fixedOne: Fixed = 10n ** 18n;

/** The exact value of the shortest decimal text of `value`, rounded half to even at 18 decimals. Throws RangeError unless finite. */
export function fixed(value: number): Fixed {
  if (!Number.isFinite(value)) throw new RangeError(`${value} is not an amount`);
  if (Number.isSafeInteger(value)) return BigInt(value) * fixedOne;
  return parseFixed(String(value));
}

/** Reads decimal text such as `-12.5` or `1e-7`. Throws RangeError for anything else. */
export function parseFixed(text: string): Fixed {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/.exec(text);
  if (match === null) throw new RangeError(`"${text}" is not a decimal number`);
  const fraction = match[3] ?? '';
  const digits = BigInt((match[2] ?? '0') + fraction);
  const shift = Number(match[4] ?? '0') - fraction.length + decimals;
  const magnitude =
    shift >= 0 ? digits * 10n ** BigInt(shift) : divideHalfEven(digits, 10n ** BigInt(-shift));
  return match[1] === '-' ? -magnitude : magnitude;
}

/** The nearest double. */
export function toNumber(value: Fixed): number {
  return Number(`${value}e-${decimals}`);
}

/** Canonical decimal text without trailing zeros: the form stored in the journal. */
export function fixedText(value: Fixed): string {
  const magnitude = value < 0n ? -value : value;
  const text = magnitude.toString().padStart(decimals + 1, '0');
  const fraction = text.slice(-decimals).replace(/0+$/, '');
  return `${value < 0n ? '-' : ''}${text.slice(0, -decimals)}${fraction === '' ? '' : `.${fraction}`}`;
}

export function multiply(a: Fixed, b: Fixed): Fixed {
  return divideHalfEven(a * b, fixedOne);
}

/** `value * part / whole`, rounded half to even; `whole` must not be zero. */
export function proportion(value: Fixed, part: Fixed, whole: Fixed): Fixed {
  return divideHalfEven(value * part, whole);
}

/** The largest multiple of `step` (> 0) towards zero. */
export function truncateToStep(value: Fixed, step: Fixed): Fixed {
  return (value / step) * step;
}

/** `floor(a / b)` down to a multiple of `step`, for a >= 0 and b > 0. */
export function quotientToStep(a: Fixed, b: Fixed, step: Fixed): Fixed {
  return truncateToStep((a * fixedOne) / b, step);
}

export function absolute(value: Fixed): Fixed {
  return value < 0n ? -value : value;
}

export function lesser(a: Fixed, b: Fixed): Fixed {
  return a < b ? a : b;
}

function divideHalfEven(numerator: bigint, denominator: bigint): bigint {
  const negative = numerator < 0n !== denominator < 0n;
  const n = numerator < 0n ? -numerator : numerator;
  const d = denominator < 0n ? -denominator : denominator;
  let quotient = n / d;
  const twice = (n - quotient * d) * 2n;
  if (twice > d || (twice === d && quotient % 2n === 1n)) quotient += 1n;
  return negative ? -quotient : quotient;
}
