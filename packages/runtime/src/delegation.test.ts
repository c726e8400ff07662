import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Delegation, delegate, signDocument, verifyDelegation, verifyDocument } from './delegation.ts';
import { generateKey } from './keys.ts';

const root = generateKey();
const signer = generateKey();
const terms = { signer: signer.publicKeyText, notBefore: 1000, notAfter: 2000, serial: 3 };

/** What arrives: the document after a journey as JSON. */
const travelled = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('a signed document', () => {
  test('verifies after any JSON journey, whatever the order of its keys', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (doc) => {
        const signed = signDocument('target', doc, signer);
        const verified = verifyDocument('target', travelled(signed), signer.publicKeyText);
        expect(verified.ok).toBe(true);
      }),
    );
    const signed = signDocument('target', { a: 1, b: 2 }, signer);
    expect(verifyDocument('target', { ...signed, doc: { b: 2, a: 1 } }, signer.publicKeyText).ok).toBe(true);
  });

  test('is refused when changed, under another type, or from another key', () => {
    const signed = signDocument('target', { a: 1 }, signer);
    const { publicKeyText } = signer;
    expect(verifyDocument('target', { ...signed, doc: { a: 2 } }, publicKeyText)).toEqual({
      ok: false,
      reason: 'bad-signature',
    });
    expect(verifyDocument('receipt', signed, publicKeyText)).toEqual({ ok: false, reason: 'bad-signature' });
    expect(verifyDocument('target', signed, root.publicKeyText)).toEqual({ ok: false, reason: 'wrong-key' });
    expect(verifyDocument('target', { ...signed, key: root.publicKeyText }, root.publicKeyText)).toEqual({
      ok: false,
      reason: 'bad-signature',
    });
  });

  test('that is malformed is refused without throwing', () => {
    const signed = signDocument('target', { a: 1 }, signer);
    const deep = { a: JSON.parse('['.repeat(5000) + ']'.repeat(5000)) as unknown };
    for (const bad of [
      null,
      1,
      'x',
      [],
      {},
      { ...signed, sig: 7 },
      { ...signed, key: null },
      { ...signed, doc: [] },
      { ...signed, doc: deep },
    ]) {
      expect(verifyDocument('target', bad, signer.publicKeyText)).toEqual({ ok: false, reason: 'malformed' });
    }
    fc.assert(
      fc.property(fc.jsonValue(), (value) => !verifyDocument('target', value, signer.publicKeyText).ok),
    );
  });
});

describe('a delegation', () => {
  const signed = delegate(root, terms);
  const resigned = (change: object): unknown =>
    signDocument('delegation', { ...signed.doc, ...change }, root);

  test('of the pinned root holds within its period, both ends included', () => {
    for (const now of [1000, 1500, 2000]) {
      expect(verifyDelegation(root.publicKeyText, travelled(signed), now)).toEqual({
        ok: true,
        doc: signed.doc,
      });
    }
    expect(verifyDelegation(root.publicKeyText, signed, 999)).toEqual({ ok: false, reason: 'not-yet-valid' });
    expect(verifyDelegation(root.publicKeyText, signed, 2001)).toEqual({ ok: false, reason: 'expired' });
  });

  test('with a lower serial than one seen before is refused', () => {
    expect(verifyDelegation(root.publicKeyText, signed, 1500, 3).ok).toBe(true);
    expect(verifyDelegation(root.publicKeyText, signed, 1500, 4)).toEqual({
      ok: false,
      reason: 'superseded',
    });
  });

  test('of another root, by another signer or for another purpose is refused with the reason', () => {
    const reason = (value: unknown): unknown => verifyDelegation(root.publicKeyText, value, 1500);
    expect(reason(delegate(signer, terms))).toEqual({ ok: false, reason: 'wrong-root' });
    expect(reason(resigned({ root: signer.publicKeyText }))).toEqual({ ok: false, reason: 'wrong-root' });
    expect(reason({ ...signed, doc: { ...signed.doc, notAfter: 9999 } })).toEqual({
      ok: false,
      reason: 'bad-signature',
    });
    expect(reason(signDocument('target', signed.doc, root))).toEqual({ ok: false, reason: 'bad-signature' });
    expect(reason(resigned({ v: 2 }))).toEqual({ ok: false, reason: 'unknown-version' });
    expect(reason(resigned({ scope: 'some' }))).toEqual({ ok: false, reason: 'unknown-scope' });
    for (const change of [
      { signer: 'x' },
      { notAfter: '2000' },
      { notBefore: 3000 },
      { serial: 0 },
      { serial: 1.5 },
    ]) {
      expect(reason(resigned(change))).toEqual({ ok: false, reason: 'malformed' });
    }
  });

  test('without sense is not made', () => {
    const bad: Partial<Delegation>[] = [{ notAfter: 1 }, { serial: 0 }, { signer: '' }];
    for (const change of bad) expect(() => delegate(root, { ...terms, ...change })).toThrow(TypeError);
  });
});
