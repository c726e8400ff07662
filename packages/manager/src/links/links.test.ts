/** Links: the hand-shake, what is refused, and that garbage changes nothing. */
import { randomBytes } from 'node:crypto';
import { LINK_PATH, LINK_SUBPROTOCOL, LINK_VERSION, type OrchestratorFrame } from '@muster/contract';
import { generateKey, signDocument } from '@muster/runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { FakeOrchestrator } from '../testing/fake-orchestrator.ts';
import { type TestManager, testManager, until } from '../testing/manager-fixture.ts';

let test: TestManager;
beforeEach(async () => {
  test = await testManager();
});
afterEach(async () => {
  await test[Symbol.asyncDispose]();
});

const hello = (orchestrator: FakeOrchestrator): OrchestratorFrame => ({
  t: 'hello',
  v: LINK_VERSION,
  orchestratorId: orchestrator.id,
  publicKey: orchestrator.key.publicKeyText,
  instance: 'i',
  bootId: 'b',
  nonce: randomBytes(24).toString('base64url'),
  software: 'test',
});

/** Dial, send `messages` one after the other, and give what came back until the manager closed. */
async function converse(
  messages: readonly (string | Buffer | object)[],
): Promise<{ t: string; code?: string }[]> {
  const socket = new WebSocket(`${test.manager.url.replace('http', 'ws')}${LINK_PATH}`, LINK_SUBPROTOCOL);
  const frames: { t: string; code?: string }[] = [];
  socket.on('message', (data) => frames.push(JSON.parse((data as Buffer).toString()) as { t: string }));
  socket.on('error', () => {});
  const closed = new Promise((resolve) => socket.once('close', resolve));
  await new Promise((resolve) => socket.once('open', resolve));
  for (const message of messages) {
    const before = frames.length;
    socket.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message));
    await Promise.race([closed, until(() => frames.length > before, 'an answer')]);
  }
  await closed;
  return frames;
}

describe('the hand-shake', () => {
  it('refuses another version, another order of frames, a wrong proof and an unknown identity', async () => {
    const orchestrator = await test.orchestrator({ agentId: 'one', connect: false });
    const frame = hello(orchestrator);
    expect(await converse([{ ...frame, v: 99 }])).toMatchObject([{ t: 'reject', code: 'link-version' }]);
    expect(await converse([{ t: 'beat', seq: 1, health: 1, resources: {}, metrics: {} }])).toMatchObject([
      { code: 'link-protocol' },
    ]);
    expect(await converse([frame, { t: 'proof', sig: 'A'.repeat(86) }])).toMatchObject([
      { t: 'challenge' },
      { code: 'link-proof' },
    ]);
    expect(await converse([frame, frame])).toMatchObject([{ t: 'challenge' }, { code: 'link-protocol' }]);
    Object.assign(orchestrator, { id: 'orc_unknown' });
    expect(await orchestrator.connect()).toMatchObject({ t: 'reject', code: 'orchestrator-revoked' });
    expect(test.manager.services.engine.machine.presence.byLink('any')).toBeUndefined();
  });

  it("refuses a key that is not the identity's, and a second daemon; the same daemon may come again", async () => {
    const orchestrator = await test.orchestrator({ agentId: 'one' });
    const { instance } = orchestrator;
    orchestrator.instance = 'another daemon';
    expect(await orchestrator.connect()).toMatchObject({ t: 'reject', code: 'session-live' });
    orchestrator.instance = instance;
    expect(await orchestrator.connect()).toMatchObject({ t: 'welcome' });
    Object.assign(orchestrator, { key: generateKey() });
    expect(await orchestrator.connect()).toMatchObject({ t: 'reject', code: 'link-proof' });
  });

  it('happens on one path, with the subprotocol, and never for a page in a browser', async () => {
    const dial = (
      path: string,
      protocol: string | undefined,
      headers: Record<string, string>,
    ): Promise<string> =>
      new Promise((resolve) => {
        const socket = new WebSocket(
          `${test.manager.url.replace('http', 'ws')}${path}`,
          protocol === undefined ? [] : [protocol],
          { headers },
        );
        socket.on('error', (error) => resolve(error.message));
        socket.on('open', () => {
          socket.terminate();
          resolve('open');
        });
      });
    expect(await dial('/elsewhere', LINK_SUBPROTOCOL, {})).toContain('404');
    expect(await dial(LINK_PATH, undefined, {})).toContain('400');
    expect(await dial(LINK_PATH, LINK_SUBPROTOCOL, { origin: 'https://evil.example' })).toContain('403');
    expect(await dial(LINK_PATH, LINK_SUBPROTOCOL, {})).toBe('open');
  });
});

