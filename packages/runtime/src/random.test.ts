import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { base32, systemRandom } from './random.ts';

describe('system randomness', () => {
  test('makes ids of a prefix and 26 digits, tokens of 32 hex digits, all different', () => {
    const random = systemRandom();
    const ids = Array.from({ length: 5000 }, () => random.id('agent'));
    const tokens = Array.from({ length: 5000 }, () => random.token());
    for (const id of ids) expect(id).toMatch(/^agent_[0-7][0-9a-hjkmnp-tv-z]{25}$/);
    for (const token of tokens) expect(token).toMatch(/^[0-9a-f]{32}$/);
    expect(new Set([...ids, ...tokens]).size).toBe(10_000);
  });

  test('draws fractions from 0 up to but not 1, evenly', () => {
    const random = systemRandom();
    const buckets = Array.from({ length: 10 }, () => 0);
    for (let index = 0; index < 20_000; index += 1) {
      const fraction = random.fraction();
      expect(fraction >= 0 && fraction < 1).toBe(true);
      const bucket = Math.floor(fraction * 10);
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    }
    // 2,000 expected, standard deviation 42: eight of them away is a broken generator.
    for (const count of buckets) expect(Math.abs(count - 2000)).toBeLessThan(340);
  });

  test('writes base32 as the digits of one big number', () => {
    const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        let value = BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
        let text = '';
        for (let digit = 0; digit < 26; digit += 1) {
          text = String(alphabet[Number(value % 32n)]) + text;
          value /= 32n;
        }
        expect(base32(bytes)).toBe(text);
      }),
    );
  });
});
