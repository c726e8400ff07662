/** The local API of a real daemon: its operator's word counts without a manager and outlives a restart. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { closeBench, Daemon, directory, manager, openBench, until } from '../testing/daemon-bench.ts';

beforeEach(openBench);
afterEach(closeBench);

describe('a daemon without a manager', () => {
  it('deploys, holds and resumes for its operator, across a restart', async () => {
    const first = new Daemon({ CENTRAL_MANAGER_URL: '' });
    const call = async (
      api: string,
      method: string,
      path: string,
      body?: unknown,
    ): Promise<{ status: number; value: never }> => {
      const token = readFileSync(join(directory, 'data', 'local-token'), 'utf8').trim();
      const answer = await fetch(`${api}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: answer.status, value: (await answer.json()) as never };
    };
    let api = await first.api();
    expect((await fetch(`${api}/agents`)).status).toBe(401);
    await until(
      'the keeper',
      async () =>
        ((await call(api, 'GET', '/status')).value as Record<string, unknown>)['status'] === 'running',
    );
    const deploy = { agent_id: 'mine', agent_type: 'fixture_agent', agent_config: { colour: 'blue' } };
    expect(await call(api, 'POST', '/agents/deploy', { ...deploy, agent_config: { bad: 1 } })).toMatchObject({
      status: 422,
      value: { errors: [{ path: '/agent_config/bad' }] },
    });
    expect(await call(api, 'POST', '/agents/deploy', { ...deploy, agent_type: 'nonsense' })).toMatchObject({
      status: 422,
      value: { code: 'unknown-agent-type' },
    });
    expect(await call(api, 'POST', '/agents/deploy', deploy)).toMatchObject({
      status: 200,
      value: { success: true, agent_id: 'mine' },
    });
    expect((await call(api, 'POST', '/agents/deploy', deploy)).status).toBe(409);
    const status = async (): Promise<Record<string, unknown> | undefined> =>
      ((await call(api, 'GET', '/agents')).value as Record<string, unknown>[])[0];
    await until('it to be healthy', async () => (await status())?.['status'] === 'healthy');
    expect((await call(api, 'GET', '/agents/mine/state')).value).toMatchObject({
      state: { files: { born: 'MS4xCg==' } },
    });
    expect((await call(api, 'POST', '/stop', { reason: 'maintenance' })).status).toBe(200);
    await until('it to be stopped', async () => (await status())?.['status'] === 'stopped-by-customer');
    await first.kill('SIGKILL');
    const second = new Daemon({ CENTRAL_MANAGER_URL: '' });
    api = await second.api();
    await until(
      'the keeper',
      async () =>
        ((await call(api, 'GET', '/status')).value as Record<string, unknown>)['status'] === 'running',
    );
    expect(await status()).toMatchObject({
      status: 'stopped-by-customer',
      pid: null,
      held: { reason: 'maintenance' },
    });
    expect((await call(api, 'POST', '/agents/mine/resume')).status).toBe(409);
    expect((await call(api, 'POST', '/resume')).status).toBe(200);
    await until('it to run again', async () => (await status())?.['status'] === 'healthy');
    expect(JSON.stringify((await call(api, 'GET', '/status')).value)).not.toContain(manager.secret.reveal());
    await second.kill('SIGTERM');
  });
});
