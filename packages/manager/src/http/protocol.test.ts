/**
 * HTTP as programs of all kinds speak it: load balancers, clients that offer upgrades or send everything before they read,
 * and those that do not speak it at all. Over a real socket, as the framework's own test door skips what is below it.
 */
import { connect } from 'node:net';
import type { Problem } from '@muster/contract';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestManager, testManager } from '../testing/manager-fixture.ts';
import { parseJson } from './bodies.ts';

let test: TestManager;
beforeAll(async () => {
  test = await testManager({ environment: { REDIS_URL: 'redis://nowhere:6379' } });
});
afterAll(async () => {
  await test[Symbol.asyncDispose]();
});

interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** Send bytes as they are, wholly, and read until the other side closes. */
function exchange(...parts: readonly (string | Uint8Array)[]): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect(test.manager.port, '127.0.0.1');
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk) => {
      text += String(chunk);
    });
    socket.on('error', reject);
    socket.on('end', () => {
      const [head = '', body = ''] = text.split(/\r\n\r\n(.*)/s);
      resolve({ status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]), head, body });
    });
    for (const part of parts) socket.write(part);
  });
}

const head = (line: string, ...fields: readonly string[]): string =>
  `${[`${line} HTTP/1.1`, ...fields].join('\r\n')}\r\n\r\n`;

describe('load balancers and browsers', () => {
  it.each(['/health', '/ready', '/metrics', '/docs'])(
    'may ask %s with HEAD, and what it answers to',
    async (path) => {
      const answer = await test.request('HEAD', path, undefined, null);
      expect(answer).toMatchObject({ status: 200, text: '' });
      const options = await test.request('OPTIONS', path, undefined, null);
      expect(options).toMatchObject({ status: 204, headers: { allow: 'GET, HEAD' } });
      expect(options.headers['x-request-id']).toBeDefined();
    },
  );

  it('see Redis named by /ready when it is configured, and not deciding anything', async () => {
    const answer = await test.request('GET', '/ready', undefined, null);
    expect(answer.status).toBe(200);
    expect(answer.body['dependencies']).toMatchObject({
      store: { status: 'ok' },
      redis: { status: 'unused' },
    });
  });

  it('that offer HTTP/2 to everybody are answered in HTTP/1.1', async () => {
    const answer = await exchange(
      head('GET /health', 'Host: x', 'Connection: Upgrade, close', 'Upgrade: h2c'),
    );
    expect(answer.status).toBe(200);
    expect(answer.body).toContain('healthy');
  });
});

describe('what is broken', () => {
  const upgrade = [
    'Host: x',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
  ];
  const cases: readonly [string, string, number][] = [
    ['garbage', '\u0016\u0003\u0001 garbage\r\n\r\n', 400],
    ['a request without Host', head('GET /health', 'Connection: close'), 400],
    ['headers that are too long', head('GET /health', 'Host: x', `X: ${'a'.repeat(20_000)}`), 431],
    [
      'a link without its subprotocol',
      head('GET /api/v1/link', ...upgrade, 'Sec-WebSocket-Version: 13'),
      400,
    ],
    ['a link from a page', head('GET /api/v1/link', ...upgrade, 'Origin: http://page'), 403],
    [
      'a link of a version long gone',
      head(
        'GET /api/v1/link',
        ...upgrade,
        'Sec-WebSocket-Protocol: muster.link.v1',
        'Sec-WebSocket-Version: 99',
      ),
      400,
    ],
  ];
  it.each(cases)('%s: gets a problem document with a request id', async (_what, bytes, status) => {
    const answer = await exchange(bytes);
    expect(answer.status).toBe(status);
    expect(answer.head.toLowerCase()).toContain('x-request-id: ');
    expect(answer.head).toContain('application/problem+json');
    expect((JSON.parse(answer.body) as Problem).status).toBe(status);
  });

  it('a body of 10 MB: a client that reads only after sending everything still gets 413', async () => {
    const body = `{"agent_type": "${'x'.repeat(10 * 1_048_576)}"}`;
    const fields = ['Host: x', `Authorization: Bearer ${test.adminToken}`, 'Content-Type: application/json'];
    const path = 'POST /api/v1/cluster/agents/deploy';
    const known = await exchange(head(path, ...fields, `Content-Length: ${body.length}`), body);
    expect(known.status).toBe(413);
    const chunks = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
    expect((await exchange(head(path, ...fields, 'Transfer-Encoding: chunked'), chunks)).status).toBe(413);
  });

  it('an expectation nobody knows is passed over', async () => {
    expect(
      (await exchange(head('GET /health', 'Host: x', 'Expect: wonders', 'Connection: close'))).status,
    ).toBe(200);
  });
});

describe('bodies', () => {
  it('are UTF-8, or refused rather than guessed at', () => {
    expect(parseJson(Buffer.from('\uFEFF{"name":"Zoë"}'))).toEqual({ name: 'Zoë' });
    for (const bytes of [
      [0x22, 0xff, 0x22],
      [0x22, 0xed, 0xa0, 0x80, 0x22],
      [0x22, 0xc3, 0x22],
    ])
      expect(() => parseJson(Uint8Array.from(bytes))).toThrow('not valid UTF-8');
    expect(() => parseJson(Buffer.from('{"a":{"__proto__":{}}}'))).toThrow('__proto__');
    expect(parseJson(Buffer.from('{"constructor":{"prototype":1}}'))).toEqual({
      constructor: { prototype: 1 },
    });
  });

  it('of another OAuth grant are refused', async () => {
    const ask = async (grant: string): Promise<number> => {
      const payload = new URLSearchParams({
        grant_type: grant,
        username: 'nobody',
        password: 'x',
      }).toString();
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      const answer = await test.manager.app.inject({
        method: 'POST',
        url: '/api/v1/auth/token',
        headers,
        payload,
      });
      return answer.statusCode;
    };
    expect(await ask('client_credentials')).toBe(422);
    expect(await ask('')).toBe(401);
    expect(await ask('password')).toBe(401);
  });
});

describe('ids', () => {
  it.each([1, 129, 250, 4000])('of %i characters that do not exist are 404', async (length) => {
    expect((await test.request('GET', `/api/v1/cluster/agents/${'a'.repeat(length)}`)).status).toBe(404);
  });
});

describe('every 422', () => {
  it.each([
    [{ agent_type: 'nope' }, '/agent_type'],
    [{ agent_type: 'analysis_agent', deployment_strategy: 'nope' }, '/deployment_strategy'],
    [{ agent_type: 'analysis_agent', on_disconnect: 'failover' }, '/on_disconnect'],
    [
      { agent_type: 'analysis_agent', resource_requirements: { memory: 'x' } },
      '/resource_requirements/memory',
    ],
  ])('names the field: %j', async (body, path) => {
    const answer = await test.request<Problem>('POST', '/api/v1/cluster/agents/deploy', body);
    expect(answer.status).toBe(422);
    expect(answer.body.errors).toMatchObject([{ path }]);
  });
});
