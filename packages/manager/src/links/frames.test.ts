/**
 * Well-formed frames with any content, from an orchestrator that is who it says: a customer's machine may lie, and must never
 * be able to end the manager or to change what is not its own.
 */

import type { Deployed } from '@muster/contract';
import { agentStatuses, type OrchestratorFrame, receiptOutcomes } from '@muster/contract';
import { signDocument } from '@muster/runtime';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { FakeOrchestrator } from '../testing/fake-orchestrator.ts';
import { testManager } from '../testing/manager-fixture.ts';

const count = fc.oneof(fc.nat(10), fc.maxSafeNat(), fc.constant(Number.MAX_SAFE_INTEGER));
const text = fc.string({ maxLength: 20, unit: 'binary' });
const facts = fc
  .dictionary(fc.string({ maxLength: 10 }), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 })
  .map((value) => {
    const { ['__proto__']: _dropped, ...rest } = value;
    return rest;
  });

function frames(
  orchestrator: FakeOrchestrator,
  agentIds: readonly string[],
  orderIds: () => readonly string[],
): fc.Arbitrary<OrchestratorFrame> {
  const agentId = fc.oneof(
    fc.constantFrom(...agentIds),
    fc.constantFrom('unknown', 'constructor', 'toString'),
  );
  const report = fc.record({
    agentId,
    epoch: count,
    sub: count,
    status: fc.constantFrom(...agentStatuses),
    pid: fc.option(count),
    since: fc.double({ noNaN: true, noDefaultInfinity: true }),
    crashes: count,
    detail: text,
    lastExit: fc.constant(null),
    stateBytes: fc.option(count),
    local: fc.boolean(),
  });
  const host = fc.record({
    name: text,
    hostAddress: text,
    apiPort: fc.nat(65535),
    capabilities: fc.array(text, { maxLength: 4 }),
    maxAgents: count,
    resources: facts,
    metadata: facts,
  });
  const receipt = fc
    .record({
      order: fc.nat(),
      agentId,
      epoch: count,
      outcome: fc.constantFrom(...receiptOutcomes),
      detail: text,
      at: count,
    })
    .map(({ order, ...rest }) => {
      const known = orderIds();
      const doc = {
        orderId: known[order % Math.max(1, known.length)] ?? 'ord_0',
        orchestratorId: orchestrator.id,
        ...rest,
      };
      return { doc, sig: signDocument('receipt', doc, orchestrator.key).sig };
    });
  const agents = fc.array(report, { maxLength: 4 });
  const digest = fc.constantFrom('', 'a'.repeat(64));
  const any: fc.Arbitrary<unknown> = fc.oneof(
    fc.record({
      t: fc.constant('report' as const),
      host,
      agents,
      epochs: fc.dictionary(agentId, count),
      generation: count,
      revision: count,
      digest,
    }),
    fc.record({ t: fc.constant('targetAck' as const), generation: count, revision: count }),
    fc.record({ t: fc.constant('targetGap' as const), revision: count, reason: text }),
    fc.record({
      t: fc.constant('beat' as const),
      seq: count,
      health: fc.nat(100),
      resources: facts,
      metrics: fc.constant({ agt: { equity: 1.5 } }),
    }),
    fc.record({
      t: fc.constant('status' as const),
      seq: count,
      agents,
      gone: fc.array(agentId, { maxLength: 3 }),
    }),
    fc.record({
      t: fc.constant('stopped' as const),
      agentId,
      epoch: count,
      query: fc.constantFrom('q', 'q_0'),
      state: fc.constant(null),
      stateError: fc.option(text),
    }),
    fc.record({
      t: fc.constant('receipts' as const),
      receipts: fc.array(receipt, { minLength: 1, maxLength: 3 }),
    }),
    fc.record({ t: fc.constant('blobGet' as const), digest: fc.constant('c'.repeat(64)) }),
    fc.record({ t: fc.constant('answer' as const), id: fc.constant('x'), ok: fc.boolean() }),
    fc.record({
      t: fc.constant('chunk' as const),
      id: fc.constant('x'),
      lines: fc.constant([]),
      done: fc.boolean(),
    }),
  );
  return any as fc.Arbitrary<OrchestratorFrame>;
}

it('no frame ends the manager or touches what belongs to another customer', async () => {
  await using test = await testManager();
  await test.request('POST', '/api/v1/customers', { id: 'acme' });
  await test.orchestrator({ agentId: 'honest' });
  const liar = await test.orchestrator({ agentId: 'liar', customerId: 'acme' });
  const deploy = async (customer_id: string): Promise<string> =>
    (
      await test.request<Deployed>('POST', '/api/v1/cluster/agents/deploy', {
        agent_type: 'trading_agent',
        customer_id,
        wait: true,
      })
    ).body.agent_id;
  const theirs = await deploy('default');
  const own = await deploy('acme');
  const { machine } = test.manager.services.engine;
  const before = JSON.stringify(machine.facts.agents.get(theirs));
  const agentsBefore = machine.facts.agents.size;
  const orderIds = (): string[] => [...machine.facts.orders.keys()];
  let welcomes = 0;
  let refusals = 0;
  const property = fc.asyncProperty(
    fc.array(frames(liar, [theirs, own], orderIds), { minLength: 1, maxLength: 12 }),
    async (batch) => {
      if (!liar.isConnected) {
        const { t } = await liar.connect();
        if (t === 'welcome') welcomes += 1;
        else refusals += 1;
      }
      for (const frame of batch) liar.send(frame);
      for (const path of ['status', 'agents', 'containers?include_inactive=true', 'orders']) {
        expect((await test.request('GET', `/api/v1/cluster/${path}`)).status).toBe(200);
      }
    },
  );
  await fc.assert(property, { numRuns: 250, interruptAfterTimeLimit: 15_000 });
  // It was heard, most of the time.
  expect(refusals).toBeLessThan(20 + welcomes);
  await test.request('POST', `/api/v1/cluster/agents/${own}/stop`);
  expect((await test.request('GET', '/ready')).status).toBe(200);
  expect(JSON.stringify(machine.facts.agents.get(theirs))).toBe(before);
  expect(machine.facts.agents.size).toBe(agentsBefore);
  expect((await test.request('GET', '/api/v1/cluster/containers?include_inactive=true')).status).toBe(200);
});
