/**
 * The manager's main job, over its real API with orchestrators that join and link for real.
 */
import type {
  AgentActionAnswer,
  AgentDetail,
  Container,
  Deployed,
  Deployment,
  Distribution,
  HealthCheckAnswer,
  Hub,
  MigrateAnswer,
  Order,
  Overview,
  Problem,
  RebalanceAnswer,
} from '@muster/contract';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type TestManager, testManager, until } from './testing/manager-fixture.ts';

let test: TestManager;
beforeEach(async () => {
  test = await testManager();
});
afterEach(async () => {
  await test[Symbol.asyncDispose]();
});

const deploy = (body: Record<string, unknown> = {}, token?: string) =>
  test.request<Deployed>(
    'POST',
    '/api/v1/cluster/agents/deploy',
    { agent_type: 'trading_agent', ...body },
    token,
  );

describe('the flow the contract prints', () => {
  it('registers, deploys to the pinned orchestrator and shows it everywhere', async () => {
    const first = await test.orchestrator({
      agentId: 'one',
      orchestratorId: '1',
      capabilities: ['agent_runner'],
    });
    await test.orchestrator({ agentId: 'two', orchestratorId: '2' });
    const deployed = await test.request<Deployed>('POST', '/api/v1/cluster/agents/deploy', {
      agent_type: 'trading_agent',
      agent_config: { strategy: 'distributed_momentum', orchestrator_id: 1 },
      deployment_strategy: 'least_loaded',
      wait: 'running',
    });
    expect(deployed.status, deployed.text).toBe(200);
    expect(deployed.body).toMatchObject({
      success: true,
      container_id: first.id,
      container_name: 'one',
      status: 'running',
    });
    expect(deployed.body.deployment_details.confirmed).toBe(true);
    const id = deployed.body.agent_id;

    const containers = await test.request<Container[]>('GET', '/api/v1/cluster/containers');
    expect(containers.body.map(({ container_name }) => container_name)).toEqual(['one', 'two']);
    expect(containers.body[0]).toMatchObject({
      status: 'active',
      link: 'channel',
      active_agents: 1,
      customer_id: 'default',
    });
    const overview = await test.request<Overview>('GET', '/api/v1/cluster/status');
    expect(overview.body).toMatchObject({
      status: 'operational',
      cluster: { active_containers: 2, total_cpu_cores: 16 },
    });
    expect(overview.body.deployments).toMatchObject({
      total_agents: 1,
      agent_distribution: { [first.id]: 1 },
    });
    expect((await test.request('GET', '/api/v1/cluster/agents/deployments')).body).toEqual({
      [id]: first.id,
    });
    const place = await test.request<Deployment>('GET', `/api/v1/cluster/agents/${id}/deployment`);
    expect(place.body).toMatchObject({ agent_id: id, container_id: first.id, host_address: '127.0.0.1' });
    const distribution = await test.request<Distribution>('GET', '/api/v1/cluster/metrics/distribution');
    expect(distribution.body.distribution[first.id]).toMatchObject({ agent_count: 1, agents: [id] });
    const stats = await test.request<Hub>('GET', '/api/v1/cluster/communication/stats');
    expect(stats.body).toMatchObject({
      active_containers: 2,
      encryption_enabled: false,
      latency_ms: { p50: null },
    });
    const orders = await until(async () => {
      const { body } = await test.request<Order[]>('GET', `/api/v1/cluster/orders?agent_id=${id}`);
      return body[0]?.outcome === 'succeeded' && body;
    }, 'the receipt');
    expect(orders).toMatchObject([{ what: 'run', container_id: first.id }]);
  });

  it('answers 401 with how to get a token, and 404, 405, 413, 415 and broken JSON as problems', async () => {
    const refused = await test.request<Problem>('GET', '/api/v1/cluster/containers', undefined, null);
    expect(refused.status).toBe(401);
    expect(refused.headers['www-authenticate']).toBe('Bearer');
    expect(refused.body.detail).toContain('/api/v1/auth/login');
    expect(refused.headers['content-type']).toContain('application/problem+json');
    expect((await test.request('GET', '/nowhere')).status).toBe(404);
    const method = await test.request('PUT', '/api/v1/cluster/containers');
    expect(method.status).toBe(405);
    expect(method.headers['allow']).toBe('GET');
    const { app } = test.manager;
    const send = async (headers: Record<string, string>, payload: string): Promise<number> => {
      const authorization = `Bearer ${test.adminToken}`;
      return (
        await app.inject({
          method: 'POST',
          url: '/api/v1/cluster/agents/deploy',
          headers: { authorization, ...headers },
          payload,
        })
      ).statusCode;
    };
    const json = { 'content-type': 'application/json' };
    expect(await send(json, `{"agent_type": "${'x'.repeat(10 * 1_048_576)}"}`)).toBe(413);
    expect(await send({ 'content-type': 'text/xml' }, '<a/>')).toBe(415);
    expect(await send(json, '{"agent_type": ')).toBe(400);
    expect(await send(json, `{"agent_config": ${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}}`)).toBe(400);
    expect(await send(json, '{"agent_type": "trading_agent", "agent_config": {"a": 1e999}}')).toBe(400);
    expect(await send(json, '{"agent_type": "trading_agent", "agent_config": {"__proto__": {"a": 1}}}')).toBe(
      400,
    );
  });

  it('says for each orchestrator why nothing fits, and which types and strategies there are', async () => {
    await test.orchestrator({ agentId: 'tiny', maxAgents: 0 });
    const full = await deploy();
    expect(full.status).toBe(409);
    expect(full.body).toMatchObject({
      orchestrators: [{ container_name: 'tiny', reason: expect.stringContaining('max_agents') }],
    });
    const type = await test.request<Problem>('POST', '/api/v1/cluster/agents/deploy', { agent_type: 'nope' });
    expect(type.status).toBe(422);
    expect(type.body.detail).toContain('trading_agent');
    const strategy = await deploy({ deployment_strategy: 'nope' });
    expect(strategy.status).toBe(422);
    expect(strategy.text).toContain('round_robin');
    const config = await deploy({ agent_config: { strategy: 17 } });
    expect(config.status).toBe(422);
    expect(config.text).toContain('/agent_config/strategy');
  });

  it('drops unknown body members, and takes null for "not given"', async () => {
    await test.orchestrator({ agentId: 'one' });
    const deployed = await deploy({
      surprise: { deep: true },
      preferred_container: null,
      constraints: null,
      agent_config: { unknown_key: 1 },
    });
    expect(deployed.status, deployed.text).toBe(200);
    expect(deployed.body.deployment_details.warnings.join()).toContain('unknown_key');
  });
});

