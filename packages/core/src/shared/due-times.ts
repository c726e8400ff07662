/**
 * Due times by key: a binary heap with lazy removal. One deadline for the whole machine, however many things wait.
 */
import { type Instant, never } from '../machine.ts';

interface Item {
  readonly key: string;
  readonly at: Instant;
  readonly serial: number;
}

export class DueTimes {
  readonly #heap: Item[] = [];
  readonly #current = new Map<string, Item>();
  #serial = 0;

  /** (Re)arm `key`; `never` disarms it. */
  set(key: string, at: Instant): void {
    if (at === never) {
      this.#current.delete(key);
      return;
    }
    if (this.#current.get(key)?.at === at) return;
    this.#serial += 1;
    const item = { key, at, serial: this.#serial };
    this.#current.set(key, item);
    this.#push(item);
  }

  clear(key: string): void {
    this.#current.delete(key);
  }

  /** The earliest due time; `never` if nothing waits. */
  next(): Instant {
    this.#dropStale();
    return this.#heap[0]?.at ?? never;
  }

  /** Remove and return one key that is due at `now`, earliest first; undefined if none is. */
  takeDue(now: Instant): string | undefined {
    this.#dropStale();
    const top = this.#heap[0];
    if (top === undefined || top.at > now) return undefined;
    this.#pop();
    this.#current.delete(top.key);
    return top.key;
  }

  #dropStale(): void {
    for (;;) {
      const top = this.#heap[0];
      if (top === undefined || this.#current.get(top.key) === top) return;
      this.#pop();
    }
  }

  #push(item: Item): void {
    const heap = this.#heap;
    let index = heap.push(item) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (before(heap[parent] as Item, item)) break;
      heap[index] = heap[parent] as Item;
      index = parent;
    }
    heap[index] = item;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Item;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      if (left >= heap.length) break;
      const right = left + 1;
      const child = right < heap.length && before(heap[right] as Item, heap[left] as Item) ? right : left;
      if (before(last, heap[child] as Item)) break;
      heap[index] = heap[child] as Item;
      index = child;
    }
    heap[index] = last;
  }
}

const before = (a: Item, b: Item): boolean => a.at < b.at || (a.at === b.at && a.serial < b.serial);
