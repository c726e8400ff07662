import { createHash, generateKeyPairSync } from 'node:crypto';
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  fingerprint,
  generateKey,
  generateSealingKey,
  loadOrCreateKey,
  loadOrCreateSealingKey,
  sign,
  verify,
} from './keys.ts';
import { TemporaryFolder } from './temporary-folder.ts';

describe('keys', () => {
  test('agree with the first test vector of RFC 8032 on key and signature', () => {
    using folder = new TemporaryFolder();
    const seed = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60';
    const der = Buffer.from(`302e020100300506032b657004220420${seed}`, 'hex').toString('base64');
    writeFileSync(folder.file('key'), `-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`, {
      mode: 0o600,
    });
    const key = loadOrCreateKey(folder.file('key'));
    const publicHex = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a';
    expect(Buffer.from(key.publicKeyText, 'base64url').toString('hex')).toBe(publicHex);
    expect(fingerprint(key.publicKeyText)).toBe(
      createHash('sha256').update(Buffer.from(publicHex, 'hex')).digest('hex'),
    );
    expect(Buffer.from(sign(key, ''), 'base64url').toString('hex')).toBe(
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    );
  });

  test('verify what they signed and nothing else', () => {
    const key = generateKey();
    const other = generateKey();
    const signature = sign(key, 'text');
    expect(verify(key.publicKeyText, 'text', signature)).toBe(true);
    expect(verify(key.publicKeyText, Buffer.from('text'), signature)).toBe(true);
    expect(verify(key.publicKeyText, 'texT', signature)).toBe(false);
    expect(verify(other.publicKeyText, 'text', signature)).toBe(false);
    expect(verify(key.publicKeyText, 'text', `${signature}=`)).toBe(false);
    expect(verify(`${key.publicKeyText}\n`, 'text', signature)).toBe(false);
    expect(verify(generateSealingKey().publicKeyText, 'text', signature)).toBe(false);
  });

  test('answer false, without throwing, to any garbage', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.string(),
        fc.string({ minLength: 86, maxLength: 86 }),
        (publicKey, data, signature) => {
          expect(verify(publicKey, data, signature)).toBe(false);
        },
      ),
    );
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.uint8Array({ minLength: 64, maxLength: 64 }),
        (a, b) => {
          expect(
            verify(Buffer.from(a).toString('base64url'), 'x', Buffer.from(b).toString('base64url')),
          ).toBe(false);
        },
      ),
    );
    expect(() => fingerprint('short')).toThrow(TypeError);
  });
});

describe('a key file', () => {
  test('is made once, for its owner alone, and gives the same key again', () => {
    using folder = new TemporaryFolder();
    const key = loadOrCreateKey(folder.file('signing.key'));
    expect(statSync(folder.file('signing.key')).mode & 0o777).toBe(0o600);
    expect(loadOrCreateKey(folder.file('signing.key')).publicKeyText).toBe(key.publicKeyText);
    const sealing = loadOrCreateSealingKey(folder.file('sealing.key'));
    expect(loadOrCreateSealingKey(folder.file('sealing.key')).publicKeyText).toBe(sealing.publicKeyText);
  });

  test('that others can read is refused', () => {
    using folder = new TemporaryFolder();
    loadOrCreateKey(folder.file('key'));
    for (const mode of [0o640, 0o604, 0o620, 0o601]) {
      chmodSync(folder.file('key'), mode);
      expect(() => loadOrCreateKey(folder.file('key'))).toThrow(
        expect.objectContaining({ name: 'KeyFileRefused', reason: 'readable-by-others' }),
      );
    }
  });

  test('that holds no key, or another kind of key, is refused and left as it is', () => {
    using folder = new TemporaryFolder();
    writeFileSync(folder.file('key'), 'nothing', { mode: 0o600 });
    expect(() => loadOrCreateKey(folder.file('key'))).toThrow(
      expect.objectContaining({ reason: 'not-a-key' }),
    );
    expect(readFileSync(folder.file('key'), 'utf8')).toBe('nothing');
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeFileSync(folder.file('ec'), privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
    expect(() => loadOrCreateKey(folder.file('ec'))).toThrow(
      expect.objectContaining({ reason: 'wrong-kind' }),
    );
    loadOrCreateSealingKey(folder.file('sealing'));
    expect(() => loadOrCreateKey(folder.file('sealing'))).toThrow(
      expect.objectContaining({ reason: 'wrong-kind' }),
    );
  });
});
