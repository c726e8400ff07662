import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import type { ManagerFrameOf, OrderDocument } from '@muster/contract';
import { generateKey, Secret, signDocument } from '@muster/runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeManager } from '../testing/fake-manager.ts';
import { BackOff } from './back-off.ts';
import { type JoinOptions, join } from './join.ts';
import { OrderGate } from './order-gate.ts';
import { isLoopback, Transport } from './transport.ts';

describe('the back-off', () => {
  it('has full jitter under a ceiling that doubles up to its cap, and starts over', () => {
    const most = new BackOff(() => 0.999999);
    expect(Array.from({ length: 9 }, () => most.next())).toEqual([
      500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000,
    ]);
    most.reset();
    expect(most.next()).toBe(500);
    expect(new BackOff(() => 0).next()).toBe(0);
    expect(new BackOff(() => 0.5).next(60_000)).toBe(60_250);
  });
});

describe('the gate for orders', () => {
  const signing = generateKey();
  const scope = {
    customerId: 'acme',
    orchestratorId: 'orc_1',
    session: 's1',
    signer: signing.publicKeyText,
    signerUntil: 1_000_000,
  };
  const frame = (changes: Partial<OrderDocument> = {}, key = signing): ManagerFrameOf<'order'> => {
    const doc: OrderDocument = {
      customerId: 'acme',
      orchestratorId: 'orc_1',
      session: 's1',
      sequence: 1,
      issuedAt: 1000,
      expiresAt: 100_000,
      body: { kind: 'stopQuery', stopQuery: { agentId: 'a', epoch: 1, query: 'q' } },
      ...changes,
    };
    return { t: 'order', doc, sig: signDocument('order', doc, key).sig };
  };
  const gate = (wall = 5000): OrderGate => new OrderGate(scope, () => wall);

  it('lets a good order through, once', () => {
    const one = gate();
    expect(one.check(frame())).toMatchObject({ ok: true, body: { kind: 'stopQuery' } });
    expect(one.check(frame())).toEqual({ ok: false, reason: 'sequence not rising' });
    expect(one.check(frame({ sequence: 2 }))).toMatchObject({ ok: true });
  });

  it.each([
    ['bad-signature', frame({}, generateKey())],
    ['another orchestrator', frame({ orchestratorId: 'orc_2' })],
    ['another customer', frame({ customerId: 'other' })],
    ['another session', frame({ session: 's2' })],
  ])('refuses: %s', (reason, order) => {
    expect(gate().check(order)).toEqual({ ok: false, reason });
  });

  it('refuses what was changed after signing, what is expired, and a key past its time', () => {
    const changed = frame();
    expect(gate().check({ ...changed, doc: { ...changed.doc, sequence: 5 } })).toEqual({
      ok: false,
      reason: 'bad-signature',
    });
    expect(gate(102_001).check(frame())).toEqual({ ok: false, reason: 'expired' });
    expect(gate(1_002_001).check(frame({ expiresAt: 9e9 }))).toEqual({
      ok: false,
      reason: 'signing key expired',
    });
  });

  it('does not let a refused order use up a sequence', () => {
    const one = gate();
    one.check(frame({ sequence: 9, session: 's2' }));
    expect(one.check(frame())).toMatchObject({ ok: true });
  });
});

describe('loopback addresses', () => {
  it.each(['localhost', '127.0.0.1', '127.9.9.9', '::1', '[::1]', 'x.localhost'])('%s is one', (host) =>
    expect(isLoopback(host)).toBe(true),
  );
  it.each(['example.com', '10.0.0.1', '128.0.0.1', 'localhost.example.com'])('%s is none', (host) =>
    expect(isLoopback(host)).toBe(false),
  );
});

