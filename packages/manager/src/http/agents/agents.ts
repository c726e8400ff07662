/** Agents: list, look, stop, start, restart, remove; and the types they are made from. */
import {
  Agent,
  AgentActionAnswer,
  AgentDetail,
  AgentMetrics,
  AgentsQuery,
  AgentType,
  WaitQuery,
} from '@muster/contract';
import { type Actor, agentView, type ManagerCommand } from '@muster/core/manager';
import { Type } from 'typebox';
import type { Services } from '../../services.ts';
import { agentDetailOf, agentOf, agentsFor, agentTypeOf } from '../../views/agents.ts';
import { isoTime } from '../../views/containers.ts';
import { type App, callerIn } from '../app.ts';
import { findAgent, IdParams } from '../lookup.ts';

const tags = ['agents'];
const viewer = { access: 'viewer' } as const;
const operator = { access: 'operator' } as const;

export function registerAgents(app: App, services: Services): void {
  registerReading(app, services);
  registerControl(app, services);
}

function registerReading(app: App, { engine }: Services): void {
  const { machine } = engine;
  const list = {
    tags,
    summary: 'List agents; filters combine',
    querystring: AgentsQuery,
    response: { 200: Type.Array(Agent) },
  };
  app.get('/api/v1/cluster/agents', { config: viewer, schema: list }, (request) => {
    const { customer_id, container_id, agent_type, status, deployment_id } = request.query;
    return agentsFor(machine, callerIn(request).actor)
      .map((agent) => agentOf(machine, agent))
      .filter(
        (agent) =>
          (customer_id === undefined || agent.customer_id === customer_id) &&
          (container_id === undefined || agent.container_id === container_id) &&
          (agent_type === undefined || agent.agent_type === agent_type) &&
          (deployment_id === undefined || agent.deployment_id === deployment_id) &&
          (status === undefined || agent.status === status),
      );
  });
  const detail = { tags, summary: 'One agent', params: IdParams, response: { 200: AgentDetail } };
  app.get('/api/v1/cluster/agents/:id', { config: viewer, schema: detail }, (request) =>
    agentDetailOf(machine, findAgent(machine, callerIn(request).actor, request.params.id)),
  );
  const metrics = {
    tags,
    summary: 'Latest numbers an agent published',
    params: IdParams,
    response: { 200: AgentMetrics },
  };
  app.get('/api/v1/cluster/agents/:id/metrics', { config: viewer, schema: metrics }, (request) => {
    const agent = findAgent(machine, callerIn(request).actor, request.params.id);
    const view = agentView(machine.presence, agent);
    return {
      agent_id: agent.id,
      timestamp: isoTime(engine.clock.now().wall),
      fresh: view.fresh,
      metrics: { ...view.metrics },
    };
  });
  const types = {
    tags,
    summary: 'Agent types that can be deployed',
    response: { 200: Type.Array(AgentType) },
  };
  app.get('/api/v1/cluster/agent-types', { config: viewer, schema: types }, () =>
    [...machine.facts.agentTypes.values()].sort((a, b) => (a.type < b.type ? -1 : 1)).map(agentTypeOf),
  );
}

type Verb = 'stopAgent' | 'startAgent' | 'restartAgent' | 'removeAgent';

function registerControl(app: App, services: Services): void {
  const schemaFor = (summary: string) => ({
    tags,
    summary,
    params: IdParams,
    querystring: WaitQuery,
    response: { 200: AgentActionAnswer },
  });
  app.post(
    '/api/v1/cluster/agents/:id/stop',
    { config: operator, schema: schemaFor('Stop an agent; it stays and can be started') },
    (request) =>
      act(services, callerIn(request).actor, 'stopAgent', request.params.id, request.query.wait === true),
  );
  app.post(
    '/api/v1/cluster/agents/:id/start',
    { config: operator, schema: schemaFor('Start a stopped agent') },
    (request) =>
      act(services, callerIn(request).actor, 'startAgent', request.params.id, request.query.wait === true),
  );
  app.post(
    '/api/v1/cluster/agents/:id/restart',
    { config: operator, schema: schemaFor('Restart the process where it is') },
    (request) =>
      act(services, callerIn(request).actor, 'restartAgent', request.params.id, request.query.wait === true),
  );
  app.delete(
    '/api/v1/cluster/agents/:id',
    { config: operator, schema: schemaFor('Stop an agent and remove it for good') },
    (request) =>
      act(services, callerIn(request).actor, 'removeAgent', request.params.id, request.query.wait === true),
  );
}

async function act(
  services: Services,
  actor: Actor,
  kind: Verb,
  agentId: string,
  wait: boolean,
): Promise<AgentActionAnswer> {
  const { engine, links } = services;
  const before = findAgent(engine.machine, actor, agentId);
  const command: ManagerCommand = { kind, agentId, wait };
  const value = await engine.command(actor, command);
  const agent = engine.machine.facts.agents.get(agentId);
  const status = agent === undefined ? 'removed' : agentView(engine.machine.presence, agent).status;
  const containerId = agent?.placement?.orchestratorId ?? null;
  const goal: Readonly<Record<Verb, readonly string[]>> = {
    stopAgent: ['stopped'],
    removeAgent: ['removed'],
    startAgent: ['running', 'healthy'],
    restartAgent: [],
  };
  return {
    success: true,
    agent_id: agentId,
    status: kind === 'removeAgent' && status !== 'removed' ? 'removing' : status,
    connected: containerId === null ? true : links.isConnected(containerId),
    confirmed:
      kind === 'restartAgent'
        ? value['confirmed'] === true
        : goal[kind].includes(typeof value['status'] === 'string' ? value['status'] : status),
    container_id: containerId,
    epoch: agent?.epoch ?? before.epoch,
  };
}
