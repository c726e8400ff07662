/** Starting and stopping: settings, secrets, what survives, and what refuses to start. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Container, Deployed, TokenAnswer } from '@muster/contract';
import { createLog, MemoryJournal, Secret, verifyDelegation } from '@muster/runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addressListOf, readManagerSettings, weaknessOf } from './config.ts';
import { startManager } from './main.ts';
import { testManager, until } from './testing/manager-fixture.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'muster-start-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const lines: string[] = [];
const log = createLog({ name: 'test', write: (line) => lines.push(line) });
const start = (environment: Record<string, string> = {}) =>
  startManager({
    environment: { PORT: '0', DATA_DIR: folder, ...environment },
    log,
    processMetrics: false,
    hashCost: { memoryKibibytes: 64, passes: 1 },
  });

describe('a manager that is started again', () => {
  it('has everything that was acknowledged, and its orchestrators come back to it', async () => {
    const first = await testManager({ folder, durable: true });
    const orchestrator = await first.orchestrator({ agentId: 'one' });
    const deployed = await first.request<Deployed>('POST', '/api/v1/cluster/agents/deploy', {
      agent_type: 'trading_agent',
      wait: true,
    });
    await first.stop();
    const second = await testManager({ folder, durable: true });
    const path = `/api/v1/cluster/containers/${orchestrator.id}`;
    expect((await second.request<Container>('GET', path)).body.connection).not.toBe('connected');
    expect((await second.request('GET', '/api/v1/cluster/agents/deployments')).body).toEqual({
      [deployed.body.agent_id]: orchestrator.id,
    });
    // The old token still holds: the key is kept, and so is the user.
    expect((await second.request('GET', path, undefined, first.adminToken)).status).toBe(200);
    expect((await orchestrator.connect(second.manager.url)).t).toBe('welcome');
    await until(
      async () => (await second.request<Container>('GET', path)).body.active_agents === 1,
      'the report',
    );
    expect(orchestrator.received.at(-1)?.t).not.toBe('reject');
    await orchestrator.drop();
    await second.stop();
  });

  it('makes secrets once, keeps them to itself and never prints them', async () => {
    const first = await start();
    expect(first.adminPasswordWasGenerated).toBe(true);
    const password = first.adminPassword.reveal();
    const { rootKey, delegation } = first.services.identity;
    expect(verifyDelegation(rootKey, delegation, Date.now()).ok).toBe(true);
    await first.close();
    const second = await start();
    expect(second.adminPasswordWasGenerated).toBe(false);
    expect(second.adminPassword.equals(password)).toBe(true);
    expect(second.services.identity.rootKey).toBe(rootKey);
    expect(second.services.identity.delegation).toEqual(delegation);
    await second.close();
    expect(lines.join('')).not.toContain(password);
    for (const place of ['secrets', 'keys']) {
      for (const name of readdirSync(join(folder, place)))
        expect(statSync(join(folder, place, name)).mode & 0o077, name).toBe(0);
    }
  });

  it('takes a changed ADMIN_PASSWORD, but leaves one alone that was changed over the API', async () => {
    const signIn = async (running: Awaited<ReturnType<typeof start>>, password: string): Promise<number> =>
      (
        await running.app.inject({
          method: 'POST',
          url: '/api/v1/auth/login',
          payload: { username: 'admin', password },
        })
      ).statusCode;
    const first = await start({ ADMIN_PASSWORD: 'the first password' });
    expect(await signIn(first, 'the first password')).toBe(200);
    await first.close();
    const second = await start({ ADMIN_PASSWORD: 'the second password', ADMIN_EMAIL: 'boss@example.org' });
    expect(await signIn(second, 'the first password')).toBe(401);
    expect(await signIn(second, 'the second password')).toBe(200);
    const { app } = second;
    const payload = { email: 'boss@example.org', password: 'the second password' };
    const token = (
      await app.inject({ method: 'POST', url: '/api/v1/auth/login', payload })
    ).json<TokenAnswer>().access_token;
    const headers = { authorization: `Bearer ${token}` };
    const id = (await app.inject({ url: '/api/v1/auth/me', headers })).json<{ user_id: string }>().user_id;
    const change = { password: 'chosen over the API', current_password: 'the second password' };
    expect(
      (await app.inject({ method: 'PATCH', url: `/api/v1/users/${id}`, headers, payload: change }))
        .statusCode,
    ).toBe(200);
    await second.close();
    const third = await start({ ADMIN_PASSWORD: 'the second password', ADMIN_EMAIL: 'boss@example.org' });
    expect(await signIn(third, 'chosen over the API')).toBe(200);
    await third.close();
  });
});

describe('a start is refused in one clear line', () => {
  it('when the port is taken or the data directory is in use, and gives everything free again', async () => {
    const running = await start();
    await expect(start()).rejects.toMatchObject({ name: 'DataDirectoryInUse' });
    const other = mkdtempSync(join(tmpdir(), 'muster-start-'));
    await expect(start({ DATA_DIR: other, PORT: String(running.port) })).rejects.toThrow(
      `Port ${running.port} on 127.0.0.1 is taken`,
    );
    const again = await start({ DATA_DIR: other });
    await again.close();
    await running.close();
    rmSync(other, { recursive: true });
  });

  it('when the journal is damaged', async () => {
    const running = await start();
    await running.close();
    const path = join(folder, 'journal.db');
    const bytes = readFileSync(path);
    const at = bytes.indexOf('trading_agent');
    expect(at).toBeGreaterThan(0);
    bytes[at] = 'T'.charCodeAt(0);
    writeFileSync(path, bytes);
    await expect(start()).rejects.toMatchObject({ name: 'JournalDamaged' });
  });

  it('in production, for missing, short and placeholder secrets; otherwise they are used with a warning', () => {
    const strong = {
      JWT_SECRET: 'kJ8sd0fLq2mN4vB7xZ1cR5tY9wE3uI6o',
      ADMIN_PASSWORD: 'a long good one',
      MASTER_SECRET_KEY: 'pJ8sd0fLq2mN4vB7xZ1cR5tY9wE3uI6o',
    };
    expect(readManagerSettings({ ENVIRONMENT: 'production', ...strong }).warnings).toEqual([]);
    for (const name of Object.keys(strong)) {
      for (const value of [undefined, 'short', 'your-production-jwt-secret-32chars']) {
        const refused = () => readManagerSettings({ ENVIRONMENT: 'production', ...strong, [name]: value });
        expect(refused, `${name}=${value}`).toThrow(name);
        expect(readManagerSettings({ ...strong, [name]: value }).warnings).toHaveLength(
          value === undefined ? 0 : 1,
        );
      }
    }
    expect(weaknessOf(new Secret('x'.repeat(40)), 32)).not.toBeNull();
  });

  it('for what cannot be honoured: DATABASE_URL, half of TLS, odd lists', () => {
    expect(() => readManagerSettings({ DATABASE_URL: 'postgres://x' })).toThrow('DATABASE_URL');
    expect(() => readManagerSettings({ TLS_CERT: '/x' })).toThrow('TLS_KEY');
    expect(() => readManagerSettings({ ALLOWED_IPS: '10.0.0.0/33' })).toThrow('ALLOWED_IPS');
    expect(() => readManagerSettings({ TRUSTED_PROXIES: 'proxy.example' })).toThrow('TRUSTED_PROXIES');
    expect(() => readManagerSettings({ PORT: '70000' })).toThrow('PORT');
    expect(
      readManagerSettings({
        REDIS_URL: 'redis://r',
        DIRECT_CALLBACK_ALLOW: '10.0.0.0/8',
        MASTER_SECRET_KEY: 'm'.repeat(3),
      }).notices,
    ).toHaveLength(3);
  });
});

describe('addresses', () => {
  it('are matched in both families and through the IPv4-in-IPv6 form', () => {
    const list = addressListOf('X', ['10.0.0.0/8', '2001:db8::/32', '192.0.2.7']);
    for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '2001:db8::1', '192.0.2.7'])
      expect(list.has(address), address).toBe(true);
    for (const address of ['11.0.0.1', '2001:db9::1', '192.0.2.8', 'nonsense', ''])
      expect(list.has(address), address).toBe(false);
  });

  it('outside ALLOWED_IPS get 403 from everything but health, and a proxy is believed only when it is trusted', async () => {
    await using test = await testManager({
      environment: { ALLOWED_IPS: '127.0.0.1, 192.0.2.0/24', TRUSTED_PROXIES: '10.0.0.1' },
    });
    const { app } = test.manager;
    const status = async (url: string, remoteAddress: string, forwarded?: string): Promise<number> =>
      (
        await app.inject({
          url,
          remoteAddress,
          headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
        })
      ).statusCode;
    expect(await status('/openapi.json', '192.0.2.9')).toBe(200);
    expect(await status('/openapi.json', '198.51.100.1')).toBe(403);
    expect(await status('/health', '198.51.100.1')).toBe(200);
    expect(await status('/openapi.json', '198.51.100.1', '192.0.2.9')).toBe(403);
    expect(await status('/openapi.json', '10.0.0.1', '192.0.2.9')).toBe(200);
    expect(await status('/openapi.json', '10.0.0.1', '192.0.2.9, 198.51.100.1')).toBe(403);
  });
});

describe('a manager under too much load', () => {
  it('answers 503 with Retry-After instead of queueing without end, and recovers', async () => {
    await using test = await testManager({ queueLimit: 5 });
    const beat = { container_id: 'none', health_score: 1 };
    const answers = await Promise.all(
      Array.from({ length: 200 }, () =>
        test.request('POST', '/api/v1/cluster/containers/none/heartbeat', beat),
      ),
    );
    const refused = answers.filter(({ status }) => status === 503);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.every(({ headers }) => Number(headers['retry-after']) > 0)).toBe(true);
    expect(answers.every(({ status }) => status === 503 || status === 404)).toBe(true);
    expect((await test.request('POST', '/api/v1/cluster/containers/none/heartbeat', beat)).status).toBe(404);
  });

  it('ends when its journal fails, and acknowledges nothing after that', async () => {
    const journal = new MemoryJournal();
    const fatal: Error[] = [];
    const running = await startManager({
      environment: { PORT: '0', DATA_DIR: folder, ADMIN_PASSWORD: 'a long password' },
      log,
      processMetrics: false,
      openJournal: async () => journal,
      hashCost: { memoryKibibytes: 64, passes: 1 },
      onFatal: (error) => fatal.push(error),
    });
    const payload = { username: 'admin', password: 'a long password' };
    const token = (
      await running.app.inject({ method: 'POST', url: '/api/v1/auth/login', payload })
    ).json<TokenAnswer>().access_token;
    journal.fail(new Error('disk full'));
    const headers = { authorization: `Bearer ${token}` };
    const answer = await running.app.inject({
      method: 'POST',
      url: '/api/v1/customers',
      headers,
      payload: { id: 'acme' },
    });
    expect(answer.statusCode).toBe(503);
    expect(fatal).toHaveLength(1);
    expect((await running.app.inject({ url: '/ready' })).statusCode).toBe(503);
    expect((await running.app.inject({ url: '/health' })).statusCode).toBe(200);
    await running.close();
  });
});

describe('the pages', () => {
  it('are served without inline script, and the API description names its schemas and failures', async () => {
    await using test = await testManager();
    for (const path of ['/', '/docs']) {
      const page = await test.request('GET', path, undefined, null);
      expect(page.status).toBe(200);
      expect(String(page.headers['content-security-policy'])).toContain("script-src 'self'");
      expect(page.text).not.toMatch(/<script>|onclick=|style=/);
    }
    expect(
      (await test.request('GET', '/docs/docs-page.js', undefined, null)).headers['content-type'],
    ).toContain('javascript');
    const api = await test.request<{
      openapi: string;
      paths: Record<string, Record<string, { responses: object; security?: unknown }>>;
    }>('GET', '/openapi.json', undefined, null);
    expect(api.body.openapi).toBe('3.1.0');
    const deploy = api.body.paths['/api/v1/cluster/agents/deploy']?.['post'];
    expect(Object.keys(deploy?.responses ?? {})).toEqual(
      expect.arrayContaining(['200', '401', '403', '409', '422', '503']),
    );
    expect(deploy?.security).toEqual([{ bearer: [] }]);
    expect(api.text).not.toContain('"~kind"');
  });
});
