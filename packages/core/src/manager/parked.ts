/**
 * Deploys that found nothing while an orchestrator is just connecting or being reconciled: they wait for it, a few seconds
 * at most, instead of telling the caller to try again in a second. Volatile; nothing is written while they wait.
 */
import { type Instant, never } from '../machine.ts';
import type { Desk } from './desk.ts';
import type { Actor, CommandOf } from './inputs.ts';

/** How long a deploy waits for orchestrators that are being reconciled, ms. */
export const PARK_LIMIT_MS = 5_000;

export interface ParkedDeploy {
  readonly request: string;
  readonly actor: Actor;
  readonly command: CommandOf<'deploy'>;
  readonly due: Instant;
}

export class ParkedDeploys {
  #parked: ParkedDeploy[] = [];

  get size(): number {
    return this.#parked.length;
  }
  nextDeadline(): Instant {
    return this.#parked.reduce((least, item) => Math.min(least, item.due), never);
  }
  park(deploy: ParkedDeploy): void {
    this.#parked.push(deploy);
  }
  /** Everything that waits, oldest first; the caller parks again what must wait on. */
  takeAll(): readonly ParkedDeploy[] {
    const all = this.#parked;
    this.#parked = [];
    return all;
  }
}

/** Is any orchestrator this actor may use expected any moment: just enrolled, reconnecting, or being reconciled? */
export function someoneIsExpected(desk: Desk, actor: Actor): boolean {
  for (const { id, customerId, deregisteredAt, link } of desk.facts.orchestrators.values()) {
    if (deregisteredAt !== null || link !== 'channel') continue;
    if (actor.customerId !== null && actor.customerId !== customerId) continue;
    const present = desk.presence.of(id);
    const expected = present?.reachability === 'fresh' || present?.reachability === 'late';
    if (expected && present.phase !== 'eligible') return true;
  }
  return false;
}
