/**
 * Direct programs: those that register and beat over REST. Identity is the name they register under, for the user they sign in as.
 */
import {
  HeartbeatAnswer,
  HeartbeatRequest,
  MusterError,
  RegisterAnswer,
  RegisterRequest,
} from '@muster/contract';
import type { OrchestratorFields } from '@muster/core/manager';
import type { Services } from '../../services.ts';
import { type App, callerIn } from '../app.ts';
import { IdParams } from '../lookup.ts';

const tags = ['containers'];
/** Places of a direct program that does not say how many it has. */
const DEFAULT_MAX_AGENTS = 10;

export function registerDirectContainers(app: App, services: Services): void {
  registerRegistration(app, services);
  registerHeartbeat(app, services);
}

function registerRegistration(app: App, { engine, settings }: Services): void {
  app.post(
    '/api/v1/cluster/containers/register',
    {
      config: { access: 'operator' },
      schema: {
        tags,
        summary: 'Register a direct program',
        body: RegisterRequest,
        response: { 200: RegisterAnswer },
      },
    },
    async (request) => {
      const { actor, user } = callerIn(request);
      if (!settings.directOrchestrators) {
        throw new MusterError(
          'forbidden',
          'Direct registration is off on this manager (DIRECT_ORCHESTRATORS): join with a token instead.',
        );
      }
      if (actor.customerId !== null && actor.customerId !== 'default') {
        throw new MusterError(
          'forbidden',
          'Direct programs belong to the customer "default", which you do not see. Join with a token instead.',
        );
      }
      const fields = fieldsOf(request.body);
      const command = { kind: 'registerDirect', subject: user.id, agentId: fields.name, fields } as const;
      const value = await engine.command(actor, command);
      const again = value['rejoined'] === true ? 'again ' : '';
      return {
        success: true as const,
        container_id: String(value['orchestratorId']),
        message: `Container ${fields.name} is registered ${again}by direct link. This version places agents on channel links only.`,
      };
    },
  );
}

function registerHeartbeat(app: App, { engine }: Services): void {
  app.post(
    '/api/v1/cluster/containers/:id/heartbeat',
    {
      config: { access: 'beating' },
      schema: {
        tags,
        summary: 'A sign of life of a direct program',
        params: IdParams,
        body: HeartbeatRequest,
        response: { 200: HeartbeatAnswer },
      },
    },
    async (request) => {
      const { actor, user, expired } = callerIn(request);
      const orchestrator = engine.machine.facts.orchestrators.get(request.params.id);
      if (expired) {
        // Also when it was removed meanwhile: such programs sign in anew on 403 only, and then register again.
        if (orchestrator?.subject === user.id) throw new MusterError('sign-in-again');
        throw new MusterError(
          'token-expired',
          'The token has expired. POST /api/v1/auth/login with email and password for a new one.',
        );
      }
      const { body } = request;
      if (body.container_id !== request.params.id) {
        throw new MusterError('id-mismatch', 'container_id differs from the id in the path.');
      }
      if (
        orchestrator !== undefined &&
        actor.customerId !== null &&
        orchestrator.customerId !== actor.customerId
      ) {
        throw new MusterError('not-found', 'This container is not registered: register it first.');
      }
      await engine.command(actor, {
        kind: 'directBeat',
        orchestratorId: request.params.id,
        subject: user.id,
        health: body.health_score,
        resources: body.resources ?? {},
        activeAgents: body.active_agents ?? body.agent_count ?? 0,
        metadata: body.metadata ?? {},
      });
      return { status: 'acknowledged' as const };
    },
  );
}

function fieldsOf(body: RegisterRequest): OrchestratorFields {
  const metadata = body.metadata ?? {};
  const resources = body.resources ?? {};
  const limits = [metadata['max_agents'], resources['max_agents']].filter(
    (value): value is number =>
      typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= 100_000,
  );
  return {
    name: body.container_name,
    hostAddress: body.host_address,
    apiPort: body.api_port ?? 8001,
    apiEndpoint: body.api_endpoint ?? null,
    capabilities: body.capabilities ?? [],
    maxAgents: limits[0] ?? DEFAULT_MAX_AGENTS,
    resources,
    metadata,
  };
}
