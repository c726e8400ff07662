import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  createJoinSecret,
  encodeJoinToken,
  JoinTokenInvalid,
  joinSecretHash,
  parseJoinToken,
} from './join-token.ts';
import { Secret } from './secret.ts';

const name = fc.stringMatching(/^[a-z0-9_-]{1,64}$/);
const hash = fc.stringMatching(/^[0-9a-f]{64}$/);
const root = 'ab'.repeat(32);
const token = { customer: 'acme', id: 'jt_1', rootKeyHash: root, caHash: null, secret: createJoinSecret() };

describe('a join token', () => {
  test('comes back from its text as it was', () => {
    fc.assert(
      fc.property(name, name, hash, fc.option(hash), (customer, id, rootKeyHash, caHash) => {
        const secret = createJoinSecret();
        const text = encodeJoinToken({ customer, id, rootKeyHash, caHash, secret });
        expect(text.split('.')).toEqual(['m1', customer, id, rootKeyHash, caHash ?? '-', secret.reveal()]);
        const { secret: parsedSecret, ...rest } = parseJoinToken(`  ${text}\n`);
        expect(rest).toEqual({ customer, id, rootKeyHash, caHash });
        expect(parsedSecret.equals(secret)).toBe(true);
      }),
    );
  });

  test('is refused with the part that is wrong, never repeating it', () => {
    const good = encodeJoinToken(token);
    const parts = good.split('.');
    const without = (index: number, value: string): string => parts.with(index, value).join('.');
    const last = String(parts[5]);
    const cases: [string, string][] = [
      ['', 'shape'],
      ['m1', 'shape'],
      [`${good}.x`, 'shape'],
      [parts.slice(0, 5).join('.'), 'shape'],
      [without(0, 'm2'), 'version'],
      [without(1, 'Acme'), 'customer'],
      [without(1, ''), 'customer'],
      [without(1, 'a'.repeat(65)), 'customer'],
      [without(2, 'ü'), 'id'],
      [without(3, root.toUpperCase()), 'root-key hash'],
      [without(3, root.slice(1)), 'root-key hash'],
      [without(3, '-'), 'root-key hash'],
      [without(4, ''), 'CA hash'],
      [without(5, last.slice(1)), 'secret'],
      [without(5, `${last}=`), 'secret'],
      [without(5, `${'A'.repeat(42)}B`), 'secret'],
      [without(5, `${'A'.repeat(42)}+`), 'secret'],
    ];
    for (const [text, part] of cases) {
      const attempt = (): unknown => parseJoinToken(text);
      expect(attempt, text).toThrow(JoinTokenInvalid);
      expect(attempt, text).toThrow(expect.objectContaining({ part }));
      try {
        attempt();
      } catch (error) {
        expect(String(error)).not.toContain(last.slice(0, 20));
      }
    }
  });

  test('is never printed by accident, and only a hash of its secret is kept', () => {
    const parsed = parseJoinToken(encodeJoinToken(token));
    expect(JSON.stringify(parsed)).not.toContain(token.secret.reveal());
    expect(joinSecretHash(parsed.secret)).toMatch(/^[0-9a-f]{64}$/);
    expect(joinSecretHash(parsed.secret)).toBe(joinSecretHash(token.secret));
    expect(joinSecretHash(createJoinSecret())).not.toBe(joinSecretHash(token.secret));
  });

  test('that could not be parsed again is not made', () => {
    expect(() => encodeJoinToken({ ...token, customer: 'a.b' })).toThrow(JoinTokenInvalid);
    expect(() => encodeJoinToken({ ...token, secret: new Secret('short') })).toThrow(JoinTokenInvalid);
  });
});
