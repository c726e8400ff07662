/**
 * Presence: who is connected, since when, and what they last said. Volatile on purpose: after a restart it is re-learnt from
 * the orchestrators' reports.
 *
 * Liveness (one table for all displays): an expected beat that is half a period overdue is missed; one missed = late (still
 * active), two = disconnected, three = lost. A closed socket counts as the first miss at once. Lost moves nothing by itself.
 * A session is one hand-shake on one link; a second one of the same identity is refused unless it is the same daemon
 * instance, whose older socket is then dead weight.
 */
import type { AgentReport } from '@muster/contract';
import type { Instant, Now } from '../machine.ts';
import { never } from '../machine.ts';
import { DueTimes } from '../shared/due-times.ts';

export type Reachability = 'fresh' | 'late' | 'disconnected' | 'lost';

export interface PresentOrchestrator {
  readonly id: string;
  link: string | null;
  session: string | null;
  instance: string | null;
  bootId: string | null;
  software: string | null;
  /** `reporting`: hand-shake done, report awaited. `reconciling`: target sent. `eligible`: may be given new work. */
  phase: 'none' | 'reporting' | 'reconciling' | 'eligible';
  /** Last sign of life on the deciding clock, and for display. Null: none since this manager started. */
  lastSeen: Instant;
  lastSeenWall: number | null;
  beatIntervalMs: number;
  /** Beats seen from a direct program, to learn its own interval. */
  observedIntervalMs: number | null;
  reachability: Reachability;
  health: number | null;
  activeAgents: number | null;
  resources: Record<string, unknown>;
  metadata: Record<string, unknown>;
  /** Highest target revision sent in this session and acknowledged ever. */
  sentRevision: number;
  ackedRevision: number;
  readonly observed: Map<string, AgentReport>;
  readonly metrics: Map<string, Readonly<Record<string, number>>>;
}

const missedAt = (beatIntervalMs: number, missed: number): number => beatIntervalMs * (missed + 0.5);
const order: readonly Reachability[] = ['fresh', 'late', 'disconnected', 'lost'];

export class Presence {
  readonly #byId = new Map<string, PresentOrchestrator>();
  readonly #byLink = new Map<string, PresentOrchestrator>();
  readonly #due = new DueTimes();
  readonly #beatIntervalMs: number;

  constructor(beatIntervalMs: number) {
    this.#beatIntervalMs = beatIntervalMs;
  }

  get beatIntervalMs(): number {
    return this.#beatIntervalMs;
  }

  of(id: string): PresentOrchestrator | undefined {
    return this.#byId.get(id);
  }

  byLink(link: string): PresentOrchestrator | undefined {
    return this.#byLink.get(link);
  }

  nextDeadline(): Instant {
    return this.#due.next();
  }

  /** Start watching an orchestrator; from here on silence counts. */
  watch(id: string, now: Now, beatIntervalMs = this.#beatIntervalMs): PresentOrchestrator {
    const known = this.#byId.get(id);
    if (known !== undefined) return known;
    const present: PresentOrchestrator = {
      id,
      link: null,
      session: null,
      instance: null,
      bootId: null,
      software: null,
      phase: 'none',
      lastSeen: now.mono,
      lastSeenWall: null,
      beatIntervalMs,
      observedIntervalMs: null,
      reachability: 'fresh',
      health: null,
      activeAgents: null,
      resources: {},
      metadata: {},
      sentRevision: 0,
      ackedRevision: 0,
      observed: new Map(),
      metrics: new Map(),
    };
    this.#byId.set(id, present);
    this.#arm(present);
    return present;
  }

  forget(id: string): void {
    const present = this.#byId.get(id);
    if (present?.link != null) this.#byLink.delete(present.link);
    this.#byId.delete(id);
    this.#due.clear(id);
  }

  open(present: PresentOrchestrator, link: string, session: string): void {
    if (present.link !== null) this.#byLink.delete(present.link);
    this.#byLink.set(link, present);
    present.link = link;
    present.session = session;
    present.phase = 'reporting';
    present.sentRevision = 0;
  }

  /** The socket is gone: no session, and at once late. */
  close(present: PresentOrchestrator, now: Now): Reachability | null {
    if (present.link !== null) this.#byLink.delete(present.link);
    present.link = null;
    present.session = null;
    present.phase = 'none';
    const due = now.mono - missedAt(present.beatIntervalMs, 1);
    if (present.lastSeen > due) present.lastSeen = due;
    return this.#refresh(present, now);
  }

  /** A sign of life. Returns the new reachability when it changed. */
  seen(present: PresentOrchestrator, now: Now): Reachability | null {
    present.lastSeen = now.mono;
    present.lastSeenWall = now.wall;
    return this.#refresh(present, now);
  }

  /** A beat of a direct program: learns its own interval from what is observed (30 s until then). */
  seenDirect(present: PresentOrchestrator, now: Now): Reachability | null {
    const gap = now.mono - present.lastSeen;
    if (present.lastSeenWall !== null && gap >= 1000 && gap <= 600_000) {
      const before = present.observedIntervalMs;
      present.observedIntervalMs = before === null ? gap : (before * 3 + gap) / 4;
      present.beatIntervalMs = Math.max(1000, present.observedIntervalMs);
    }
    return this.seen(present, now);
  }

  /** Orchestrators whose reachability got worse by `now`. */
  expire(now: Now): { present: PresentOrchestrator; reachability: Reachability }[] {
    const changed: { present: PresentOrchestrator; reachability: Reachability }[] = [];
    for (let id = this.#due.takeDue(now.mono); id !== undefined; id = this.#due.takeDue(now.mono)) {
      const present = this.#byId.get(id);
      if (present === undefined) continue;
      const reachability = this.#refresh(present, now);
      if (reachability !== null) changed.push({ present, reachability });
    }
    return changed;
  }

  #refresh(present: PresentOrchestrator, now: Now): Reachability | null {
    const silent = now.mono - present.lastSeen;
    let missed = 0;
    while (missed < 3 && silent >= missedAt(present.beatIntervalMs, missed + 1)) missed += 1;
    const before = present.reachability;
    present.reachability = order[missed] as Reachability;
    this.#arm(present, missed);
    return present.reachability === before ? null : present.reachability;
  }

  #arm(present: PresentOrchestrator, missed = 0): void {
    const next = missed >= 3 ? never : present.lastSeen + missedAt(present.beatIntervalMs, missed + 1);
    this.#due.set(present.id, next);
  }
}