describe('joining', () => {
  let manager: FakeManager;
  beforeEach(async () => {
    manager = await FakeManager.start();
  });
  afterEach(() => manager.close());

  const options = async (changes: Partial<JoinOptions> = {}): Promise<JoinOptions> => {
    const { parseJoinToken } = await import('@muster/runtime');
    return {
      transport: new Transport({
        managerUrl: new URL(`${manager.url}/`),
        loopbackRewrite: 'off',
        caHash: null,
      }),
      credential: { kind: 'token', token: parseJoinToken(manager.token()) },
      key: generateKey(),
      facts: {
        agent_id: 'edge',
        container_name: 'edge',
        host_address: 'h',
        api_port: 1,
        capabilities: [],
        max_agents: 1,
        resources: {},
        metadata: {},
      },
      nowWall: () => Date.now(),
      ...changes,
    };
  };

  it('gives an identity that pins the root key', async () => {
    expect(await join(await options())).toMatchObject({
      orchestratorId: 'orc_1',
      customerId: 'acme',
      rootKey: manager.root.publicKeyText,
      joinTokenId: 'token1',
    });
    expect(manager.received).not.toContain(manager.secret.reveal());
  });

  it('sends no byte of a secret when the root key is another', async () => {
    const { parseJoinToken } = await import('@muster/runtime');
    const token = parseJoinToken(manager.token('cd'.repeat(32)));
    await expect(join(await options({ credential: { kind: 'token', token } }))).rejects.toThrow(
      'nothing secret was sent',
    );
    expect(manager.received).toBe('');
  });

  it('sends no byte of a secret when the signing key is out of its time, and asks about the clock', async () => {
    const nowWall = (): number => Date.now() + 10 * 86_400_000;
    await expect(join(await options({ nowWall }))).rejects.toThrow('Is the clock of this machine right?');
    expect(manager.received).toBe('');
  });

  it('tells the manager’s own reason for a refusal', async () => {
    const credential = { kind: 'password', password: new Secret('word') } as const;
    await expect(join(await options({ credential }))).rejects.toThrow('no such route');
  });
});

describe('reaching the manager', () => {
  let proxy: Server;
  const asked: string[] = [];
  beforeEach(async () => {
    asked.length = 0;
    proxy = createServer();
    proxy.on('connect', (request, socket) => {
      asked.push(request.url ?? '');
      const [host, port] = (request.url ?? '').split(':');
      const onward = connect(Number(port), host ?? '', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        onward.pipe(socket).pipe(onward);
      });
      onward.on('error', () => socket.destroy());
      socket.on('error', () => onward.destroy());
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    process.env['HTTP_PROXY'] = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  });
  afterEach(() => {
    delete process.env['HTTP_PROXY'];
    delete process.env['NO_PROXY'];
    proxy.closeAllConnections();
    proxy.close();
  });

  it('goes through the proxy for requests and the link, except where NO_PROXY says so', async () => {
    const manager = await FakeManager.start();
    const host = new URL(manager.url).host;
    const transport = new Transport({
      managerUrl: new URL(`${manager.url}/`),
      loopbackRewrite: 'off',
      caHash: null,
    });
    expect((await transport.request('/nothing', { method: 'GET' })).status).toBe(404);
    const socket = await transport.dial('/api/v1/link');
    expect(asked).toEqual([host, host]);
    socket.terminate();
    process.env['NO_PROXY'] = '127.0.0.1';
    expect((await transport.request('/nothing', { method: 'GET' })).status).toBe(404);
    expect(asked).toHaveLength(2);
    await manager.close();
  });

  it('names the variable when the address of the proxy is none', async () => {
    process.env['HTTP_PROXY'] = 'garbage:x';
    const transport = new Transport({
      managerUrl: new URL('http://manager.test/'),
      loopbackRewrite: 'off',
      caHash: null,
    });
    await expect(transport.request('/x', { method: 'GET' })).rejects.toThrow('HTTP_PROXY is not an address');
    await expect(transport.dial('/x')).rejects.toThrow('HTTP_PROXY is not an address');
  });

  it('says in plain words what is wrong', async () => {
    process.env['NO_PROXY'] = '*';
    const at = (url: string, caHash: string | null = null): Promise<unknown> =>
      new Transport({ managerUrl: new URL(url), loopbackRewrite: 'off', caHash }).request('/x', {
        method: 'GET',
      });
    await expect(at('http://127.0.0.1:9/')).rejects.toMatchObject({
      refused: true,
      message: expect.stringContaining('nothing listens') as string,
    });
    await expect(at('http://127.0.0.1:9/', 'ab'.repeat(32))).rejects.toThrow('must begin with https');
    await expect(at(`https://127.0.0.1:${(proxy.address() as AddressInfo).port}/`)).rejects.toThrow(
      'The manager cannot be reached',
    );
  });
});
