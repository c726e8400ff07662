/**
 * Nothing a client sends may produce a 5xx or end the process: odd bodies, odd queries and odd ids against every route.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestManager, testManager } from '../testing/manager-fixture.ts';

let test: TestManager;
beforeAll(async () => {
  test = await testManager();
  await test.orchestrator({ agentId: 'one' });
});
afterAll(async () => {
  await test[Symbol.asyncDispose]();
});

const names = [
  'agent_type',
  'agent_config',
  'agent_id',
  'container_id',
  'container_name',
  'host_address',
  'health_score',
  'replicas',
  'constraints',
  'action',
  'params',
  'verb',
  'args',
  'email',
  'username',
  'password',
  'name',
  'role',
  'customer_id',
  'id',
  'resources',
  'metadata',
  'draining',
  'on_disconnect',
  'preferred_container',
  'deployment_strategy',
  'target_container_id',
  'capabilities',
  'wait',
  'expires_in',
];
const good: fc.Arbitrary<unknown> = fc.constantFrom<unknown>(
  'trading_agent',
  'analysis_agent',
  'admin',
  'rebalance',
  'optimize',
  'health_check',
  'default',
  'operator',
  'status',
  'failover',
  true,
  1,
  null,
  {},
  [],
);
const member = fc.oneof(
  good,
  fc.jsonValue({ maxDepth: 4 }),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.double(),
);
const body = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .dictionary(fc.constantFrom(...names), member, { maxKeys: 8 })
      .map((value) => JSON.stringify(value)),
  },
  { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 6 }).map((value) => JSON.stringify(value)) },
  { weight: 1, arbitrary: fc.string({ maxLength: 200 }) },
);
const types = fc.constantFrom(
  'application/json',
  'application/json',
  'application/json',
  'text/plain',
  'application/x-www-form-urlencoded',
);
const id = fc.oneof(
  fc.constantFrom('agt_0', '__proto__', 'constructor', '..', '%00', '%2e%2e', '%ff'),
  fc.string({ maxLength: 30 }).map(encodeURIComponent),
);
const query = fc.oneof(
  fc.constant(''),
  fc
    .dictionary(
      fc.constantFrom('limit', 'tail', 'wait', 'force', 'types', 'status', 'follow', 'container_id', 'nonce'),
      fc.string({ maxLength: 20 }),
      { maxKeys: 3 },
    )
    .map((values) => `?${new URLSearchParams(values).toString()}`),
);

describe('odd requests', () => {
  it('never get a 5xx from any route, and the manager goes on', async () => {
    const { body: api } = await test.request<{ paths: Record<string, object> }>('GET', '/openapi.json');
    const routes = Object.entries(api.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => ({ path, method: method.toUpperCase() })),
    );
    const usable = routes.filter(
      ({ path, method }) =>
        !path.endsWith('/events/stream') && !(path === '/api/v1/users/{id}' && method === 'DELETE'),
    );
    const request = fc.record({ route: fc.constantFrom(...usable), body, type: types, id, query });
    const property = fc.asyncProperty(
      request,
      async ({ route, body: payload, type, id: odd, query: search }) => {
        const answer = await test.manager.app.inject({
          method: route.method as 'POST',
          url: `${route.path.replace('{id}', odd || 'x')}${search}`,
          headers: {
            authorization: `Bearer ${test.adminToken}`,
            ...(route.method === 'GET' ? {} : { 'content-type': type }),
          },
          ...(route.method === 'GET' ? {} : { payload }),
        });
        expect(answer.statusCode, answer.body).toBeLessThan(500);
        expect(answer.headers['x-request-id']).toBeDefined();
        if (answer.statusCode >= 400)
          expect(answer.headers['content-type']).toContain('application/problem+json');
      },
    );
    await fc.assert(property, { numRuns: 1500, interruptAfterTimeLimit: 15_000 });
    expect((await test.request('GET', '/ready')).status).toBe(200);
  });
});
