/**
 * What people are shown about the fleet, computed from facts and presence. One vocabulary for every display.
 */
import type { AgentStatus, ConnectionWord, OrchestratorStatus, SyncWord } from '@muster/contract';
import type { Agent, Facts, Orchestrator } from './model.ts';
import type { Presence } from './presence.ts';

export interface AgentView {
  readonly status: AgentStatus;
  /** Why, one sentence; empty when there is nothing to say. */
  readonly detail: string;
  readonly pid: number | null;
  readonly sub: number | null;
  readonly since: number | null;
  readonly crashes: number;
  readonly metrics: Readonly<Record<string, number>>;
  /** False: the last word is old (the orchestrator is out of reach). */
  readonly fresh: boolean;
}

export function agentView(presence: Presence, agent: Agent): AgentView {
  const nothing = { pid: null, sub: null, since: null, crashes: 0, metrics: {}, fresh: true };
  const { placement } = agent;
  if (placement === null) {
    if (agent.desired === 'running') return { ...nothing, status: 'pending', detail: agent.unplacedReason };
    return { ...nothing, status: 'stopped', detail: '' };
  }
  const present = presence.of(placement.orchestratorId);
  const report = present?.observed.get(agent.id);
  const current = report?.epoch === placement.epoch ? report : undefined;
  const fresh = present?.link != null && present.phase !== 'reporting';
  const last = {
    pid: current?.pid ?? null,
    sub: current?.sub ?? null,
    since: current?.since ?? null,
    crashes: current?.crashes ?? 0,
    metrics: present?.metrics.get(agent.id) ?? {},
    fresh,
  };
  if (placement.phase === 'CLOSING') {
    return {
      ...last,
      status: 'stopping',
      detail: fresh ? (placement.closing?.why ?? '') : 'waits for its orchestrator to confirm the stop',
    };
  }
  if (!fresh) {
    const known =
      current === undefined
        ? 'it has not been heard of since this manager started'
        : `last known: ${current.status}`;
    return { ...last, status: 'unknown', detail: `its orchestrator is not connected; ${known}` };
  }
  if (current === undefined) return { ...last, status: 'starting', detail: '' };
  return { ...last, status: current.status, detail: current.detail };
}

export function orchestratorStatus(presence: Presence, orchestrator: Orchestrator): OrchestratorStatus {
  if (orchestrator.deregisteredAt !== null) return 'deregistered';
  const reachability = presence.of(orchestrator.id)?.reachability ?? 'lost';
  if (reachability === 'lost' || reachability === 'disconnected') return reachability;
  return orchestrator.draining ? 'draining' : 'active';
}

export function connectionWord(presence: Presence, orchestrator: Orchestrator): ConnectionWord {
  if (orchestrator.deregisteredAt !== null) return 'revoked';
  if (orchestrator.connectedAt === null) return 'never-connected';
  const present = presence.of(orchestrator.id);
  if (present === undefined) return 'offline';
  if (present.reachability === 'fresh') return 'connected';
  return present.reachability === 'late' ? 'late' : 'offline';
}

/** Is the machine as the manager wants it? `held` and `refused` come with who and why in the agents' details. */
export function syncWord(facts: Facts, presence: Presence, orchestrator: Orchestrator): SyncWord {
  const present = presence.of(orchestrator.id);
  if (present === undefined || present.ackedRevision < orchestrator.target.revision) return 'applying';
  let word: SyncWord = 'in-sync';
  for (const entry of orchestrator.target.entries.values()) {
    const outcome = facts.orders.get(entry.orderId)?.outcome;
    const status = present.observed.get(entry.agentId)?.status;
    if (status === 'stopped-by-customer') return 'held';
    if (outcome === 'refused' || outcome === 'failed') return outcome;
    if (entry.want === 'closing' || status === undefined || status === 'starting' || status === 'stopping')
      word = 'applying';
  }
  return word;
}
