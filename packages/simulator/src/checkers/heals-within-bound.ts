/**
 * L2: once faults stop, the world comes to rest within a bound: every agent that should run does, exactly once, on the machine
 * and under the epoch that the manager's facts name; everything else is dead; every machine holds its present target.
 *
 * The bound covers, one after the other: the longest dial back-off (30 s, plus 30 s that a manager may ask for), three missed
 * beats, a restart back-off of a crash loop (72 s), a stop with grace and in-flight time, and the retry of unplaced agents.
 */
import type { Agent } from '@muster/core/manager';
import type { Fleet } from '../fleet.ts';
import type { Host } from '../host.ts';

export const HEAL_BOUND_MS = 180_000;

/** What is not yet as it should be, or null when the world is at rest. */
export function unrest(fleet: Fleet): string | null {
  if (!fleet.manager.up) return 'the manager is down';
  const { facts, presence } = fleet.manager.machine;
  for (const host of fleet.hosts) {
    const reason = hostUnrest(fleet, host);
    if (reason !== null) return reason;
  }
  for (const agent of facts.agents.values()) {
    const reason = agentUnrest(fleet, agent);
    if (reason !== null) return reason;
  }
  for (const [agentId, processes] of fleet.world.processes) {
    for (const process of processes) {
      const local = fleet.hostNamed(process.host)?.daemon?.machine.facts.local.has(agentId) === true;
      const placement = facts.agents.get(agentId)?.placement;
      const wanted = placement?.phase === 'OPEN' && placement.epoch === process.epoch;
      if (!local && !wanted)
        return `${agentId} ${process.epoch}.${process.sub} lives on ${process.host} and nobody wants it`;
    }
  }
  const open = [...facts.orders.values()].find((order) => {
    const orchestrator = facts.orchestrators.get(order.orchestratorId);
    const held = isHeld(fleet.hostOf(order.orchestratorId), order.agentId);
    return order.outcome === null && orchestrator?.deregisteredAt === null && !held;
  });
  if (open !== undefined)
    return `${open.what} order ${open.id} of ${open.agentId} has no outcome (${presence.of(open.orchestratorId)?.phase})`;
  return null;
}

function isHeld(host: Host | undefined, agentId: string): boolean {
  const facts = host?.daemon?.machine.facts;
  return facts !== undefined && (facts.holdAll !== null || facts.holds.has(agentId));
}

function hostUnrest(fleet: Fleet, host: Host): string | null {
  const { facts, presence } = fleet.manager.machine;
  if (host.condemned) {
    const orchestrator = facts.orchestrators.get(host.identity?.orchestratorId ?? '');
    return orchestrator?.deregisteredAt === null ? `${host.name} is not declared dead yet` : null;
  }
  if (host.identity === null) return `${host.name} has not joined`;
  const { daemon } = host;
  if (!host.on || daemon === null || host.keeper === null) return `${host.name} is not up`;
  const orchestrator = facts.orchestrators.get(host.identity.orchestratorId);
  if (orchestrator === undefined) return `${host.name} is unknown to the manager`;
  if (orchestrator.deregisteredAt !== null) return null;
  const present = presence.of(orchestrator.id);
  if (present?.phase !== 'eligible') return `${host.name} is not eligible but ${present?.phase ?? 'unknown'}`;
  const { revision, digest } = orchestrator.target;
  if (present.ackedRevision !== revision)
    return `${host.name} has acknowledged ${present.ackedRevision} of ${revision}`;
  const held = daemon.machine.facts;
  if (held.revision !== revision || held.digest !== digest)
    return `${host.name} holds revision ${held.revision} of ${revision}`;
  if (held.outbox.size > 0) return `${host.name} has ${held.outbox.size} receipts nobody took`;
  return null;
}

function agentUnrest(fleet: Fleet, agent: Agent): string | null {
  const { facts } = fleet.manager.machine;
  const { placement } = agent;
  const live = [...(fleet.world.processes.get(agent.id) ?? [])];
  if (agent.desired === 'removed') return `${agent.id} is still being removed`;
  if (agent.desired === 'stopped') {
    return placement === null && live.length === 0 ? null : `${agent.id} is still being stopped`;
  }
  if (placement === null) {
    const free = roomFor(fleet, agent);
    return free === null
      ? null
      : `${agent.id} has no place although ${free} has room (${agent.unplacedReason})`;
  }
  if (placement.phase !== 'OPEN') return `${agent.id} is still closing`;
  const host = fleet.hostOf(placement.orchestratorId);
  if (isHeld(host, agent.id))
    return live.length === 0 ? null : `${agent.id} runs although its customer stopped it`;
  const entry = facts.orchestrators.get(placement.orchestratorId)?.target.entries.get(agent.id);
  const outcome = facts.orders.get(entry?.orderId ?? '')?.outcome;
  const full = (host?.keeper?.processes.length ?? 0) >= (host?.maxAgents ?? 0);
  // The machine's own ceiling: the customer's own agents have taken the place.
  if (live.length === 0 && full && hasLocalAgents(host)) return null;
  const right = live.length === 1 && live[0]?.host === host?.name && live[0]?.epoch === placement.epoch;
  return right
    ? null
    : `${agent.id} ${placement.epoch} should run on ${host?.name}, ${live.length} processes live (order ${outcome ?? 'open'})`;
}

const hasLocalAgents = (host: Host | undefined): boolean => (host?.daemon?.machine.facts.local.size ?? 0) > 0;

/** A machine that could take the agent, by the rules of the contract and not by the code under test. */
function roomFor(fleet: Fleet, agent: Agent): string | null {
  const { facts } = fleet.manager.machine;
  const needed = agent.constraints['required_capabilities'];
  const capabilities = Array.isArray(needed) ? needed : [];
  for (const orchestrator of facts.orchestrators.values()) {
    if (
      orchestrator.customerId !== agent.customerId ||
      orchestrator.deregisteredAt !== null ||
      orchestrator.draining
    )
      continue;
    if (agent.pinnedTo !== null && agent.pinnedTo !== orchestrator.id) continue;
    if (capabilities.some((word) => !orchestrator.capabilities.includes(word as string))) continue;
    const local = fleet.hostOf(orchestrator.id)?.daemon?.machine.facts.local.size ?? 0;
    if (orchestrator.target.entries.size + local < orchestrator.maxAgents) return orchestrator.name;
  }
  return null;
}
