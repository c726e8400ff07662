/**
 * Keys of a machine: Ed25519 for signing, X25519 for receiving sealed secrets. Made where they are used; private keys never
 * leave the machine.
 *
 * Public keys travel as base64url of the 32 raw bytes; a fingerprint is the SHA-256 of those bytes in hex. A key file is
 * PKCS#8 PEM, mode 0600; one that others can read is refused instead of repaired, because it must be assumed known. Decoding
 * is exact (one text per key or signature), and `verify` answers `false` to anything malformed: it never throws.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signBytes,
  verify as verifyBytes,
} from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { atomicWriteFile } from './atomic-file.ts';

export interface SigningKey {
  readonly privateKey: KeyObject;
  /** base64url of the raw public key. */
  readonly publicKeyText: string;
}

/** The same shape; the private key is X25519. */
export type SealingKey = SigningKey;

/** A key file that must not be used. */
export class KeyFileRefused extends Error {
  override readonly name = 'KeyFileRefused';
  readonly path: string;
  readonly reason: 'readable-by-others' | 'not-a-key' | 'wrong-kind';
  constructor(path: string, reason: KeyFileRefused['reason'], sentence: string) {
    super(sentence);
    this.path = path;
    this.reason = reason;
  }
}

const publicKeyBytes = 32;
const signatureBytes = 64;
type Curve = 'ed25519' | 'x25519';
/** The DER header of a public key, followed by its 32 raw bytes. */
const spkiHeaders: Readonly<Record<Curve, Buffer>> = {
  ed25519: Buffer.from('302a300506032b6570032100', 'hex'),
  x25519: Buffer.from('302a300506032b656e032100', 'hex'),
};

/** A fresh Ed25519 key, in memory only. */
export function generateKey(): SigningKey {
  return withPublicText(generateKeyPairSync('ed25519').privateKey);
}

/** A fresh X25519 key, in memory only. */
export function generateSealingKey(): SealingKey {
  return withPublicText(generateKeyPairSync('x25519').privateKey);
}

/** The Ed25519 key in the file at `path`, made durably when there is none. Throws `KeyFileRefused`. */
export function loadOrCreateKey(path: string): SigningKey {
  return loadKey(path, 'ed25519') ?? saved(path, generateKey());
}

/** The X25519 key in the file at `path`, made durably when there is none. Throws `KeyFileRefused`. */
export function loadOrCreateSealingKey(path: string): SealingKey {
  return loadKey(path, 'x25519') ?? saved(path, generateSealingKey());
}

/** SHA-256 of the raw public key, hex. Throws `TypeError` when the text is no public key. */
export function fingerprint(publicKeyText: string): string {
  const raw = decodeExactly(publicKeyText, publicKeyBytes);
  if (raw === null) throw new TypeError('Not the base64url of a 32-byte public key');
  return createHash('sha256').update(raw).digest('hex');
}

/** Ed25519 signature, base64url. Strings are signed as UTF-8. */
export function sign(key: SigningKey, data: Uint8Array | string): string {
  return signBytes(null, Buffer.from(data as string), key.privateKey).toString('base64url');
}

/** Whether `signature` is `publicKeyText`'s over `data`. Never throws. */
export function verify(publicKeyText: string, data: Uint8Array | string, signature: string): boolean {
  const signatureRaw = decodeExactly(signature, signatureBytes);
  const key = publicKeyOf(publicKeyText, 'ed25519');
  if (signatureRaw === null || key === null) return false;
  try {
    return verifyBytes(null, Buffer.from(data as string), key, signatureRaw);
  } catch {
    return false;
  }
}

/** The key object of a public key text, `null` when it is none. */
export function publicKeyOf(publicKeyText: string, curve: Curve): KeyObject | null {
  const raw = decodeExactly(publicKeyText, publicKeyBytes);
  if (raw === null) return null;
  try {
    return createPublicKey({ key: Buffer.concat([spkiHeaders[curve], raw]), format: 'der', type: 'spki' });
  } catch {
    return null;
  }
}

/** The bytes of a base64url text of exactly `length` bytes, `null` for anything else (padding, stray bits, other types). */
export function decodeExactly(text: unknown, length: number): Buffer | null {
  if (typeof text !== 'string' || text.length !== Math.ceil((length * 4) / 3)) return null;
  const bytes = Buffer.from(text, 'base64url');
  return bytes.length === length && bytes.toString('base64url') === text ? bytes : null;
}

function withPublicText(privateKey: KeyObject): SigningKey {
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return { privateKey, publicKeyText: spki.subarray(-publicKeyBytes).toString('base64url') };
}

function saved(path: string, key: SigningKey): SigningKey {
  atomicWriteFile(path, key.privateKey.export({ format: 'pem', type: 'pkcs8' }), 0o600);
  return key;
}

function loadKey(path: string, curve: Curve): SigningKey | null {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) return null;
  if ((status.mode & 0o077) !== 0) {
    const sentence = `The key file ${path} can be read by others. Assume the key is known: delete the file and enrol again, or, if you are sure, chmod 600 it.`;
    throw new KeyFileRefused(path, 'readable-by-others', sentence);
  }
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(readFileSync(path));
  } catch {
    throw new KeyFileRefused(
      path,
      'not-a-key',
      `The key file ${path} does not hold a private key. Restore it from a backup, or delete it and enrol again.`,
    );
  }
  if (privateKey.asymmetricKeyType !== curve) {
    throw new KeyFileRefused(
      path,
      'wrong-kind',
      `The key file ${path} holds a key of kind ${String(privateKey.asymmetricKeyType)}, ${curve} is needed.`,
    );
  }
  return withPublicText(privateKey);
}
