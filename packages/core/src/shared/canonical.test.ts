import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson, canonicalJsonDepthLimit, NotCanonical } from './canonical.ts';

describe('canonical JSON', () => {
  test('sorts keys by code unit at every depth and writes no white space', () => {
    expect(
      canonicalJson({ b: 1, a: [{ d: null, c: 'x' }], B: true, é: 0, '\u{1f600}': 1, '\uffff': 2 }),
    ).toBe('{"B":true,"a":[{"c":"x","d":null}],"b":1,"é":0,"\u{1f600}":1,"\uffff":2}');
  });

  test('drops undefined members and keeps a member called __proto__', () => {
    expect(canonicalJson({ a: undefined, b: 1 })).toBe('{"b":1}');
    expect(canonicalJson(JSON.parse('{"__proto__":{"x":1},"a":2}'))).toBe('{"__proto__":{"x":1},"a":2}');
    expect(canonicalJson(Object.assign(Object.create(null), { a: 1 }))).toBe('{"a":1}');
  });

  test('refuses what JSON would change silently and names the place', () => {
    const sparse: unknown[] = [];
    sparse.length = 1;
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    for (const bad of [
      { a: [{ b: Number.NaN }] },
      Number.POSITIVE_INFINITY,
      undefined,
      [undefined],
      sparse,
      10n,
      () => 1,
      Symbol('x'),
      new Date(0),
      new Map(),
      circular,
    ]) {
      expect(() => canonicalJson(bad)).toThrow(NotCanonical);
    }
    expect(() => canonicalJson({ a: [{ b: Number.NaN }] })).toThrow('$.a[0].b is NaN');
  });

  test('bounds the depth', () => {
    const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
    expect(canonicalJson(nested(canonicalJsonDepthLimit))).toHaveLength(2 * canonicalJsonDepthLimit);
    expect(() => canonicalJson(nested(canonicalJsonDepthLimit + 1))).toThrow('nested deeper');
    expect(() => canonicalJson(nested(100_000))).toThrow(NotCanonical);
  });

  test('means the same value, and is the same text however the keys were ordered', () => {
    const reversed = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(reversed);
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([key, member]) => [key, reversed(member)]),
      );
    };
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
        expect(canonicalJson(reversed(value))).toBe(text);
        expect(canonicalJson(JSON.parse(text))).toBe(text);
      }),
    );
  });
});
