import fc from 'fast-check';
import { expect, test } from 'vitest';
import { generateKey, generateSealingKey } from './keys.ts';
import { open, seal } from './sealed-box.ts';
import { Secret } from './secret.ts';

test('a box opens for its recipient and context and for nobody else', () => {
  const recipient = generateSealingKey();
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.string(), (text, context) => {
      const box = seal(new Secret(text), recipient.publicKeyText, context);
      expect(open(box, recipient, context)?.reveal()).toBe(text);
      expect(open(box, recipient, `${context}x`)).toBeNull();
      expect(open(box, generateSealingKey(), context)).toBeNull();
    }),
    { numRuns: 40 },
  );
});

test('two boxes of one secret differ and do not contain it', () => {
  const recipient = generateSealingKey();
  const boxes = [1, 2].map(() => seal(new Secret('canary'), recipient.publicKeyText, 'c'));
  expect(boxes[0]).not.toBe(boxes[1]);
  expect(boxes.join()).not.toContain(Buffer.from('canary').toString('base64url'));
});

test('a box that was changed anywhere does not open, and garbage never throws', () => {
  const recipient = generateSealingKey();
  const box = seal(new Secret('secret text'), recipient.publicKeyText, 'c');
  for (let index = 0; index < box.length; index += 1) {
    const changed = `${box.slice(0, index)}${box[index] === 'A' ? 'B' : 'A'}${box.slice(index + 1)}`;
    expect(open(changed, recipient, 'c'), `position ${index}`).toBeNull();
  }
  fc.assert(fc.property(fc.string(), (text) => open(text, recipient, 'c') === null));
  // The all-zero point has small order: the exchange with it is refused.
  expect(open(`s1.${'A'.repeat(43)}.${'A'.repeat(40)}`, recipient, 'c')).toBeNull();
});

test('sealing for something that is no key is a mistake of the caller', () => {
  expect(() => seal(new Secret('x'), 'no key', 'c')).toThrow(TypeError);
  expect(generateKey().publicKeyText).toHaveLength(43);
});