describe('garbage', () => {
  const deep = `{"t":"beat","seq":1,"health":1,"resources":${'{"a":'.repeat(500)}1${'}'.repeat(500)},"metrics":{}}`;
  const cases: Record<string, string | Buffer> = {
    'no JSON': 'garbage',
    'an unknown kind': '{"t":"launch"}',
    'an unknown member': '{"t":"beat","seq":1,"health":1,"resources":{},"metrics":{},"more":1}',
    'a wrong type': '{"t":"beat","seq":"1","health":1,"resources":{},"metrics":{}}',
    'a number without JSON': '{"t":"beat","seq":1,"health":1,"resources":{"a":1e999},"metrics":{}}',
    'a prototype': '{"t":"beat","seq":1,"health":1,"resources":{"__proto__":{"a":1}},"metrics":{}}',
    'deep nesting': deep,
    binary: Buffer.from([1, 2, 3]),
    'a second hello': '{"t":"proof","sig":"' + 'A'.repeat(86) + '"}',
    'a blob that is not what it says': `{"t":"blob","digest":"${'a'.repeat(64)}","data":"AAAA"}`,
    'a state that was never sent': `{"t":"stopped","agentId":"a","epoch":1,"query":"q","state":{"digest":"${'b'.repeat(64)}","bytes":1},"stateError":null}`,
  };
  it.each(Object.keys(cases))('is refused with a reason and changes nothing: %s', async (what) => {
    const orchestrator = await test.orchestrator({ agentId: 'one' });
    const before = JSON.stringify(test.manager.services.engine.machine.snapshot());
    orchestrator.sendRaw(cases[what] as string);
    const reject = await until(
      () => orchestrator.received.find((frame) => frame.t === 'reject'),
      'the refusal',
    );
    expect(reject).toMatchObject({ code: 'link-protocol' });
    await until(() => !orchestrator.isConnected, 'the end');
    expect(JSON.stringify(test.manager.services.engine.machine.snapshot())).toBe(before);
    const metrics = await test.request('GET', '/metrics');
    expect(metrics.text).toMatch(/muster_link_bad_frames_total\{reason="[a-z-]+"\} 1/);
  });

  it('larger than a frame ends the link, and the manager goes on', async () => {
    const orchestrator = await test.orchestrator({ agentId: 'one' });
    orchestrator.sendRaw('x'.repeat(5 * 1_048_576));
    await until(() => !orchestrator.isConnected, 'the end');
    expect((await orchestrator.connect()).t).toBe('welcome');
  });

  it('in a receipt is found: a signature of another key, a receipt of another machine', async () => {
    const orchestrator = await test.orchestrator({ agentId: 'one' });
    const doc = {
      orderId: 'ord',
      orchestratorId: orchestrator.id,
      agentId: 'a',
      epoch: 1,
      outcome: 'succeeded' as const,
      detail: '',
      at: 1,
    };
    const { sig } = signDocument('receipt', doc, generateKey());
    orchestrator.send({ t: 'receipts', receipts: [{ doc, sig }] });
    const reject = await until(
      () => orchestrator.received.find((frame) => frame.t === 'reject'),
      'the refusal',
    );
    expect(reject).toMatchObject({ code: 'link-protocol' });
  });
});

describe('an order', () => {
  it('is numbered from one in each session and dated', async () => {
    const orchestrator = await test.orchestrator({ agentId: 'one' });
    await test.request('POST', '/api/v1/cluster/agents/deploy', { agent_type: 'trading_agent', wait: true });
    const orders = orchestrator.received.flatMap((frame) => (frame.t === 'order' ? [frame.doc] : []));
    expect(orders.map(({ sequence }) => sequence)).toEqual(orders.map((_, index) => index + 1));
    for (const order of orders) expect(order.expiresAt).toBe(order.issuedAt + 600_000);
  });
});
