/**
 * The seed's randomness: one sfc32 stream per label, forked from the seed by splitmix64.
 *
 * Every part of the world draws from its own stream, so a draw added in one place does not shift the others and a seed keeps
 * its meaning for as long as possible. Integer operations only: equal on every machine and every version of the engine.
 */
import type { Random } from '@muster/core';

const mask64 = (1n << 64n) - 1n;

function splitMix64(state: bigint): { state: bigint; value: bigint } {
  const next = (state + 0x9e3779b97f4a7c15n) & mask64;
  let value = next;
  value = ((value ^ (value >> 30n)) * 0xbf58476d1ce4e5b9n) & mask64;
  value = ((value ^ (value >> 27n)) * 0x94d049bb133111ebn) & mask64;
  return { state: next, value: value ^ (value >> 31n) };
}

/** 64-bit FNV-1a of a label. */
function labelNumber(label: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (let index = 0; index < label.length; index += 1) {
    hash = ((hash ^ BigInt(label.charCodeAt(index))) * 0x100000001b3n) & mask64;
  }
  return hash;
}

export class Stream {
  readonly #origin: bigint;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  private constructor(origin: bigint) {
    this.#origin = origin;
    const first = splitMix64(origin);
    const second = splitMix64(first.state);
    this.#a = Number(first.value & 0xffffffffn) | 0;
    this.#b = Number(first.value >> 32n) | 0;
    this.#c = Number(second.value & 0xffffffffn) | 0;
    for (let warmUp = 0; warmUp < 12; warmUp += 1) this.next32();
  }

  static ofSeed(seed: number): Stream {
    return new Stream(BigInt(seed) & mask64);
  }

  /** An independent stream: the same seed and label always give the same one. */
  fork(label: string): Stream {
    return new Stream(splitMix64(this.#origin ^ labelNumber(label)).value);
  }

  /** Uniform 32-bit unsigned integer (sfc32). */
  next32(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    this.#c |= 0;
    return sum >>> 0;
  }

  /** Uniform in [0, 1). */
  fraction(): number {
    return this.next32() / 2 ** 32;
  }

  /** Uniform in [low, high). */
  between(low: number, high: number): number {
    return low + (high - low) * this.fraction();
  }

  /** Uniform integer in [0, count). */
  integer(count: number): number {
    return Math.floor(this.fraction() * count);
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  /** One of a list; undefined of an empty one. */
  pick<T>(list: readonly T[]): T | undefined {
    return list[this.integer(list.length)];
  }

  /** Lower-case letters and digits. */
  word(length: number): string {
    let text = '';
    while (text.length < length) text += this.next32().toString(36).padStart(7, '0').slice(1);
    return text.slice(0, length);
  }
}

/** The machines' randomness port over a stream. */
export function randomPort(stream: Stream): Random {
  return {
    id: (prefix) => `${prefix}_${stream.word(26)}`,
    token: () => {
      let text = '';
      for (let part = 0; part < 4; part += 1) text += stream.next32().toString(16).padStart(8, '0');
      return text;
    },
    fraction: () => stream.fraction(),
  };
}
