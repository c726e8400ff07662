/**
 * The fleet in one answer, and what could be better about it.
 */
import type { AgentStatus, Discovery, Hub, OptimizeAnswer, Overview } from '@muster/contract';
import { type Actor, agentView, type ManagerMachine, type Orchestrator } from '@muster/core/manager';
import { agentsFor } from './agents.ts';
import { healthOf, isActive, isoTime, orchestratorsFor } from './containers.ts';

const numberOf = (value: unknown): number =>
  typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0;

/** An agent in one of these is not as it should be. */
const troubled: ReadonlySet<AgentStatus> = new Set([
  'pending',
  'degraded',
  'crash-looping',
  'failed',
  'unknown',
]);

export function overviewOf(
  machine: ManagerMachine,
  actor: Actor,
  discovery: Discovery,
  communication: Hub,
  nowWall: number,
): Overview {
  const orchestrators = orchestratorsFor(machine, actor);
  const active = orchestrators.filter((orchestrator) => isActive(machine, orchestrator)).length;
  const statuses: Record<string, number> = {};
  let trouble = active < orchestrators.length;
  const agents = agentsFor(machine, actor);
  for (const agent of agents) {
    const { status } = agentView(machine.presence, agent);
    statuses[status] = (statuses[status] ?? 0) + 1;
    if (agent.desired === 'running' && troubled.has(status)) trouble = true;
  }
  const capabilities: Record<string, number> = {};
  let cores = 0;
  let memory = 0;
  let health = 0;
  for (const orchestrator of orchestrators) {
    const resources = { ...orchestrator.resources, ...machine.presence.of(orchestrator.id)?.resources };
    cores += numberOf(resources['cpu_count']);
    memory += numberOf(resources['memory_limit']);
    health += healthOf(machine, orchestrator);
    for (const word of new Set(orchestrator.capabilities)) capabilities[word] = (capabilities[word] ?? 0) + 1;
  }
  const timestamp = isoTime(nowWall);
  return {
    status: trouble ? 'degraded' : 'operational',
    timestamp,
    cluster: {
      total_containers: orchestrators.length,
      registered_containers: orchestrators.length,
      active_containers: active,
      inactive_containers: orchestrators.length - active,
      total_cpu_cores: cores,
      total_memory_bytes: memory,
      capability_distribution: capabilities,
      cluster_health:
        orchestrators.length === 0 ? 0 : Math.round((health / orchestrators.length) * 100) / 100,
      timestamp,
    },
    discovery,
    communication,
    deployments: {
      total_agents: agents.length,
      agent_distribution: Object.fromEntries(
        orchestrators.map((each) => [each.id, each.target.entries.size]),
      ),
      agent_statuses: statuses,
    },
  };
}

type Suggestion = OptimizeAnswer['suggestions'][number];

/** What a person could improve, worst first; nothing is changed. */
export function suggestionsFor(machine: ManagerMachine, actor: Actor): Suggestion[] {
  const orchestrators = orchestratorsFor(machine, actor);
  return [
    ...agentSuggestions(machine, actor),
    ...orchestrators.flatMap((orchestrator) => orchestratorSuggestions(machine, orchestrator)),
    ...balanceSuggestions(machine, orchestrators),
  ];
}

function agentSuggestions(machine: ManagerMachine, actor: Actor): Suggestion[] {
  return agentsFor(machine, actor).flatMap((agent): Suggestion[] => {
    if (agent.desired !== 'running') return [];
    const view = agentView(machine.presence, agent);
    const base = { container_id: agent.placement?.orchestratorId ?? null, agent_id: agent.id };
    if (view.status === 'pending') {
      return [
        {
          kind: 'place',
          ...base,
          suggestion: `${agent.spec.name} waits for a place: ${view.detail || 'nothing fits'}. Add capacity or relax its constraints.`,
        },
      ];
    }
    if (view.status === 'crash-looping' || view.status === 'failed') {
      return [
        {
          kind: 'repair',
          ...base,
          suggestion: `${agent.spec.name} is ${view.status}: ${view.detail || 'see its logs'}.`,
        },
      ];
    }
    return [];
  });
}

function orchestratorSuggestions(machine: ManagerMachine, orchestrator: Orchestrator): Suggestion[] {
  const base = { container_id: orchestrator.id, agent_id: null };
  const { size } = orchestrator.target.entries;
  if (!isActive(machine, orchestrator) && size > 0) {
    return [
      {
        kind: 'repair',
        ...base,
        suggestion: `${orchestrator.name} is out of reach and holds ${size} agent(s). Bring it back, or remove it with force if it is dead for good.`,
      },
    ];
  }
  if (orchestrator.draining) {
    const rest =
      size === 0 ? 'It is empty and can be removed' : `It still holds ${size} agent(s): move or stop them`;
    return [
      {
        kind: 'drain',
        ...base,
        suggestion: `${orchestrator.name} is draining. ${rest}, or end the draining.`,
      },
    ];
  }
  if (size >= orchestrator.maxAgents && orchestrator.maxAgents > 0) {
    return [
      {
        kind: 'capacity',
        ...base,
        suggestion: `${orchestrator.name} is full: ${size} of ${orchestrator.maxAgents} agents.`,
      },
    ];
  }
  return [];
}

/** Per customer: fullest and emptiest connected orchestrator that differ by two agents or more. */
function balanceSuggestions(machine: ManagerMachine, orchestrators: readonly Orchestrator[]): Suggestion[] {
  const suggestions: Suggestion[] = [];
  for (const customerId of new Set(orchestrators.map((each) => each.customerId))) {
    const usable = orchestrators
      .filter(
        (each) =>
          each.customerId === customerId &&
          each.link === 'channel' &&
          !each.draining &&
          isActive(machine, each),
      )
      .sort((a, b) => a.target.entries.size - b.target.entries.size);
    const least = usable[0];
    const most = usable.at(-1);
    if (least === undefined || most === undefined) continue;
    const difference = most.target.entries.size - least.target.entries.size;
    if (difference < 2 || least.target.entries.size >= least.maxAgents) continue;
    suggestions.push({
      kind: 'move',
      container_id: most.id,
      agent_id: null,
      suggestion: `${most.name} holds ${difference} agents more than ${least.name}: the action rebalance would even them out.`,
    });
  }
  return suggestions;
}
