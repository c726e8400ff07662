/**
 * Orchestrators as this API shows them: as containers.
 */
import type { Container, ContainerDetail, Distribution } from '@muster/contract';
import {
  type Actor,
  byRegistration,
  connectionWord,
  type ManagerMachine,
  type Orchestrator,
  orchestratorStatus,
  type PresentOrchestrator,
  syncWord,
} from '@muster/core/manager';
import { fingerprint } from '@muster/runtime';
import { sees } from '../auth/callers.ts';

/** The furthest moment a date can name, ms: what an orchestrator reports may be any number. */
const LAST_MOMENT_MS = 8.64e15;

export const isoTime = (wallMs: number): string =>
  new Date(Math.min(Math.max(wallMs, 0), LAST_MOMENT_MS)).toISOString();
export const isoTimeOrNull = (wallMs: number | null): string | null =>
  wallMs === null ? null : isoTime(wallMs);

/** Registered orchestrators the actor sees, in the order of registration. */
export function orchestratorsFor(machine: ManagerMachine, actor: Actor): Orchestrator[] {
  return [...machine.facts.orchestrators.values()]
    .filter((orchestrator) => orchestrator.deregisteredAt === null && sees(actor, orchestrator.customerId))
    .sort(byRegistration);
}

export function isActive(machine: ManagerMachine, orchestrator: Orchestrator): boolean {
  const status = orchestratorStatus(machine.presence, orchestrator);
  return status === 'active' || status === 'draining';
}

/**
 * 0..100: what it last reported of itself. Out of reach is 0, whatever it once said; before its first beat, being in reach is
 * all that is known and counts as 100.
 */
export function healthOf(machine: ManagerMachine, orchestrator: Orchestrator): number {
  if (!isActive(machine, orchestrator)) return 0;
  return machine.presence.of(orchestrator.id)?.health ?? 100;
}

/** Agents that run there: reported ones, or, while nothing is reported, the placements that should run. */
function activeAgentsOf(present: PresentOrchestrator | undefined, orchestrator: Orchestrator): number {
  if (orchestrator.link === 'direct') return present?.activeAgents ?? 0;
  if (present === undefined || present.phase === 'none' || present.phase === 'reporting') {
    return [...orchestrator.target.entries.values()].filter((entry) => entry.want === 'run').length;
  }
  return [...present.observed.values()].filter((report) => report.pid !== null).length;
}

export function containerOf(machine: ManagerMachine, orchestrator: Orchestrator): Container {
  const { facts, presence } = machine;
  const present = presence.of(orchestrator.id);
  return {
    container_id: orchestrator.id,
    id: orchestrator.id,
    container_name: orchestrator.name,
    name: orchestrator.name,
    host_address: orchestrator.hostAddress,
    api_port: orchestrator.apiPort,
    api_endpoint: orchestrator.apiEndpoint,
    capabilities: [...orchestrator.capabilities],
    resources: { ...orchestrator.resources, ...present?.resources },
    metadata: { ...orchestrator.metadata, ...present?.metadata },
    status: orchestratorStatus(presence, orchestrator),
    health_score: healthOf(machine, orchestrator),
    active_agents: activeAgentsOf(present, orchestrator),
    max_agents: orchestrator.maxAgents,
    registered_at: isoTime(orchestrator.registeredAt),
    last_heartbeat: isoTimeOrNull(present?.lastSeenWall ?? null),
    customer_id: orchestrator.customerId,
    link: orchestrator.link,
    placed_agents: orchestrator.target.entries.size,
    connection: connectionWord(presence, orchestrator),
    sync: syncWord(facts, presence, orchestrator),
    draining: orchestrator.draining,
    software: present?.software ?? null,
  };
}

export function containerDetailOf(machine: ManagerMachine, orchestrator: Orchestrator): ContainerDetail {
  return {
    ...containerOf(machine, orchestrator),
    deployed_agents: [...orchestrator.target.entries.keys()].sort(),
    key_fingerprint: orchestrator.publicKey === null ? null : fingerprint(orchestrator.publicKey),
  };
}

export function distributionOf(machine: ManagerMachine, actor: Actor, nowWall: number): Distribution {
  const orchestrators = orchestratorsFor(machine, actor);
  const distribution: Distribution['distribution'] = {};
  let agents = 0;
  for (const orchestrator of orchestrators) {
    const { container_name, health_score, resources } = containerOf(machine, orchestrator);
    const placed = [...orchestrator.target.entries.keys()].sort();
    agents += placed.length;
    distribution[orchestrator.id] = {
      container_name,
      agent_count: placed.length,
      agents: placed,
      health_score,
      resources,
    };
  }
  return {
    total_containers: orchestrators.length,
    total_agents: agents,
    timestamp: isoTime(nowWall),
    distribution,
  };
}
