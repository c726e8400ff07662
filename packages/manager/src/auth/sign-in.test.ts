/** Signing in: both forms, both names, the limits, and what a wrong name looks like. */
import type { Problem, TokenAnswer, WhoAmI } from '@muster/contract';
import { Secret } from '@muster/runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ADMIN_PASSWORD, type TestManager, testManager } from '../testing/manager-fixture.ts';
import { AttemptLimiter } from './attempt-limiter.ts';
import { Passwords } from './passwords.ts';

describe('signing in', () => {
  let test: TestManager;
  beforeEach(async () => {
    test = await testManager();
  });
  afterEach(async () => {
    await test[Symbol.asyncDispose]();
  });
  const login = (body: object) =>
    test.request<TokenAnswer & Problem>('POST', '/api/v1/auth/login', body, null);

  it('works with JSON and with a form, as admin and by e-mail', async () => {
    for (const body of [
      { username: 'admin' },
      { email: 'admin@trading.system' },
      { email: 'ADMIN@trading.system', username: null },
    ]) {
      const answer = await login({ ...body, password: ADMIN_PASSWORD });
      expect(answer.body).toMatchObject({ token_type: 'bearer', expires_in: 86_400 });
    }
    const form = await test.manager.app.inject({
      method: 'POST',
      url: '/api/v1/auth/token',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: new URLSearchParams({
        grant_type: 'password',
        username: 'admin',
        password: ADMIN_PASSWORD,
      }).toString(),
    });
    expect(form.statusCode, form.body).toBe(200);
    const me = await test.request<WhoAmI>(
      'GET',
      '/api/v1/auth/me',
      undefined,
      form.json<TokenAnswer>().access_token,
    );
    expect(me.body).toMatchObject({ name: 'admin', role: 'admin', customer_id: null });
  });

  it('answers a wrong name and a wrong password in the same words, and slows guessing down for both alike', async () => {
    const wrong: Record<string, number[]> = { admin: [], nobody: [] };
    const texts = new Set<string>();
    for (let count = 0; count < 7; count += 1) {
      for (const username of ['admin', 'nobody']) {
        const answer = await login({ username, password: 'wrong' });
        wrong[username]?.push(answer.status);
        if (answer.status === 401) texts.add(JSON.stringify({ ...answer.body, instance: '' }));
        else expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
      }
    }
    expect(wrong['admin']).toEqual([401, 401, 401, 401, 401, 429, 429]);
    expect(wrong['nobody']).toEqual(wrong['admin']);
    expect(texts.size).toBe(1);
    const beat = await test.request('POST', '/api/v1/cluster/containers/none/heartbeat', {
      container_id: 'none',
      health_score: 1,
    });
    expect(beat.status).toBe(404);
    expect((await test.request('GET', '/health', undefined, null)).status).toBe(200);
    // The owner comes from another address.
    const owner = await test.manager.app.inject({
      method: 'POST',
      url: '/api/v1/auth/login',
      remoteAddress: '192.0.2.50',
      payload: { username: 'admin', password: ADMIN_PASSWORD },
    });
    expect(owner.statusCode).toBe(200);
  });

  it('lets people change their own password with the present one only, and names are unique', async () => {
    const user = await test.user('viewer', null);
    const path = `/api/v1/users/${user.id}`;
    expect((await test.request('PATCH', path, { password: 'another long one' }, user.token)).status).toBe(
      403,
    );
    const changed = await test.request(
      'PATCH',
      path,
      { password: 'another long one', current_password: user.password },
      user.token,
    );
    expect(changed.status).toBe(200);
    expect((await login({ username: user.name, password: user.password })).status).toBe(401);
    expect((await login({ username: user.name, password: 'another long one' })).status).toBe(200);
    const taken = { name: 'x', email: 'admin@trading.system', password: 'a long password', role: 'admin' };
    expect((await test.request('POST', '/api/v1/users', taken)).status).toBe(409);
    expect((await test.request('PATCH', path, { email: 'admin@trading.system' })).status).toBe(409);
    const listed = await test.request('GET', '/api/v1/users');
    expect(listed.text).not.toContain('argon2');
  });
});

describe('the limits on attempts', () => {
  it('are not lifted by trying all at once', () => {
    const limiter = new AttemptLimiter();
    const waits = Array.from({ length: 1000 }, () => limiter.begin('admin', '192.0.2.1', 1000));
    expect(waits.filter((waitMs) => waitMs === 0)).toHaveLength(20);
    for (let index = 0; index < 20; index += 1) limiter.end('admin', '192.0.2.1', 1000, false);
    expect(limiter.begin('admin', '192.0.2.1', 1001)).toBeGreaterThan(10_000);
  });

  it('grow with each failure, end with time, and do not lock out the address that is known', () => {
    const limiter = new AttemptLimiter({ freePerPair: 2, freePerAccount: 10 });
    const fail = (address: string, nowMs: number): void => {
      if (limiter.begin('admin', address, nowMs) === 0) limiter.end('admin', address, nowMs, false);
    };
    expect(limiter.begin('admin', 'home', 0)).toBe(0);
    limiter.end('admin', 'home', 0, true);
    for (let index = 0; index < 40; index += 1) fail(`bot-${index}`, 0);
    expect(limiter.begin('admin', 'bot-99', 1)).toBeGreaterThan(0);
    expect(limiter.begin('admin', 'home', 1)).toBe(0);
    expect(limiter.begin('admin', 'bot-99', 20 * 60_000)).toBe(0);
    const pair = new AttemptLimiter({ freePerPair: 1 });
    const waits: number[] = [];
    for (let nowMs = 0; waits.length < 4; ) {
      const waitMs = pair.begin('a', 'b', nowMs);
      if (waitMs > 0) waits.push(waitMs);
      else pair.end('a', 'b', nowMs, false);
      nowMs += waitMs;
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000]);
  });
});

describe('password hashes', () => {
  it('fit their password only, and refuse when too many wait', async () => {
    const passwords = new Passwords({ memoryKibibytes: 64, passes: 1 });
    const hash = await passwords.hash(new Secret('right'));
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=64,t=1,p=1\$/);
    expect(await passwords.fits(new Secret('right'), hash)).toBe(true);
    expect(await passwords.fits(new Secret('wrong'), hash)).toBe(false);
    expect(await passwords.fits(new Secret('right'), undefined)).toBe(false);
    expect(await passwords.fits(new Secret('right'), 'not a hash')).toBe(false);
    const many = await Promise.allSettled(
      Array.from({ length: 200 }, () => passwords.fits(new Secret('right'), hash)),
    );
    const refused = many.filter(({ status }) => status === 'rejected').length;
    expect(refused).toBe(200 - 2 - 64);
    expect(await passwords.fits(new Secret('right'), hash)).toBe(true);
  });
});
