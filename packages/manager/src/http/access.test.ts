/**
 * Who may do what: every route of the API description, by role, without a token, and across the border between customers.
 */
import { type Deployed, type Hub, type Problem, type Role, roles } from '@muster/contract';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { includesRole } from '../auth/callers.ts';
import type { FakeOrchestrator } from '../testing/fake-orchestrator.ts';
import { type TestManager, testManager } from '../testing/manager-fixture.ts';

let test: TestManager;
let tokens: Record<Role, string>;
beforeAll(async () => {
  test = await testManager();
  const made = await Promise.all(
    roles.map(async (role) => [role, (await test.user(role, null)).token] as const),
  );
  tokens = Object.fromEntries(made) as Record<Role, string>;
});
afterAll(async () => {
  await test[Symbol.asyncDispose]();
});

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly role: Role | null;
}

/** Every operation, with an id that does not exist. */
async function operations(): Promise<Operation[]> {
  const { body } = await test.request<{
    paths: Record<string, Record<string, { description?: string; security?: unknown }>>;
  }>('GET', '/openapi.json', undefined, null);
  return Object.entries(body.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path: path.replace('{id}', 'does-not-exist'),
      role:
        operation.security === undefined
          ? null
          : (/role (\w+)/.exec(operation.description ?? '')?.[1] as Role),
    })),
  );
}

describe('every route', () => {
  it('is described, and there are as many as there should be', async () => {
    const all = await operations();
    expect(all.length).toBeGreaterThanOrEqual(45);
    for (const { role, path } of all) if (role !== null) expect(roles, path).toContain(role);
    const open = all.filter(({ role }) => role === null).map(({ path }) => path);
    expect(open.sort()).toEqual([
      '/api/v1/auth/login',
      '/api/v1/auth/token',
      '/api/v1/join',
      '/api/v1/join/identity',
      '/health',
      '/metrics',
      '/ready',
    ]);
  });

  it('refuses callers without a token, and roles below its own, before it looks at the body', async () => {
    for (const { method, path, role } of await operations()) {
      if (role === null) continue;
      const bare = await test.request<Problem>(method, path, undefined, null);
      expect(bare.status, `${method} ${path}`).toBe(401);
      for (const own of roles) {
        if (path.endsWith('/events/stream') && includesRole(own, role)) continue;
        const answer = await test.request(method, path, undefined, tokens[own]);
        const what = `${method} ${path} as ${own}`;
        if (includesRole(own, role))
          expect(answer.status, what).toSatisfy((status: number) => status !== 401 && status < 500);
        else expect(answer.status, what).toBe(403);
      }
    }
  });
});

describe('between customers', () => {
  let theirs: FakeOrchestrator;
  let agentId: string;
  let stranger: string;
  beforeAll(async () => {
    for (const id of ['acme', 'globex']) await test.request('POST', '/api/v1/customers', { id, name: id });
    theirs = await test.orchestrator({ agentId: 'machine', customerId: 'acme' });
    const deployed = await test.request<Deployed>('POST', '/api/v1/cluster/agents/deploy', {
      agent_type: 'trading_agent',
      customer_id: 'acme',
      wait: true,
    });
    agentId = deployed.body.agent_id;
    stranger = (await test.user('admin', 'globex')).token;
  });

  it('nothing of another customer exists: 404 in the same words as for what was never there', async () => {
    const ids = { agents: agentId, containers: theirs.id };
    for (const { method, path, role } of await operations()) {
      const kind = /\/cluster\/(agents|containers)\/does-not-exist/.exec(path)?.[1] as
        | keyof typeof ids
        | undefined;
      if (kind === undefined || role === null) continue;
      const bodies: Record<string, unknown> = {
        migrate: { agent_id: ids[kind] },
        heartbeat: { container_id: ids[kind], health_score: 1 },
        command: { verb: 'status' },
      };
      const body = bodies[path.split('/').at(-1) ?? ''];
      const answer = await test.request<Problem>(
        method,
        path.replace('does-not-exist', ids[kind]),
        body,
        stranger,
      );
      expect(answer.status, `${method} ${path}`).toBe(404);
    }
    expect((await test.request('GET', `/api/v1/cluster/agents/${agentId}`)).status).toBe(200);
    expect(theirs.entries.get(agentId)?.want).toBe('run');
  });

  it('lists are cut at the border, and nothing can be deployed or made over it', async () => {
    expect((await test.request('GET', '/api/v1/cluster/containers', undefined, stranger)).body).toEqual([]);
    expect((await test.request('GET', '/api/v1/cluster/agents', undefined, stranger)).body).toEqual([]);
    expect((await test.request('GET', '/api/v1/cluster/orders', undefined, stranger)).body).toEqual([]);
    expect(
      (await test.request('GET', '/api/v1/cluster/agents/deployments', undefined, stranger)).body,
    ).toEqual({});
    expect((await test.request('GET', '/api/v1/customers', undefined, stranger)).body).toMatchObject([
      { id: 'globex' },
    ]);
    const said = `/api/v1/cluster/communication/message?source_container=${theirs.id}&message_type=event`;
    expect((await test.request('POST', said, {})).status).toBe(200);
    expect((await test.request('POST', said, {}, stranger)).status).toBe(404);
    const hub = await test.request<Hub>('GET', '/api/v1/cluster/communication/stats', undefined, stranger);
    expect(hub.body.message_stats).toEqual({ sent: 0, received: 1, routed: 0, failed: 1, dropped: 0 });
    expect(hub.body.latency_ms).toEqual({ p50: null, p99: null });
    const deploy = { agent_type: 'trading_agent', customer_id: 'acme' };
    expect((await test.request('POST', '/api/v1/cluster/agents/deploy', deploy, stranger)).status).toBe(404);
    const pinned = { agent_type: 'trading_agent', preferred_container: theirs.id };
    expect((await test.request('POST', '/api/v1/cluster/agents/deploy', pinned, stranger)).status).toBe(409);
    expect(
      (await test.request('POST', '/api/v1/cluster/join-tokens', { customer_id: 'acme' }, stranger)).status,
    ).toBe(404);
    const user = { name: 'spy', password: 'a long password', role: 'admin', customer_id: 'acme' };
    expect((await test.request('POST', '/api/v1/users', user, stranger)).status).toBe(404);
    expect((await test.request('POST', '/api/v1/customers', { id: 'new' }, stranger)).status).toBe(403);
  });

  it("a machine cannot raise the epochs of another customer's agents", async () => {
    const { facts } = test.manager.services.engine.machine;
    const before = facts.agents.get(agentId)?.epoch;
    const liar = await test.orchestrator({ agentId: 'liar', customerId: 'globex', connect: false });
    liar.epochs.set(agentId, 2 ** 40);
    await liar.connect();
    await new Promise((resolve) => setImmediate(resolve));
    await test.request('GET', '/health');
    expect(facts.agents.get(agentId)?.epoch).toBe(before);
  });
});
