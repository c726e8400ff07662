/** Customers: where their machines and users may come from. */
import type { CustomerAnswer, Problem } from '@muster/contract';
import { generateKey } from '@muster/runtime';
import { afterEach, describe, expect, it } from 'vitest';
import { joinRequest } from '../../testing/fake-orchestrator.ts';
import { type TestManager, testManager } from '../../testing/manager-fixture.ts';

let running: TestManager | undefined;
afterEach(async () => {
  await running?.[Symbol.asyncDispose]();
  running = undefined;
});

async function withCustomer(allowed: readonly string[] | null): Promise<TestManager> {
  running = await testManager();
  await running.request('POST', '/api/v1/customers', { id: 'acme' });
  const changed = await running.request<CustomerAnswer>('PATCH', '/api/v1/customers/acme', {
    allowed_ips: allowed,
  });
  expect(changed.body).toMatchObject({ id: 'acme', allowed_ips: allowed });
  return running;
}

describe('the addresses of a customer', () => {
  it('let a machine join from inside the list only', async () => {
    const test = await withCustomer(['192.0.2.0/24']);
    const joinFrom = async (remoteAddress: string): Promise<number> => {
      const token = await test.joinToken('acme');
      const payload = await joinRequest(test.manager.url, generateKey(), token, {
        agentId: `m-${remoteAddress}`,
      });
      return (await test.manager.app.inject({ method: 'POST', url: '/api/v1/join', payload, remoteAddress }))
        .statusCode;
    };
    expect(await joinFrom('198.51.100.1')).toBe(403);
    expect(await joinFrom('192.0.2.9')).toBe(200);
  });

  it('hold for its users, and not for those of the whole manager', async () => {
    const test = await withCustomer(['192.0.2.0/24']);
    const password = 'a-long-enough-password';
    await test.request('POST', '/api/v1/users', {
      name: 'anna',
      password,
      role: 'viewer',
      customer_id: 'acme',
    });
    const { body } = await test.request<{ access_token: string }>(
      'POST',
      '/api/v1/auth/login',
      { username: 'anna', password },
      null,
    );
    const from = async (remoteAddress: string): Promise<number> => {
      const headers = { authorization: `Bearer ${body.access_token}` };
      return (await test.manager.app.inject({ url: '/api/v1/cluster/status', headers, remoteAddress }))
        .statusCode;
    };
    expect(await from('198.51.100.1')).toBe(403);
    expect(await from('192.0.2.9')).toBe(200);
    expect((await test.request('GET', '/api/v1/cluster/status')).status).toBe(200);
  });

  it('name the entry that is no address, and change nothing', async () => {
    const test = await withCustomer(null);
    const refused = await test.request<Problem>('PATCH', '/api/v1/customers/acme', {
      allowed_ips: ['10.0.0.0/8', 'here'],
    });
    expect(refused.status).toBe(422);
    expect(refused.body.errors).toEqual([
      { path: '/allowed_ips/1', message: expect.stringContaining('CIDR') },
    ]);
    const [, acme] = (await test.request<CustomerAnswer[]>('GET', '/api/v1/customers')).body;
    expect(acme).toMatchObject({ id: 'acme', allowed_ips: null });
  });
});
