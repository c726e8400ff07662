/**
 * Answers that wait for the world: "once this agent runs", "once these are confirmed stopped". Volatile; a manager that
 * restarts meanwhile simply never answers, and the caller looks at the state instead.
 */
import type { AgentReport } from '@muster/contract';
import { type Instant, never } from '../machine.ts';
import type { Waiting } from './agent-commands.ts';
import type { Desk } from './desk.ts';

interface Waiter extends Waiting {
  readonly request: string;
  readonly due: Instant;
  /** Epoch and local incarnation of each agent when the wait began. */
  readonly epochs: ReadonlyMap<string, number>;
  readonly subs: ReadonlyMap<string, number>;
}

export class Waiters {
  readonly #waiters = new Set<Waiter>();
  readonly #byAgent = new Map<string, Set<Waiter>>();

  add(desk: Desk, request: string, waiting: Waiting): void {
    const epochs = new Map(waiting.agentIds.map((id) => [id, desk.facts.agents.get(id)?.epoch ?? 0]));
    const subs = new Map(waiting.agentIds.map((id) => [id, reportOf(desk, id)?.sub ?? 0]));
    const waiter: Waiter = { ...waiting, request, due: desk.now.mono + waiting.limitMs, epochs, subs };
    this.#waiters.add(waiter);
    for (const id of waiting.agentIds)
      this.#byAgent.set(id, (this.#byAgent.get(id) ?? new Set()).add(waiter));
    this.#settle(desk, waiter);
  }

  nextDeadline(): Instant {
    let next = never;
    for (const waiter of this.#waiters) next = Math.min(next, waiter.due);
    return next;
  }

  /** Something about this agent may have changed. */
  touch(desk: Desk, agentId: string): void {
    for (const waiter of [...(this.#byAgent.get(agentId) ?? [])]) this.#settle(desk, waiter);
  }

  tick(desk: Desk): void {
    for (const waiter of [...this.#waiters]) this.#settle(desk, waiter);
  }

  #settle(desk: Desk, waiter: Waiter): void {
    const complete = waiter.agentIds.every((id) => arrived(desk, waiter, id));
    if (!complete && desk.now.mono < waiter.due) return;
    this.#waiters.delete(waiter);
    for (const id of waiter.agentIds) {
      const rest = this.#byAgent.get(id);
      rest?.delete(waiter);
      if (rest?.size === 0) this.#byAgent.delete(id);
    }
    desk.emit({ kind: 'reply', request: waiter.request, result: waiter.answer(desk, complete) });
  }
}

function arrived(desk: Desk, waiter: Waiter, id: string): boolean {
  const agent = desk.facts.agents.get(id);
  const epoch = waiter.epochs.get(id) ?? 0;
  if (agent === undefined) return waiter.until === 'released';
  const { placement } = agent;
  if (waiter.until === 'released') return placement === null || placement.epoch > epoch;
  if (waiter.until === 'placed') return placement?.phase === 'OPEN' && placement.epoch > epoch;
  if (placement?.phase !== 'OPEN') return false;
  const report = reportOf(desk, id);
  if (report?.epoch !== placement.epoch) return false;
  if (waiter.until === 'restarted' && report.sub <= (waiter.subs.get(id) ?? 0)) return false;
  return report.status === 'running' || report.status === 'healthy';
}

/** What the agent's orchestrator last reported of it. */
function reportOf(desk: Desk, id: string): AgentReport | undefined {
  const at = desk.facts.agents.get(id)?.placement?.orchestratorId;
  return at === undefined ? undefined : desk.presence.of(at)?.observed.get(id);
}
