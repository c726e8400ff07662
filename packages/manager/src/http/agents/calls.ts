/**
 * What is asked of an agent where it runs: logs, state, commands. The questions travel over its orchestrator's link; the
 * manager keeps none of the answers.
 */
import {
  AgentState,
  CommandAnswer,
  CommandRequest,
  LogsAnswer,
  LogsQuery,
  MusterError,
} from '@muster/contract';
import type { Agent } from '@muster/core/manager';
import type { FastifyReply } from 'fastify';
import type { Services } from '../../services.ts';
import { type App, callerIn } from '../app.ts';
import { findAgent, IdParams } from '../lookup.ts';

const tags = ['agents'];
const READ_LIMIT_MS = 10_000;
/** Bytes a follower may leave unread before it is cut off. */
const FOLLOWER_LIMIT_BYTES = 1_048_576;

export function registerAgentCalls(app: App, services: Services): void {
  registerReading(app, services);
  registerCommand(app, services);
}

function registerReading(app: App, services: Services): void {
  const { engine, links } = services;
  const { machine } = engine;
  const logs = {
    tags,
    summary: 'Log lines; follow=true streams NDJSON',
    params: IdParams,
    querystring: LogsQuery,
    response: { 200: LogsAnswer },
  };
  app.get(
    '/api/v1/cluster/agents/:id/logs',
    { config: { access: 'viewer' }, schema: logs },
    async (request, reply) => {
      const agent = findAgent(machine, callerIn(request).actor, request.params.id);
      const { tail = 100, follow = false, stream = 'all' } = request.query;
      const args = { agentId: agent.id, tail, stream };
      if (follow) return followLogs(services, agent, args, reply);
      const value = await links.call(holderOf(agent), {
        op: 'logs',
        args: { ...args, follow: false },
        limitMs: READ_LIMIT_MS,
      });
      const lines = (value as { lines?: unknown } | null | undefined)?.lines;
      return { agent_id: agent.id, lines: Array.isArray(lines) ? (lines as unknown[]) : [] };
    },
  );
  const state = {
    tags,
    summary: 'Portable state of an agent',
    params: IdParams,
    response: { 200: AgentState },
  };
  app.get(
    '/api/v1/cluster/agents/:id/state',
    { config: { access: 'operator' }, schema: state },
    async (request) => {
      const agent = findAgent(machine, callerIn(request).actor, request.params.id);
      const value = await links.call(holderOf(agent), {
        op: 'state',
        args: { agentId: agent.id },
        limitMs: READ_LIMIT_MS,
      });
      return { agent_id: agent.id, state: value ?? null };
    },
  );
}

function registerCommand(app: App, services: Services): void {
  const { engine, links } = services;
  const { machine } = engine;
  const command = {
    tags,
    summary: 'Send a command to an agent',
    params: IdParams,
    body: CommandRequest,
    response: { 200: CommandAnswer },
  };
  app.post(
    '/api/v1/cluster/agents/:id/command',
    { config: { access: 'operator' }, schema: command },
    async (request) => {
      const { actor } = callerIn(request);
      const agent = findAgent(machine, actor, request.params.id);
      const { verb, args, timeout_ms } = request.body;
      checkVerb(services, agent, verb);
      const fields = { agentId: agent.id, verb, by: actor.id, requestId: request.id };
      engine.note({ level: 'info', event: 'agent.command', fields });
      const limitMs = timeout_ms ?? READ_LIMIT_MS;
      const call = {
        op: 'command',
        args: { agentId: agent.id, verb, args: args ?? {}, timeoutMs: limitMs },
        limitMs,
      } as const;
      const value = await links.call(holderOf(agent), call);
      return { success: true as const, agent_id: agent.id, verb, result: value ?? null };
    },
  );
}

/** The orchestrator that has the agent. */
function holderOf(agent: Agent): string {
  const id = agent.placement?.orchestratorId ?? agent.stateAt;
  if (id === null)
    throw new MusterError('agent-not-running', 'The agent has no place, so there is nothing to ask.');
  return id;
}

function checkVerb(services: Services, agent: Agent, verb: string): void {
  const verbs = services.engine.machine.facts.agentTypes.get(agent.spec.type)?.verbs ?? [];
  if (verbs.includes(verb)) return;
  const detail = `${agent.spec.type} does not know the command ${JSON.stringify(verb)}. It knows: ${verbs.join(', ') || 'none'}.`;
  throw new MusterError('validation', detail, {
    errors: [{ path: '/verb', message: `must be one of ${verbs.join(', ')}` }],
  });
}

/** Newline-delimited JSON until the agent's log or the reader ends. */
function followLogs(
  services: Services,
  agent: Agent,
  args: Record<string, unknown>,
  reply: FastifyReply,
): FastifyReply {
  let begun = false;
  const begin = (): void => {
    if (begun) return;
    begun = true;
    const headers = {
      'content-type': 'application/x-ndjson',
      'cache-control': 'no-store',
      'x-request-id': reply.request.id,
    };
    reply.raw.writeHead(200, headers);
    reply.raw.flushHeaders();
  };
  // Refusals before this point are ordinary problem documents.
  const stop = services.links.follow(
    holderOf(agent),
    { ...args, follow: true },
    {
      onLines: (lines) => {
        begin();
        for (const line of lines) reply.raw.write(`${JSON.stringify(line)}\n`);
        if (reply.raw.writableLength > FOLLOWER_LIMIT_BYTES) reply.raw.destroy();
      },
      onEnd: (error) => {
        begin();
        if (error !== null) reply.raw.write(`${JSON.stringify({ end: true, error: error.detail })}\n`);
        reply.raw.end();
      },
    },
  );
  reply.hijack();
  reply.raw.on('close', stop);
  begin();
  return reply;
}