describe('the life of an agent', () => {
  it('is stopped, started, restarted and removed, each confirmed by its orchestrator', async () => {
    const orchestrator = await test.orchestrator({ agentId: 'one' });
    const { agent_id: id, epoch } = (await deploy({ wait: true })).body;
    const stopped = await test.request<AgentActionAnswer>(
      'POST',
      `/api/v1/cluster/agents/${id}/stop?wait=true`,
    );
    expect(stopped.body).toMatchObject({ success: true, status: 'stopped', confirmed: true });
    await until(() => orchestrator.entries.size === 0, 'the tombstone');
    const started = await test.request<AgentActionAnswer>(
      'POST',
      `/api/v1/cluster/agents/${id}/start?wait=true`,
    );
    expect(started.body).toMatchObject({ status: 'running', confirmed: true });
    expect(started.body.epoch).toBeGreaterThan(epoch);
    const restarted = await test.request<AgentActionAnswer>('POST', `/api/v1/cluster/agents/${id}/restart`);
    expect(restarted.status).toBe(200);
    await until(() => orchestrator.entries.get(id)?.restarts === 1, 'the restart order');
    const removed = await test.request<AgentActionAnswer>('DELETE', `/api/v1/cluster/agents/${id}?wait=true`);
    expect(removed.body).toMatchObject({ status: 'removed', confirmed: true });
    expect((await test.request('GET', `/api/v1/cluster/agents/${id}`)).status).toBe(404);
  });

  it('moves with its state, which travels through the blob store', async () => {
    const from = await test.orchestrator({ agentId: 'from' });
    const to = await test.orchestrator({ agentId: 'to' });
    from.behaviour.stateOf = () => 'state of the agent';
    const { agent_id: id } = (await deploy({ preferred_container: 'from', wait: true })).body;
    const moved = await test.request<MigrateAnswer>('POST', `/api/v1/cluster/agents/${id}/migrate`, {
      agent_id: id,
      target_container_id: to.id,
    });
    expect(moved.body).toMatchObject({
      success: true,
      from_container: from.id,
      to_container: to.id,
      complete: true,
    });
    const digest = (await until(() => to.entries.get(id)?.initialState ?? undefined, 'the new entry')).digest;
    to.send({ t: 'blobGet', digest });
    const blob = await until(() => to.received.find((frame) => frame.t === 'blob'), 'the blob');
    expect(Buffer.from((blob as { data: string }).data, 'base64').toString()).toBe('state of the agent');
    // The source has no claim to it any more.
    from.send({ t: 'blobGet', digest });
    expect(await until(() => from.received.find((frame) => frame.t === 'blob'), 'the refusal')).toMatchObject(
      { data: null },
    );
    const again = await test.request('POST', `/api/v1/cluster/agents/${id}/migrate`, {
      agent_id: id,
      target_container_id: to.id,
    });
    expect(again.status).toBe(409);
    const other = await test.request('POST', `/api/v1/cluster/agents/${id}/migrate`, { agent_id: 'another' });
    expect(other.status).toBe(400);
  });

  it('passes logs, state and commands through to where it runs', async () => {
    const orchestrator = await test.orchestrator({ agentId: 'one' });
    const { agent_id: id } = (await deploy({ wait: true })).body;
    expect((await test.request('GET', `/api/v1/cluster/agents/${id}/logs?tail=5`)).body).toEqual({
      agent_id: id,
      lines: [{ text: 'hello from the agent' }],
    });
    expect((await test.request('GET', `/api/v1/cluster/agents/${id}/state`)).body).toEqual({
      agent_id: id,
      state: { files: [] },
    });
    const command = await test.request('POST', `/api/v1/cluster/agents/${id}/command`, { verb: 'status' });
    expect(command.body).toMatchObject({ success: true, result: { verb: 'status' } });
    expect(
      (await test.request('POST', `/api/v1/cluster/agents/${id}/command`, { verb: 'no-such-verb' })).status,
    ).toBe(422);
    orchestrator.behaviour.onCall = () => new Error('no');
    expect(
      (await test.request('POST', `/api/v1/cluster/agents/${id}/command`, { verb: 'status' })).status,
    ).toBe(409);
    orchestrator.behaviour.onCall = () => undefined;
    const late = await test.request('POST', `/api/v1/cluster/agents/${id}/command`, {
      verb: 'status',
      timeout_ms: 100,
    });
    expect(late.body).toMatchObject({ status: 409, code: 'link-out-of-reach' });
    await orchestrator.drop();
    expect((await test.request('GET', `/api/v1/cluster/agents/${id}/logs`)).status).toBe(409);
    const detail = await until(async () => {
      const { body } = await test.request<AgentDetail>('GET', `/api/v1/cluster/agents/${id}`);
      return body.status === 'unknown' && body;
    }, 'the status');
    expect(detail.fresh).toBe(false);
  });

  it('streams followed logs and tells the orchestrator when the reader leaves', async () => {
    const orchestrator = await test.orchestrator({ agentId: 'one' });
    const { agent_id: id } = (await deploy({ wait: true })).body;
    orchestrator.behaviour.onCall = () => undefined;
    const leave = new AbortController();
    const answer = await fetch(`${test.manager.url}/api/v1/cluster/agents/${id}/logs?follow=true`, {
      headers: { authorization: `Bearer ${test.adminToken}` },
      signal: leave.signal,
    });
    const calls = () => orchestrator.received.flatMap((frame) => (frame.t === 'call' ? [frame] : []));
    const call = await until(() => calls().find(({ op }) => op === 'logs'), 'the call');
    orchestrator.send({ t: 'chunk', id: call.id, lines: [{ text: 'one' }, { text: 'two' }], done: false });
    const reader = answer.body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe('{"text":"one"}\n{"text":"two"}\n');
    leave.abort();
    const cancel = await until(() => calls().find(({ op }) => op === 'cancel'), 'the cancellation');
    expect(cancel.args).toEqual({ id: call.id });
  });
});

