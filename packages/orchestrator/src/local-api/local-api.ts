/**
 * The orchestrator's own HTTP interface (port 8001): for whoever operates this machine, with the manager or without it.
 *
 * `/health` needs no token and says nothing worth hiding; everything else wants the local operator's token from the data
 * directory. The manager's tokens do not open this door: what the manager wants comes over the link, signed. Answers and
 * errors follow the wire contract (problem details, X-Request-ID).
 */

import { randomUUID } from 'node:crypto';
import { type ErrorCode, MusterError, problemOf } from '@muster/contract';
import type { LocalCommand, LocalResult, OrchestratorMachine } from '@muster/core/orchestrator';
import type { Logger, Metrics, Secret } from '@muster/runtime';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import type { AgentCatalogue } from '../agent-catalogue.ts';
import type { OrchestratorConfig } from '../config.ts';
import type { UplinkStatus } from '../uplink/uplink.ts';
import { parseDeploy, parseReason, specOf } from './local-requests.ts';
import { agentsOf, agentView, configView, countsOf } from './local-view.ts';

const BODY_LIMIT_BYTES = 1_048_576;

export interface LocalApiOptions {
  readonly config: OrchestratorConfig;
  readonly version: string;
  readonly agentId: string;
  readonly token: Secret;
  readonly machine: OrchestratorMachine;
  readonly catalogue: AgentCatalogue;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly identity: () => { readonly orchestratorId: string; readonly customerId: string } | null;
  readonly uplink: () => UplinkStatus;
  readonly facts: () => Readonly<Record<string, unknown>>;
  readonly command: (command: LocalCommand) => Promise<LocalResult>;
  readonly stateOf: (agentId: string) => Readonly<Record<string, string>>;
}

const timestamp = (): string => new Date().toISOString();

/** Not listening yet; `inject` works. */
export function buildLocalApi(options: LocalApiOptions): FastifyInstance {
  const server = fastify({
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: 30_000,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 128 },
    genReqId: () => randomUUID(),
  });
  server.addHook('onRequest', async (request, reply) => {
    void reply.header('x-request-id', request.id);
    if (request.routeOptions.url === '/health') return;
    if (!isOperator(request, options.token)) {
      void reply.header('www-authenticate', 'Bearer');
      throw new MusterError('unauthenticated', 'This orchestrator answers only to its local operator.', {
        extra: {
          next: 'Send "Authorization: Bearer <token>" with the content of the file local-token in the data directory.',
        },
      });
    }
  });
  server.setErrorHandler((error, request, reply) =>
    answerError(error as Error & { code?: string; statusCode?: number }, request, reply, options.log),
  );
  server.setNotFoundHandler((request, reply) => {
    const failure = new MusterError(
      'not-found',
      `There is no ${request.method} ${request.url.split('?')[0] ?? ''}.`,
    );
    return problem(reply, failure);
  });
  addReadingRoutes(server, options);
  addCommandRoutes(server, options);
  return server;
}

function addReadingRoutes(server: FastifyInstance, options: LocalApiOptions): void {
  const { machine, config, agentId } = options;
  server.get('/health', () => {
    const uplink = options.uplink();
    const { running, expected } = countsOf(machine);
    return {
      status: 'healthy',
      agent_id: agentId,
      agent_type: config.agentType,
      timestamp: timestamp(),
      version: options.version,
      manager: { state: uplink.state, since: new Date(uplink.since).toISOString() },
      agents: { running, expected },
      keeper: machine.keeperUp ? 'up' : 'down',
    };
  });
  server.get('/status', () => {
    const { running, expected } = countsOf(machine);
    const { state, since, reason } = options.uplink();
    const { holdAll, generation, revision, outbox } = machine.facts;
    return {
      agent_id: agentId,
      agent_type: config.agentType,
      status: machine.keeperUp ? 'running' : 'degraded',
      container_id: options.identity()?.orchestratorId ?? null,
      customer_id: options.identity()?.customerId ?? null,
      config: configView(config),
      metrics: {
        agents_running: running,
        agents_expected: expected,
        health_score: machine.link.healthScore,
        ...machine.link.resources,
      },
      manager: {
        state,
        since: new Date(since).toISOString(),
        reason,
        generation,
        revision,
        receipts_waiting: outbox.size,
      },
      stopped_by_customer:
        holdAll === null
          ? null
          : { by: holdAll.by, reason: holdAll.reason, at: new Date(holdAll.at).toISOString() },
      host: options.facts(),
      timestamp: timestamp(),
    };
  });
  server.get('/metrics', async (_request, reply) => {
    const { contentType, body } = await options.metrics.render();
    return reply.type(contentType).send(body);
  });
  server.get('/agents', () => agentsOf(machine).map((agent) => agentView(machine, agent)));
  server.get<{ Params: { id: string } }>('/agents/:id', ({ params: { id } }) => {
    const agent = machine.agents.get(id);
    if (agent === undefined) throw new MusterError('not-found', `No agent ${id} here.`);
    return agentView(machine, agent);
  });
  server.get<{ Params: { id: string } }>('/agents/:id/state', ({ params: { id } }) => {
    if (!machine.agents.has(id)) throw new MusterError('not-found', `No agent ${id} here.`);
    try {
      return { agent_id: id, state: { files: options.stateOf(id) } };
    } catch (error) {
      throw new MusterError('state-too-large', (error as Error).message);
    }
  });
}

