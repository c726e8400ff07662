/**
 * The latest events of the fleet, and those who listen to them.
 *
 * Ids are `<incarnation>-<n>` and rise by one. A listener that names the last id it saw gets everything after it, if that is
 * still here; an id of another run of the manager, or one that is too old, gets a `reset` instead: read the state anew.
 * Listeners see events of their customer only. The ring is volatile; the journal is the record.
 */
import type { PublicEvent } from '@muster/core/manager';

export interface FleetEvent {
  readonly id: string;
  readonly type: string;
  readonly customerId: string | null;
  readonly at: number;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Listener {
  /** The one customer it may see; null: all. */
  readonly customerId: string | null;
  /** Event types, or families as `agent.*`; null: all. */
  readonly types: readonly string[] | null;
  readonly deliver: (event: FleetEvent) => void;
}

export type Resumption =
  | { readonly kind: 'from-now' }
  | { readonly kind: 'reset' }
  | { readonly kind: 'resumed'; readonly missed: readonly FleetEvent[] };

const EVENTS_KEPT = 10_000;

export class EventRing {
  readonly #kept: FleetEvent[] = [];
  readonly #listeners = new Set<Listener>();
  readonly #limit: number;
  #incarnation = 0;
  #count = 0;

  constructor(limit = EVENTS_KEPT) {
    this.#limit = limit;
  }

  /** Must be told before the first event. */
  setIncarnation(incarnation: number): void {
    this.#incarnation = incarnation;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  /** Keep and deliver. Returns how many listeners were given it. */
  publish(event: PublicEvent, atWall: number): number {
    this.#count += 1;
    const entry: FleetEvent = {
      id: `${this.#incarnation}-${this.#count}`,
      type: event.type,
      customerId: event.customerId,
      at: atWall,
      data: event.data,
    };
    this.#kept.push(entry);
    // Dropping in blocks keeps the cost of a full ring constant.
    if (this.#kept.length > this.#limit * 2) this.#kept.splice(0, this.#kept.length - this.#limit);
    let delivered = 0;
    for (const listener of this.#listeners) {
      if (!wants(listener, entry)) continue;
      listener.deliver(entry);
      delivered += 1;
    }
    return delivered;
  }

  /** What a listener that saw `lastId` missed; `undefined`: it begins now. */
  resume(lastId: string | undefined, listener: Listener): Resumption {
    if (lastId === undefined || lastId === '') return { kind: 'from-now' };
    const match = /^(\d{1,15})-(\d{1,15})$/.exec(lastId);
    const seen = Number(match?.[2] ?? Number.NaN);
    const oldest = this.#count - this.#kept.length + 1;
    if (match === null || Number(match[1]) !== this.#incarnation || seen > this.#count || seen < oldest - 1)
      return { kind: 'reset' };
    const missed = this.#kept.slice(seen - oldest + 1).filter((event) => wants(listener, event));
    return { kind: 'resumed', missed };
  }

  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** The id of the latest event, to resume from. */
  get latestId(): string {
    return `${this.#incarnation}-${this.#count}`;
  }
}

function wants(listener: Listener, event: FleetEvent): boolean {
  if (listener.customerId !== null && event.customerId !== listener.customerId) return false;
  return listener.types === null || listener.types.some((type) => matches(type, event.type));
}

function matches(wanted: string, type: string): boolean {
  return wanted === type || (wanted.endsWith('.*') && type.startsWith(wanted.slice(0, -1)));
}
