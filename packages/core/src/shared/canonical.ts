/**
 * One text for one value: JSON with sorted keys and no white space.
 *
 * Signatures, digests, target chains and the journal's hash chain are computed over this text, so two programs that hold the
 * same value must produce the same bytes. Keys are sorted by UTF-16 code unit (what `Array.prototype.sort` does), numbers and
 * strings are written as `JSON.stringify` writes them, members whose value is `undefined` are dropped as JSON does.
 *
 * Values that JSON would change silently are refused instead: NaN and Infinity (would become null), `undefined` in an array
 * or at the top (null, nothing), bigint, functions, symbols, and objects that are not plain (a Date, a Map). Depth is bounded,
 * so a hostile or circular value cannot exhaust the stack.
 */

/** Nesting deeper than this is refused. */
export const canonicalJsonDepthLimit = 256;

/** A value that has no canonical JSON. `path` is where, for example `$.agents[3].config`. */
export class NotCanonical extends Error {
  override readonly name = 'NotCanonical';
  readonly path: string;
  constructor(path: string, what: string) {
    super(`${path} ${what}, which has no canonical JSON`);
    this.path = path;
  }
}

/** Canonical JSON text of `value`. Throws `NotCanonical` when there is none. */
export function canonicalJson(value: unknown): string {
  return write(value, null, 0);
}

/** Where in the value the writer is: only ever made into text for an error, so that writing stays fast. */
interface Place {
  readonly parent: Place | null;
  readonly step: string | number;
}

function pathOf(place: Place | null): string {
  if (place === null) return '$';
  const { parent, step } = place;
  return `${pathOf(parent)}${typeof step === 'number' ? `[${step}]` : `.${step}`}`;
}

function write(value: unknown, place: Place | null, depth: number): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'number':
      if (!Number.isFinite(value)) throw new NotCanonical(pathOf(place), `is ${value}`);
      return JSON.stringify(value);
    case 'object':
      if (value === null) return 'null';
      if (depth >= canonicalJsonDepthLimit)
        throw new NotCanonical(pathOf(place), `is nested deeper than ${canonicalJsonDepthLimit}`);
      return Array.isArray(value)
        ? writeArray(value, place, depth + 1)
        : writeObject(value, place, depth + 1);
    default:
      throw new NotCanonical(pathOf(place), `is of type ${typeof value}`);
  }
}

function writeArray(items: readonly unknown[], parent: Place | null, depth: number): string {
  let text = '[';
  for (let index = 0; index < items.length; index += 1) {
    if (index > 0) text += ',';
    text += write(items[index], { parent, step: index }, depth);
  }
  return `${text}]`;
}

function writeObject(value: object, parent: Place | null, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype && Object.getPrototypeOf(prototype) !== null) {
    throw new NotCanonical(pathOf(parent), 'is not a plain object');
  }
  const members = value as Readonly<Record<string, unknown>>;
  let text = '{';
  let separator = '';
  for (const key of Object.keys(members).sort()) {
    const member = members[key];
    if (member === undefined) continue;
    text += `${separator}${JSON.stringify(key)}:${write(member, { parent, step: key }, depth)}`;
    separator = ',';
  }
  return `${text}}`;
}
