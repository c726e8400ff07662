/** Sign-in tokens: only ours, only in time, whatever a token says about itself. */
import { createHmac } from 'node:crypto';
import { Secret } from '@muster/runtime';
import { SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { testManager } from '../testing/manager-fixture.ts';
import { Tokens } from './tokens.ts';

const nowWall = 1_800_000_000_000;
const tokens = new Tokens(new Secret('a secret for the tests of this file'), 60_000);
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token of ours with some parts of head and body exchanged, signed with `key` as HS256. */
async function forged(
  head: Record<string, unknown>,
  body: Record<string, unknown>,
  key: string | null,
): Promise<string> {
  const [oldHead = '', oldBody = '', signature = ''] = (await tokens.issue('usr_1', 1, nowWall)).split('.');
  const read = (text: string): object => JSON.parse(Buffer.from(text, 'base64url').toString()) as object;
  const text = `${encode({ ...read(oldHead), ...head })}.${encode({ ...read(oldBody), ...body })}`;
  return `${text}.${key === null ? signature : createHmac('sha256', key).update(text).digest('base64url')}`;
}

describe('a token', () => {
  it('names its user until it expires, and is then known as expired', async () => {
    const token = await tokens.issue('usr_1', 3, nowWall);
    expect(await tokens.verify(token, nowWall + 59_000)).toEqual({
      kind: 'valid',
      userId: 'usr_1',
      version: 3,
      expiresAtMs: nowWall + 60_000,
    });
    expect(await tokens.verify(token, nowWall + 61_000)).toMatchObject({ kind: 'expired', userId: 'usr_1' });
  });

  it('is invalid when it was made or changed by anybody else', async () => {
    const secret = 'a secret for the tests of this file';
    const key = new TextEncoder().encode(secret);
    const others = new Tokens(new Secret('another secret altogether, of someone'), 60_000);
    const wrongAudience = new SignJWT({ ver: 1 })
      .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt' })
      .setSubject('usr_1')
      .setIssuer('muster');
    const corpus: Record<string, string> = {
      'another key': await others.issue('usr_1', 1, nowWall),
      'alg none, unsigned': `${encode({ alg: 'none', typ: 'at+jwt' })}.${encode({ sub: 'usr_1', ver: 1, exp: 9_999_999_999 })}.`,
      'alg none, old signature': await forged({ alg: 'none' }, {}, null),
      'alg changed to HS512': await forged({ alg: 'HS512' }, {}, null),
      'alg changed to RS256': await forged({ alg: 'RS256' }, {}, null),
      'signed with the underived secret': await forged({}, { sub: 'usr_2' }, secret),
      'body changed': await forged({}, { sub: 'usr_2' }, null),
      'kid with a path': await forged({ kid: '../../etc/passwd' }, {}, null),
      'with a key of its own': await forged({ jwk: { kty: 'oct', k: 'AAAA' } }, {}, 'AAAA'),
      'wrong audience': await wrongAudience
        .setAudience('other')
        .setIssuedAt(1)
        .setExpirationTime(9_999_999_999)
        .sign(key),
      garbage: 'garbage',
      'three dots': '...',
      empty: '',
      long: 'a'.repeat(5000),
    };
    for (const [what, token] of Object.entries(corpus)) {
      expect(await tokens.verify(token, nowWall), what).toEqual({ kind: 'invalid' });
    }
  });

  it('is refused by the API with 401 in every wrong form, and dies with its user', async () => {
    await using test = await testManager();
    const user = await test.user('operator', null);
    const path = '/api/v1/cluster/containers';
    const status = async (authorization: string): Promise<number> =>
      (await test.manager.app.inject({ url: path, headers: { authorization } })).statusCode;
    expect(await status(`Bearer ${user.token}`)).toBe(200);
    for (const header of [
      'Bearer',
      'Bearer ',
      'Basic YTpi',
      `Token ${user.token}`,
      `Bearer ${user.token}x`,
      `Bearer ${user.token} ${user.token}`,
      'Bearer \u00e4',
    ]) {
      expect(await status(header), header).toBe(401);
    }
    const unsigned = `${encode({ alg: 'none' })}.${encode({ sub: user.id, ver: 1, exp: 9_999_999_999 })}.`;
    expect(await status(`Bearer ${unsigned}`)).toBe(401);
    await test.request('PATCH', `/api/v1/users/${user.id}`, { role: 'viewer' });
    expect(await status(`Bearer ${user.token}`)).toBe(401);
    expect((await test.request('DELETE', `/api/v1/users/${user.id}`)).status).toBe(200);
    expect(
      (
        await test.request(
          'POST',
          '/api/v1/auth/login',
          { username: user.name, password: user.password },
          null,
        )
      ).status,
    ).toBe(401);
  });
});
