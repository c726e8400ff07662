/** How a command finds its manager, its token, and what a person means. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Secret } from '@muster/runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exitCode } from '../exit-codes.ts';
import { CommandFailure } from '../failure.ts';
import { ApiClient } from './api-client.ts';
import { Credentials } from './credentials.ts';
import { findOne } from './find.ts';
import { managerUrl, tokenFor } from './manager-url.ts';

function failureOf(act: () => unknown): CommandFailure {
  try {
    act();
  } catch (error) {
    if (error instanceof CommandFailure) return error;
    throw error;
  }
  throw new Error('It did not fail.');
}

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'muster-client-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('finding', () => {
  const items = [
    { id: 'agt_4zc6', name: 'momentum-1' },
    { id: 'agt_58dj', name: 'momentum-2' },
    { id: 'agt_7bma', name: 'agt_4' },
    { id: 'agt_9xyz', name: 'twin' },
    { id: 'agt_9xyy', name: 'twin' },
  ];
  const find = (wanted: string): string => findOne(items, wanted, (item) => item, 'agent').id;

  it.each([
    ['agt_58dj', 'agt_58dj'],
    ['momentum-2', 'agt_58dj'],
    ['58', 'agt_58dj'],
    ['agt_7', 'agt_7bma'],
    ['momentum-1', 'agt_4zc6'],
    ['agt_4', 'agt_7bma'],
  ])('%s means %s', (wanted, id) => {
    expect(find(wanted)).toBe(id);
  });

  it('refuses what several fit, and lists them', () => {
    const failure = failureOf(() => find('momentum'));
    expect(failure.code).toBe(exitCode.usage);
    expect(failure.why).toEqual(['momentum-1 (agt_4zc6)', 'momentum-2 (agt_58dj)']);
    expect(failureOf(() => find('twin')).what).toBe('"twin" means 2 agents');
  });

  it('says that something does not exist', () => {
    expect(failureOf(() => find('nothing')).code).toBe(exitCode.notFound);
    expect(failureOf(() => find('')).code).toBe(exitCode.notFound);
  });
});

describe('credentials', () => {
  const credential = { token: new Secret('t0ken'), name: 'kim', expiresAt: '2030-01-01T00:00:00Z' };

  it('are kept for each manager, for the owner alone, and forgotten', () => {
    const credentials = new Credentials({ XDG_CONFIG_HOME: folder });
    credentials.store('http://one', credential);
    credentials.store('http://two', { ...credential, name: 'ada' });
    expect(statSync(credentials.path).mode & 0o777).toBe(0o600);
    expect(credentials.current).toBe('http://two');
    expect(credentials.find('http://one')?.token.reveal()).toBe('t0ken');
    expect(credentials.forget('http://two')).toBe(true);
    expect(credentials.forget('http://two')).toBe(false);
    expect(credentials.find('http://two')).toBeUndefined();
    expect(credentials.find('http://one')?.name).toBe('kim');
  });

  it('that others can read are closed to them', () => {
    const credentials = new Credentials({ XDG_CONFIG_HOME: folder });
    credentials.store('http://one', credential);
    chmodSync(credentials.path, 0o644);
    credentials.find('http://one');
    expect(statSync(credentials.path).mode & 0o777).toBe(0o600);
  });

  it('that are damaged are refused with what to do', () => {
    const credentials = new Credentials({ XDG_CONFIG_HOME: folder });
    credentials.store('http://one', credential);
    writeFileSync(credentials.path, '{"managers":');
    expect(failureOf(() => credentials.find('http://one')).next).toContain('muster login');
    expect(readFileSync(credentials.path, 'utf8')).toBe('{"managers":');
  });

  it('decide with flags and environment which manager and token are meant', () => {
    const environment = { XDG_CONFIG_HOME: folder };
    const credentials = new Credentials(environment);
    expect(managerUrl(environment, undefined, credentials)).toBe('http://127.0.0.1:8000');
    credentials.store('http://last', credential);
    expect(managerUrl(environment, undefined, credentials)).toBe('http://last');
    expect(managerUrl({ MUSTER_URL: 'https://m.example/' }, undefined, credentials)).toBe(
      'https://m.example',
    );
    expect(managerUrl({ MUSTER_URL: 'https://m' }, 'localhost:9/base/', credentials)).toBe(
      'http://localhost:9/base',
    );
    const now = Date.UTC(2026, 0, 1);
    expect(tokenFor('http://last', environment, undefined, credentials, now).reveal()).toBe('t0ken');
    writeFileSync(join(folder, 'token'), 'other\n');
    expect(tokenFor('http://x', environment, join(folder, 'token'), credentials, now).reveal()).toBe('other');
    expect(failureOf(() => tokenFor('http://x', environment, undefined, credentials, now)).code).toBe(
      exitCode.notAllowed,
    );
    expect(
      failureOf(() => tokenFor('http://last', environment, undefined, credentials, Date.UTC(2031, 0, 1)))
        .what,
    ).toContain('expired');
  });

  it.each(['ftp://x', 'http://name:secret@x', 'not a url'])('never go to %s', (url) => {
    const failure = failureOf(() => managerUrl({}, url, new Credentials({ XDG_CONFIG_HOME: folder })));
    expect(failure.code).toBe(exitCode.usage);
    expect(JSON.stringify(failure.document)).not.toContain('secret');
  });
});

describe('a request', () => {
  let server: Server;
  let url: string;
  let answer: { status: number; body: string; headers?: Record<string, string> };
  const seen: { path: string | undefined; authorization: string | undefined }[] = [];

  beforeEach(async () => {
    seen.length = 0;
    server = createServer((request, response) => {
      seen.push({ path: request.url, authorization: request.headers.authorization });
      response.writeHead(answer.status, answer.headers ?? {}).end(answer.body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  const client = (): ApiClient =>
    new ApiClient({ url, token: new Secret('t0ken'), who: 'The manager', unreachableNext: 'Start it.' });
  const failed = (): Promise<CommandFailure> =>
    client()
      .get('/x')
      .then(
        () => Promise.reject(new Error('It did not fail.')),
        (error: unknown) => error as CommandFailure,
      );

  it('carries the token and the query, and answers with the body', async () => {
    answer = { status: 200, body: '[1]' };
    expect(await client().get('/x', { a: true, b: undefined })).toEqual([1]);
    expect(seen).toEqual([{ path: '/x?a=true', authorization: 'Bearer t0ken' }]);
  });

  it.each([
    [401, exitCode.notAllowed],
    [403, exitCode.notAllowed],
    [404, exitCode.notFound],
    [409, exitCode.refused],
    [422, exitCode.usage],
    [500, exitCode.failure],
    [503, exitCode.unreachable],
  ])('that is answered with %i ends with %i', async (status, code) => {
    answer = { status, body: JSON.stringify({ title: 'No', detail: 'Because.', next: 'Do this.', status }) };
    const failure = await failed();
    expect([failure.code, failure.what, failure.why]).toEqual([code, 'No', ['Because.']]);
  });

  it('never follows a redirect, because the token would go along', async () => {
    answer = { status: 302, body: '', headers: { location: `${url}/elsewhere` } };
    expect((await failed()).code).toBe(exitCode.unreachable);
    expect(seen.map(({ path }) => path)).toEqual(['/x']);
  });

  it('that nobody answers says so and what to do', async () => {
    await new Promise((resolve) => server.close(resolve));
    const failure = await failed();
    expect([failure.code, failure.why, failure.next]).toEqual([
      exitCode.unreachable,
      ['Nothing listens there.'],
      'Start it.',
    ]);
  });

  it('streams lines whatever the pieces they come in', async () => {
    answer = { status: 200, body: 'one\r\ntwo\n\nthree' };
    const lines: string[] = [];
    for await (const line of client().lines('/x', {}, new AbortController().signal)) lines.push(line);
    expect(lines).toEqual(['one', 'two', '', 'three']);
  });
});
