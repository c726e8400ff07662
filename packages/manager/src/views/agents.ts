/**
 * Agents, deployments and orders as this API shows them.
 */
import type { Agent, AgentDetail, AgentType, AgentTypeRecipe, Deployment, Order } from '@muster/contract';
import {
  type Actor,
  type Agent as AgentFacts,
  agentView,
  type ManagerMachine,
  type OrderRecord,
  type Placement,
} from '@muster/core/manager';
import { sees } from '../auth/callers.ts';
import { isoTime, isoTimeOrNull } from './containers.ts';

/** Agents the actor sees, oldest first. */
export function agentsFor(machine: ManagerMachine, actor: Actor): AgentFacts[] {
  return [...machine.facts.agents.values()]
    .filter((agent) => sees(actor, agent.customerId))
    .sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
}

export function agentOf(machine: ManagerMachine, agent: AgentFacts): Agent {
  const view = agentView(machine.presence, agent);
  const orchestrator = machine.facts.orchestrators.get(agent.placement?.orchestratorId ?? '');
  return {
    agent_id: agent.id,
    name: agent.spec.name,
    agent_type: agent.spec.type,
    type_version: agent.spec.typeVersion,
    customer_id: agent.customerId,
    deployment_id: agent.deploymentId,
    desired: agent.desired,
    status: view.status,
    detail: view.detail,
    fresh: view.fresh,
    container_id: agent.placement?.orchestratorId ?? null,
    container_name: orchestrator?.name ?? null,
    epoch: agent.epoch,
    pid: view.pid,
    since: isoTimeOrNull(view.since),
    crashes: view.crashes,
    created_at: isoTime(agent.createdAt),
    metrics: { ...view.metrics },
  };
}

export function agentDetailOf(machine: ManagerMachine, agent: AgentFacts): AgentDetail {
  const { spec } = agent;
  return {
    ...agentOf(machine, agent),
    config: { ...spec.config },
    resources: { memory_bytes: spec.resources.memoryBytes, cpu_cores: spec.resources.cpuCores },
    on_disconnect: spec.onDisconnect,
    deployment_strategy: agent.strategy,
    constraints: { ...agent.constraints },
    pinned_to: agent.pinnedTo,
    created_by: agent.createdBy,
    placement: agent.placement === null ? null : placementOf(agent.placement),
    stored_state: agent.state === null ? null : { ...agent.state },
  };
}

function placementOf(placement: Placement): NonNullable<AgentDetail['placement']> {
  const { closing } = placement;
  return {
    container_id: placement.orchestratorId,
    epoch: placement.epoch,
    placed_at: isoTime(placement.placedAt),
    reason: placement.reason,
    phase: placement.phase,
    closing:
      closing === null
        ? null
        : { why: closing.why, then: closing.then, to: closing.to, at: isoTime(closing.at) },
    restarts: placement.restarts,
  };
}

/** Undefined: it has no place at the moment. */
export function deploymentOf(machine: ManagerMachine, agent: AgentFacts): Deployment | undefined {
  const { placement } = agent;
  const orchestrator = machine.facts.orchestrators.get(placement?.orchestratorId ?? '');
  if (placement === null || orchestrator === undefined) return undefined;
  return {
    agent_id: agent.id,
    container_id: orchestrator.id,
    container_name: orchestrator.name,
    host_address: orchestrator.hostAddress,
    deployment_time: isoTime(placement.placedAt),
    epoch: placement.epoch,
    phase: placement.phase,
    reason: placement.reason,
    status: agentView(machine.presence, agent).status,
  };
}

export function orderOf(order: OrderRecord): Order {
  return {
    order_id: order.id,
    agent_id: order.agentId,
    container_id: order.orchestratorId,
    epoch: order.epoch,
    what: order.what,
    by: order.by,
    at: isoTime(order.at),
    outcome: order.outcome,
    detail: order.detail,
    concluded_at: isoTimeOrNull(order.concludedAt),
  };
}

export function agentTypeOf(recipe: AgentTypeRecipe): AgentType {
  return {
    agent_type: recipe.type,
    version: recipe.version,
    title: recipe.title,
    description: recipe.description,
    trading: recipe.trading,
    config_schema: { ...recipe.configSchema },
    defaults: { ...recipe.defaults },
    resources: { memory_bytes: recipe.resources.memoryBytes, cpu_cores: recipe.resources.cpuCores },
    verbs: [...recipe.verbs],
  };
}
