/**
 * What happened: a digest over every event, counters of everything that happened at least once, and the last notes of each
 * node for the report of a failure. Nothing here influences the world.
 */
import type { Note } from '@muster/core';

const NOTES_KEPT = 50;

export interface TraceLine {
  readonly at: number;
  readonly node: string;
  readonly text: string;
}

export class Trace {
  readonly #print: ((line: TraceLine) => void) | undefined;
  readonly #counters = new Map<string, number>();
  readonly #lastLines = new Map<string, TraceLine[]>();
  #high = 0x9e3779b9;
  #low = 0x85ebca6b;

  /** `print` sees every line as it happens. */
  constructor(print?: (line: TraceLine) => void) {
    this.#print = print;
  }

  /** Digest of the whole run so far: equal runs have equal digests. */
  get digest(): string {
    return (this.#high >>> 0).toString(16).padStart(8, '0') + (this.#low >>> 0).toString(16).padStart(8, '0');
  }
  get counters(): ReadonlyMap<string, number> {
    return this.#counters;
  }
  /** The last lines of every node, in the order of time. */
  get lastLines(): readonly TraceLine[] {
    return [...this.#lastLines.values()].flat().sort((a, b) => a.at - b.at);
  }

  event(at: number, label: string): void {
    this.#mix(label);
    this.#mixNumber(at);
  }

  /** Fold text into the digest. */
  text(text: string): void {
    this.#mix(text);
  }

  count(name: string, amount = 1): void {
    this.#counters.set(name, (this.#counters.get(name) ?? 0) + amount);
  }

  note(at: number, node: string, note: Note): void {
    this.count(`note ${note.event}`);
    this.line(at, node, `${note.level} ${note.event} ${JSON.stringify(note.fields)}`);
  }

  /** A line of the story of one node. */
  line(at: number, node: string, text: string): void {
    this.#mix(text);
    const line = { at, node, text };
    const lines = this.#lastLines.get(node) ?? [];
    lines.push(line);
    if (lines.length > NOTES_KEPT) lines.shift();
    this.#lastLines.set(node, lines);
    this.#print?.(line);
  }

  #mix(text: string): void {
    let high = this.#high;
    let low = this.#low;
    for (let index = 0; index < text.length; index += 1) {
      const code = text.charCodeAt(index);
      high = Math.imul(high ^ code, 0x01000193);
      low = Math.imul(low + code, 0x5bd1e995) ^ (low >>> 15);
    }
    this.#high = high;
    this.#low = low;
  }

  #mixNumber(value: number): void {
    const whole = Math.floor(value);
    const rest = Math.floor((value - whole) * 2 ** 32);
    this.#high = Math.imul(this.#high ^ whole, 0x01000193) ^ (rest >>> 7);
    this.#low = Math.imul(this.#low + rest, 0x5bd1e995) ^ (this.#low >>> 13) ^ whole;
  }
}