function addCommandRoutes(server: FastifyInstance, options: LocalApiOptions): void {
  const { machine, catalogue } = options;
  const by = 'local operator';
  server.post('/agents/deploy', async ({ body }) => {
    const deploy = parseDeploy(body);
    const spec = specOf(deploy, catalogue, options.identity()?.customerId ?? 'local');
    // Only the keeper knows which epochs an agent of this name has used up.
    if (!machine.keeperUp)
      throw new MusterError(
        'not-ready',
        'The keeper of this machine does not answer yet. Try again in a few seconds.',
      );
    const { agentId } = deploy;
    settled(await options.command({ kind: 'deploy', agentId, spec, by }));
    return {
      success: true,
      agent_id: agentId,
      container_id: options.identity()?.orchestratorId ?? null,
      message: `Agent ${agentId} is being started.`,
      timestamp: timestamp(),
    };
  });
  server.post<{ Params: { id: string } }>('/agents/:id/stop', async ({ params: { id }, body }) => {
    settled(await options.command({ kind: 'stop', agentId: id, by, reason: parseReason(body) }));
    return {
      success: true,
      agent_id: id,
      message: `Agent ${id} is being stopped and stays stopped until it is resumed here.`,
      timestamp: timestamp(),
    };
  });
  server.post('/stop', async ({ body }) => {
    const agents = settled(
      await options.command({ kind: 'stop', agentId: null, by, reason: parseReason(body) }),
    );
    return {
      success: true,
      agents,
      message: 'Everything is being stopped and stays stopped until POST /resume here.',
      timestamp: timestamp(),
    };
  });
  server.post<{ Params: { id: string } }>('/agents/:id/resume', async ({ params: { id } }) => {
    if (machine.facts.holdAll !== null)
      throw new MusterError('conflict', 'Everything on this machine is stopped: POST /resume first.');
    settled(await options.command({ kind: 'resume', agentId: id, by }));
    return { success: true, agent_id: id, message: `Agent ${id} may run again.`, timestamp: timestamp() };
  });
  server.post('/resume', async () => {
    const agents = settled(await options.command({ kind: 'resume', agentId: null, by }));
    return { success: true, agents, message: 'Everything may run again.', timestamp: timestamp() };
  });
}

function settled(result: LocalResult): readonly string[] {
  if (result.ok) return result.agentIds;
  throw new MusterError(result.code, result.detail);
}

function isOperator(request: FastifyRequest, token: Secret): boolean {
  const match = /^Bearer ([\w.~+/=-]{1,4096})$/i.exec(request.headers.authorization ?? '');
  return match?.[1] !== undefined && token.equals(match[1]);
}

const frameworkErrors: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body-too-large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported-media-type',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'bad-json',
  FST_ERR_CTP_INVALID_JSON_BODY: 'bad-json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'bad-request',
};

function answerError(
  error: Error & { code?: string; statusCode?: number },
  request: FastifyRequest,
  reply: FastifyReply,
  log: Logger,
): FastifyReply {
  if (error instanceof MusterError) return problem(reply, error);
  const known = frameworkErrors[error.code ?? ''] ?? (error instanceof SyntaxError ? 'bad-json' : undefined);
  if (known !== undefined) return problem(reply, new MusterError(known));
  if (error.statusCode !== undefined && error.statusCode < 500)
    return problem(reply, new MusterError('bad-request'));
  log.error({ err: error, fields: { requestId: request.id } }, 'a request failed unexpectedly');
  return problem(reply, new MusterError('internal'));
}

function problem(reply: FastifyReply, failure: MusterError): FastifyReply {
  return reply
    .status(failure.status)
    .type('application/problem+json')
    .send(JSON.stringify(problemOf(failure)));
}
