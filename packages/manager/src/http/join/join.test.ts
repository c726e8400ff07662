/** Joining: once per token, only with every proof, and by password only where that is allowed. */

import type { JoinAnswer, JoinTokenAnswer, JoinTokenCreated, Problem } from '@muster/contract';
import { generateKey } from '@muster/runtime';
import { afterEach, describe, expect, it } from 'vitest';
import { FakeOrchestrator, join, joinRequest } from '../../testing/fake-orchestrator.ts';
import {
  type TestManager,
  type TestManagerOptions,
  testManager,
  until,
} from '../../testing/manager-fixture.ts';

let running: TestManager | undefined;
const start = async (options: TestManagerOptions = {}): Promise<TestManager> => {
  running = await testManager(options);
  return running;
};
afterEach(async () => {
  await running?.[Symbol.asyncDispose]();
  running = undefined;
});

describe('a join token', () => {
  it('lets exactly one of a hundred machines in that use it at the same time', async () => {
    const test = await start();
    const token = await test.joinToken();
    const bodies = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        joinRequest(test.manager.url, generateKey(), token, { agentId: `machine-${index}` }),
      ),
    );
    const answers = await Promise.all(
      bodies.map((payload, index) =>
        test.manager.app.inject({
          method: 'POST',
          url: '/api/v1/join',
          payload,
          remoteAddress: `10.0.0.${index + 1}`,
        }),
      ),
    );
    const statuses = answers.map(({ statusCode }) => statusCode);
    expect(statuses.filter((status) => status === 200)).toHaveLength(1);
    expect(statuses.every((status) => status === 200 || status === 403)).toBe(true);
    expect(test.manager.services.engine.machine.facts.orchestrators.size).toBe(1);
  });

  it('is shown once, listed without its secret, and can be revoked', async () => {
    const test = await start();
    const made = await test.request<JoinTokenCreated>('POST', '/api/v1/cluster/join-tokens', {
      name: 'machine',
    });
    expect(made.body.command).toContain('JOIN_TOKEN_FILE=');
    expect(made.body.command).not.toContain(made.body.token);
    const secret = made.body.token.split('.').at(-1) ?? '';
    const listed = await test.request<JoinTokenAnswer[]>('GET', '/api/v1/cluster/join-tokens');
    expect(listed.text).not.toContain(secret);
    expect(listed.body).toMatchObject([{ status: 'usable', name: 'machine' }]);
    await expect(join(test.manager.url, made.body.token, { agentId: 'another' })).rejects.toThrow(
      'join-token-invalid',
    );
    expect((await test.request('DELETE', `/api/v1/cluster/join-tokens/${made.body.id}`)).status).toBe(200);
    await expect(join(test.manager.url, made.body.token, { agentId: 'machine' })).rejects.toThrow(
      'join-token-invalid',
    );
    expect(test.log.join('')).not.toContain(secret);
  });

  it('is worth nothing with another proof, another box or another secret', async () => {
    const test = await start();
    const body = await joinRequest(test.manager.url, generateKey(), await test.joinToken(), {
      agentId: 'one',
    });
    const other = await joinRequest(test.manager.url, generateKey(), await test.joinToken(), {
      agentId: 'one',
    });
    const post = async (change: object): Promise<string> =>
      (await test.request<Problem>('POST', '/api/v1/join', { ...body, ...change }, null)).body.code;
    expect(await post({ proof: other.proof })).toBe('link-proof');
    expect(await post({ agent_id: 'two' })).toBe('link-proof');
    expect(await post({ box_key: generateKey().publicKeyText })).toBe('conflict');
    expect(await post({ sealed_secret: other.sealed_secret })).toBe('join-token-invalid');
    expect(await post({ public_key: 'short' })).toBe('validation');
    expect(test.manager.services.engine.machine.facts.orchestrators.size).toBe(0);
  });

  it('slows down those who guess', async () => {
    const test = await start();
    const body = await joinRequest(test.manager.url, generateKey(), await test.joinToken(), {
      agentId: 'one',
    });
    const guess = { ...body, sealed_secret: 'x' };
    const statuses: number[] = [];
    for (let count = 0; count < 12; count += 1)
      statuses.push((await test.request('POST', '/api/v1/join', guess, null)).status);
    expect(statuses.slice(0, 10).every((status) => status === 403)).toBe(true);
    expect(statuses.at(-1)).toBe(429);
  });
});

describe('joining by password', () => {
  it('works in development with an administrator, belongs to the default customer, and is refused in production', async () => {
    const test = await start();
    const key = generateKey();
    const body = await joinRequest(test.manager.url, key, null, { agentId: 'one' });
    expect((await test.request('POST', '/api/v1/join', body, null)).status).toBe(401);
    const operator = await test.user('operator', null);
    expect((await test.request('POST', '/api/v1/join', body, operator.token)).status).toBe(403);
    const joined = await test.request<JoinAnswer>('POST', '/api/v1/join', body);
    expect(joined.body).toMatchObject({ customer_id: 'default', rejoined: false });
    const orchestrator = new FakeOrchestrator(test.manager.url, key, joined.body, body);
    expect((await orchestrator.connect()).t).toBe('welcome');
    await orchestrator.drop();
    await test[Symbol.asyncDispose]();
    const secret = 'kJ8sd0fLq2mN4vB7xZ1cR5tY9wE3uI6o';
    const strict = await start({
      environment: {
        ENVIRONMENT: 'production',
        ADMIN_PASSWORD: secret,
        JWT_SECRET: secret,
        MASTER_SECRET_KEY: secret,
      },
    });
    const again = await joinRequest(strict.manager.url, key, null, { agentId: 'one' });
    expect((await strict.request<Problem>('POST', '/api/v1/join', again)).body.code).toBe(
      'password-join-refused',
    );
    const direct = await strict.request('POST', '/api/v1/cluster/containers/register', {
      container_name: 'a',
      host_address: 'b',
    });
    expect(direct.status).toBe(403);
  });

  it('keeps an identity from another key until its machine is lost', async () => {
    const test = await start();
    const first = await test.orchestrator({ agentId: 'one' });
    await expect(join(test.manager.url, await test.joinToken(), { agentId: 'one' })).rejects.toThrow(
      'identity-taken',
    );
    await first.drop();
    const { presence } = test.manager.services.engine.machine;
    await until(() => presence.of(first.id)?.reachability === 'lost', 'the loss');
    const second = await join(test.manager.url, await test.joinToken(), { agentId: 'one' });
    expect(second.id).toBe(first.id);
    expect((await first.connect()).t).toBe('reject');
    expect((await second.connect()).t).toBe('welcome');
    await second.drop();
  });
});

describe('with ENABLE_DISTRIBUTED=false', () => {
  it('only this machine may join', async () => {
    const test = await start({ environment: { ENABLE_DISTRIBUTED: 'false' } });
    const url = `/api/v1/join/identity?nonce=${'n'.repeat(20)}`;
    expect((await test.manager.app.inject({ url, remoteAddress: '192.0.2.1' })).json()).toMatchObject({
      code: 'joining-disabled',
    });
    expect((await test.manager.app.inject({ url, remoteAddress: '127.0.0.1' })).statusCode).toBe(200);
  });
});
