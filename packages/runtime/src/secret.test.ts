import { format, inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { constantTimeEqual, Secret } from './secret.ts';

describe('a secret', () => {
  const secret = new Secret('canary-91');

  test('shows its value only when asked to', () => {
    expect(secret.reveal()).toBe('canary-91');
    const shown = [
      JSON.stringify({ secret }),
      String(secret),
      // oxlint-disable-next-line typescript/restrict-template-expressions -- the mistake that must be harmless
      `${secret}`,
      inspect({ deep: { secret } }, { depth: 9, showHidden: true }),
      format('%s %o %O %j', secret, secret, secret, secret),
      JSON.stringify(Object.entries(secret)),
      JSON.stringify(Object.assign({}, secret)),
    ].join('\n');
    expect(shown).not.toContain('canary');
    expect(shown).toContain('[secret]');
  });

  test('compares with text and with other secrets', () => {
    expect(secret.equals('canary-91')).toBe(true);
    expect(secret.equals(new Secret('canary-91'))).toBe(true);
    expect(secret.equals('canary-9')).toBe(false);
    expect(constantTimeEqual('', '')).toBe(true);
    expect(constantTimeEqual('a', Buffer.from('a'))).toBe(true);
    expect(constantTimeEqual('a', 'ab')).toBe(false);
  });
});