describe('the fleet', () => {
  it('rebalances, and checks health by really asking', async () => {
    const one = await test.orchestrator({ agentId: 'one' });
    for (let count = 0; count < 4; count += 1) await deploy({ wait: true });
    const two = await test.orchestrator({ agentId: 'two' });
    const suggestions = await test.request('POST', '/api/v1/cluster/actions', { action: 'optimize' });
    expect(suggestions.text).toContain('rebalance');
    const balanced = await test.request<RebalanceAnswer>('POST', '/api/v1/cluster/actions', {
      action: 'rebalance',
    });
    expect(balanced.body).toMatchObject({
      rebalanced: true,
      migrations_performed: 2,
      final_distribution: { [one.id]: 2, [two.id]: 2 },
    });
    const check = await test.request<HealthCheckAnswer>('POST', '/api/v1/cluster/actions', {
      action: 'health_check',
    });
    expect(check.body.status).toEqual({ healthy: 2, unhealthy: 0, total: 2 });
    await two.drop();
    const after = await test.request<HealthCheckAnswer>('POST', '/api/v1/cluster/actions', {
      action: 'health_check',
    });
    expect(after.body.status).toEqual({ healthy: 1, unhealthy: 1, total: 2 });
    expect((await test.request('POST', '/api/v1/cluster/actions', { action: 'explode' })).status).toBe(422);
  });

  it('drains and removes a container, or says which agents remain', async () => {
    const one = await test.orchestrator({ agentId: 'one' });
    const { agent_id: id } = (await deploy({ wait: true })).body;
    await one.drop();
    const path = `/api/v1/cluster/containers/${one.id}`;
    await until(async () => (await test.request<Container>('GET', path)).body.status === 'lost', 'the loss');
    const refused = await test.request('DELETE', path);
    expect(refused.body).toMatchObject({ status: 409, agents: [id] });
    const operator = await test.user('operator', null);
    expect((await test.request('DELETE', `${path}?force=true`, undefined, operator.token)).status).toBe(403);
    expect((await test.request('DELETE', `${path}?force=true`)).status).toBe(200);
    expect((await test.request('GET', path)).status).toBe(404);
    expect((await test.request<AgentDetail>('GET', `/api/v1/cluster/agents/${id}`)).body.status).toBe(
      'pending',
    );
  });

  it('carries messages between containers of one customer and counts what it does', async () => {
    const one = await test.orchestrator({ agentId: 'one' });
    const two = await test.orchestrator({ agentId: 'two' });
    const send = (target: string) =>
      test.request(
        'POST',
        `/api/v1/cluster/communication/message?source_container=${one.id}&target_container=${target}&message_type=event`,
        { hello: 1 },
      );
    expect((await send(two.id)).body).toHaveProperty('message_id');
    expect((await send('nobody')).status).toBe(404);
    const messages = await test.request(
      'GET',
      `/api/v1/cluster/communication/messages?container_id=${two.id}`,
    );
    expect(messages.body).toMatchObject([{ source_container: one.id, payload: { hello: 1 } }]);
    const stats = await test.request<Hub>('GET', '/api/v1/cluster/communication/stats');
    expect(stats.body.message_stats).toMatchObject({ received: 2, routed: 1, failed: 1 });
    expect(stats.body.latency_ms.p50).not.toBeNull();
    await test.request('POST', '/api/v1/cluster/discovery/scan');
    await until(
      async () =>
        (await test.request('GET', '/api/v1/cluster/discovery/status')).body['reachable_containers'] === 2,
      'the scan',
    );
    const found = await test.request<Container[]>(
      'GET',
      '/api/v1/cluster/discovery/containers?capability=none',
    );
    expect(found.body).toEqual([]);
  });
});
