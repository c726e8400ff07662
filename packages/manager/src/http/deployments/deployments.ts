/** Deploying agents, where they are, and moving them. */
import {
  type DeployRequest as DeployBody,
  Deployed,
  Deployment,
  Deployments,
  DeployRequest,
  MigrateAnswer,
  MigrateRequest,
  MusterError,
} from '@muster/contract';
import { agentView, type DeployCommand } from '@muster/core/manager';
import type { Services } from '../../services.ts';
import { agentsFor, deploymentOf } from '../../views/agents.ts';
import { isoTime } from '../../views/containers.ts';
import { type App, callerIn } from '../app.ts';
import { findAgent, IdParams } from '../lookup.ts';

const tags = ['deployments'];

export function registerDeployments(app: App, services: Services): void {
  registerOrders(app, services);
  registerReading(app, services);
}

function registerOrders(app: App, services: Services): void {
  const { engine } = services;
  app.post(
    '/api/v1/cluster/agents/deploy',
    {
      config: { access: 'operator' },
      schema: {
        tags,
        summary: 'Deploy one agent, or several alike',
        body: DeployRequest,
        response: { 200: Deployed },
      },
    },
    async (request) => {
      const { actor } = callerIn(request);
      const customerId = request.body.customer_id ?? null;
      // Another customer's name is as unknown as one that does not exist.
      if (customerId !== null && actor.customerId !== null && customerId !== actor.customerId) {
        throw new MusterError('not-found', `Customer ${JSON.stringify(customerId)} does not exist.`);
      }
      return deployedOf(services, await engine.command(actor, deployCommandOf(request.body)));
    },
  );
  app.post(
    '/api/v1/cluster/agents/:id/migrate',
    {
      config: { access: 'operator' },
      schema: {
        tags,
        summary: 'Move an agent',
        params: IdParams,
        body: MigrateRequest,
        response: { 200: MigrateAnswer },
      },
    },
    async (request) => {
      const { body } = request;
      if (body.agent_id !== request.params.id)
        throw new MusterError('id-mismatch', 'agent_id differs from the id in the path.');
      const value = await engine.command(callerIn(request).actor, {
        kind: 'migrateAgent',
        agentId: body.agent_id,
        to: body.target_container_id ?? null,
        reason: body.reason ?? 'manual',
        preserveState: body.preserve_state ?? true,
      });
      return {
        success: true as const,
        from_container: String(value['from']),
        to_container: String(value['to']),
        complete: value['complete'] === true,
      };
    },
  );
}

function registerReading(app: App, { engine }: Services): void {
  const { machine } = engine;
  app.get(
    '/api/v1/cluster/agents/deployments',
    {
      config: { access: 'viewer' },
      schema: { tags, summary: 'Which agent is on which container', response: { 200: Deployments } },
    },
    (request) => {
      const placed = agentsFor(machine, callerIn(request).actor).flatMap(({ id, placement }) =>
        placement === null ? [] : [[id, placement.orchestratorId] as const],
      );
      return Object.fromEntries(placed);
    },
  );
  app.get(
    '/api/v1/cluster/agents/:id/deployment',
    {
      config: { access: 'viewer' },
      schema: { tags, summary: 'Where one agent is', params: IdParams, response: { 200: Deployment } },
    },
    (request) => {
      const agent = findAgent(machine, callerIn(request).actor, request.params.id);
      const deployment = deploymentOf(machine, agent);
      if (deployment === undefined)
        throw new MusterError('not-found', `Agent ${agent.id} is not placed anywhere at the moment.`);
      return deployment;
    },
  );
}

function deployCommandOf(body: DeployBody): DeployCommand {
  const disconnect = body.on_disconnect ?? 'continue';
  return {
    kind: 'deploy',
    agentType: body.agent_type,
    agentConfig: body.agent_config ?? {},
    resourceRequirements: body.resource_requirements ?? {},
    preferredContainer: body.preferred_container ?? null,
    strategy: body.deployment_strategy ?? 'least_loaded',
    constraints: body.constraints ?? {},
    name: body.name ?? null,
    customerId: body.customer_id ?? null,
    onDisconnect: typeof disconnect === 'string' ? disconnect : disconnect.rule,
    replicas: body.replicas ?? 1,
    waitRunning: body.wait === 'running' || body.wait === true,
  };
}

interface PlacedAgent {
  readonly agentId: string;
  readonly orchestratorId: string;
  readonly epoch: number;
  readonly reason: string;
}

/** The answer about what was just deployed; `value` is the machine's. */
function deployedOf(services: Services, value: Readonly<Record<string, unknown>>): Deployed {
  const { machine, clock } = services.engine;
  const placed = value['agents'] as readonly PlacedAgent[];
  const agents = placed.map(({ agentId, orchestratorId, epoch }) => {
    const agent = machine.facts.agents.get(agentId);
    return {
      agent_id: agentId,
      container_id: orchestratorId,
      container_name: machine.facts.orchestrators.get(orchestratorId)?.name ?? orchestratorId,
      status: agent === undefined ? ('unknown' as const) : agentView(machine.presence, agent).status,
      epoch,
    };
  });
  const first = agents[0];
  const agent = machine.facts.agents.get(first?.agent_id ?? '');
  if (first === undefined) throw new MusterError('conflict', 'Nothing was deployed.');
  const spec = agent?.spec;
  return {
    success: true,
    ...first,
    deployment_id: String(value['deploymentId']),
    agents,
    deployment_details: {
      agent_type: spec?.type ?? '',
      customer_id: String(value['customerId']),
      deployment_strategy: agent?.strategy ?? '',
      reason: placed[0]?.reason ?? '',
      resources: { memory_bytes: spec?.resources.memoryBytes ?? 0, cpu_cores: spec?.resources.cpuCores ?? 0 },
      on_disconnect: spec?.onDisconnect ?? { rule: 'continue' },
      warnings: [...((value['warnings'] as readonly string[] | undefined) ?? [])],
      confirmed: typeof value['confirmed'] === 'boolean' ? value['confirmed'] : null,
      deployed_at: isoTime(agent?.createdAt ?? clock.now().wall),
    },
  };
}
