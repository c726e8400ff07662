/**
 * The one clock and the one queue of a simulated world: events in the order of (time, sequence number). Real time here is
 * simulated time; what a host believes the time to be is `clock.ts`.
 */
import type { Trace } from './trace.ts';

interface Scheduled {
  readonly at: number;
  readonly serial: number;
  readonly label: string;
  readonly run: () => void;
}

/** A world that makes more events than this in one run is stuck in a loop. */
const EVENTS_LIMIT = 20_000_000;

export class Schedule {
  readonly #heap: Scheduled[] = [];
  readonly #trace: Trace;
  #serial = 0;
  #now = 0;
  #events = 0;

  constructor(trace: Trace) {
    this.#trace = trace;
  }

  /** Simulated real time since the world began, ms. */
  get now(): number {
    return this.#now;
  }
  get events(): number {
    return this.#events;
  }

  /** Run `run` after `delayMs`. The label goes into the trace digest. */
  after(delayMs: number, label: string, run: () => void): void {
    this.#serial += 1;
    const item = { at: this.#now + Math.max(0, delayMs), serial: this.#serial, label, run };
    const heap = this.#heap;
    let index = heap.push(item) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (before(heap[parent] as Scheduled, item)) break;
      heap[index] = heap[parent] as Scheduled;
      index = parent;
    }
    heap[index] = item;
  }

  /** Let time go on to `untilMs`, running everything that is due. */
  runUntil(untilMs: number): void {
    for (;;) {
      const top = this.#heap[0];
      if (top === undefined || top.at > untilMs) break;
      this.#pop();
      this.#now = top.at;
      this.#events += 1;
      if (this.#events > EVENTS_LIMIT) throw new Error(`the world made more than ${EVENTS_LIMIT} events`);
      this.#trace.event(top.at, top.label);
      top.run();
    }
    this.#now = untilMs;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Scheduled;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      if (left >= heap.length) break;
      const right = left + 1;
      const child =
        right < heap.length && before(heap[right] as Scheduled, heap[left] as Scheduled) ? right : left;
      if (before(last, heap[child] as Scheduled)) break;
      heap[index] = heap[child] as Scheduled;
      index = child;
    }
    heap[index] = last;
  }
}

const before = (a: Scheduled, b: Scheduled): boolean => a.at < b.at || (a.at === b.at && a.serial < b.serial);
