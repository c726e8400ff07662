/**
 * The network between orchestrators and the manager: connections, not datagrams. Text arrives in order or not at all.
 *
 * A reset delivers a random prefix of what was under way; a half-open connection swallows everything and tells nobody; a
 * partition holds back what is under way (the sender's kernel repeats it) and lets no new connection through; the direction
 * of a one-way partition that still works goes on working.
 */
import type { Stream } from './random.ts';
import type { Schedule } from './schedule.ts';

export type Direction = 'up' | 'down';

/** What one end of a connection wants to hear. */
export interface End {
  onText(text: string): void;
  /** The connection is gone; called at most once, never after this end closed it itself. */
  onClosed(): void;
}

class Pipe {
  /** Texts under way; each scheduled delivery takes the oldest. */
  readonly queue: string[] = [];
  lastAt = 0;
  /** Deliveries held back by a partition. */
  held: (() => void)[] = [];
}

export interface NetworkOptions {
  readonly schedule: Schedule;
  readonly stream: Stream;
  readonly meanMs: number;
}

/** One orchestrator's line to the manager and its present condition. */
export class Line {
  readonly name: string;
  readonly blocked = { up: false, down: false };
  slowFactor = 1;
  refusesDials = false;
  readonly connections = new Set<Connection>();

  constructor(name: string) {
    this.name = name;
  }
  get anyBlocked(): boolean {
    return this.blocked.up || this.blocked.down;
  }
}

export class Connection {
  readonly id: string;
  readonly line: Line;
  readonly #options: NetworkOptions;
  /** `up` carries text to the manager, `down` to the orchestrator. */
  readonly #pipes = { up: new Pipe(), down: new Pipe() };
  readonly #ends: { up: End | null; down: End | null } = { up: null, down: null };
  #swallows = false;

  constructor(id: string, line: Line, ends: { manager: End; orchestrator: End }, options: NetworkOptions) {
    this.id = id;
    this.line = line;
    this.#options = options;
    this.#ends.up = ends.manager;
    this.#ends.down = ends.orchestrator;
    line.connections.add(this);
  }

  isOpenFor(receiverOf: Direction): boolean {
    return this.#ends[receiverOf] !== null;
  }

  /** Send text in a direction. Into a closed or half-open connection it vanishes. */
  send(direction: Direction, text: string): void {
    if (this.#swallows) return;
    const pipe = this.#pipes[direction];
    pipe.queue.push(text);
    this.#scheduleDelivery(direction, pipe, () => this.#deliverNext(direction));
  }

  /** This end closes in an orderly way: what it has sent arrives, then the other end is told. */
  close(by: 'manager' | 'orchestrator'): void {
    const outgoing: Direction = by === 'manager' ? 'down' : 'up';
    const incoming: Direction = by === 'manager' ? 'up' : 'down';
    this.#ends[incoming] = null;
    if (this.#swallows) return this.#forgetIfDead();
    this.#scheduleDelivery(outgoing, this.#pipes[outgoing], () => this.#end(outgoing));
    this.#forgetIfDead();
  }

  /** Torn in the middle: each direction delivers a random prefix, then both ends are told. */
  reset(): void {
    if (this.#swallows) return;
    for (const direction of ['up', 'down'] as const) {
      const kept = this.#options.stream.integer(this.#pipes[direction].queue.length + 1);
      for (let index = 0; index < kept; index += 1) this.#deliverNext(direction);
      this.#pipes[direction].queue.length = 0;
    }
    this.#swallows = true;
    for (const direction of ['up', 'down'] as const) this.#end(direction);
  }

  /** The process at one end died; its kernel tells the other end after what was under way (a prefix of it). */
  processDied(side: 'manager' | 'orchestrator'): void {
    const incoming: Direction = side === 'manager' ? 'up' : 'down';
    const outgoing: Direction = side === 'manager' ? 'down' : 'up';
    this.#ends[incoming] = null;
    const { queue } = this.#pipes[outgoing];
    queue.length = this.#options.stream.integer(queue.length + 1);
    if (!this.#swallows) {
      this.#scheduleDelivery(outgoing, this.#pipes[outgoing], () => this.#end(outgoing));
    }
    this.#forgetIfDead();
  }

  /** From now on nothing arrives and nobody is told. `side` given: that machine is off. */
  becomeHalfOpen(deadSide?: 'manager' | 'orchestrator'): void {
    this.#swallows = true;
    this.#pipes.up.queue.length = 0;
    this.#pipes.down.queue.length = 0;
    if (deadSide !== undefined) this.#ends[deadSide === 'manager' ? 'up' : 'down'] = null;
    this.#forgetIfDead();
  }

  /** The partition of the line is over: what was held back goes on. */
  resume(direction: Direction): void {
    const pipe = this.#pipes[direction];
    const { held } = pipe;
    pipe.held = [];
    for (const action of held) this.#scheduleDelivery(direction, pipe, action);
  }

  #scheduleDelivery(direction: Direction, pipe: Pipe, action: () => void): void {
    const { schedule, stream, meanMs } = this.#options;
    const tail = stream.chance(0.02) ? stream.between(1, 30) : 1;
    const delay = meanMs * stream.between(0.3, 1.7) * tail * this.line.slowFactor;
    pipe.lastAt = Math.max(pipe.lastAt + 0.001, schedule.now + delay);
    schedule.after(pipe.lastAt - schedule.now, 'net', () => {
      if (this.line.blocked[direction]) pipe.held.push(action);
      else action();
    });
  }

  #deliverNext(direction: Direction): void {
    const text = this.#pipes[direction].queue.shift();
    if (text === undefined || this.#swallows) return;
    this.#ends[direction]?.onText(text);
  }

  /** Tell the receiver of a direction that nothing more comes. */
  #end(direction: Direction): void {
    const end = this.#ends[direction];
    this.#ends[direction] = null;
    this.#forgetIfDead();
    end?.onClosed();
  }

  #forgetIfDead(): void {
    if (this.#ends.up === null && this.#ends.down === null) this.line.connections.delete(this);
  }
}

/** Block or unblock a direction of a line. Connections to be made wait for both. */
export function setBlocked(line: Line, direction: Direction, blocked: boolean): void {
  line.blocked[direction] = blocked;
  if (!blocked) for (const connection of line.connections) connection.resume(direction);
}
