/**
 * Join tokens: what an orchestrator needs, once, to become one of a customer's machines.
 *
 * `m1.<customer>.<id>.<root-key hash>.<CA hash or ->.<secret>`: whom it is for, which token it is, which manager to believe
 * (SHA-256 of its root public key, and of its CA certificate where a private CA is used), and a 256-bit secret that is sent
 * only after the manager proved that root key. The manager stores the secret's hash alone. Parsing is exact: one token has one
 * text, and no error repeats any part of it.
 */
import { createHash, randomBytes } from 'node:crypto';
import { decodeExactly } from './keys.ts';
import { Secret } from './secret.ts';

export interface JoinToken {
  readonly customer: string;
  readonly id: string;
  /** SHA-256 of the manager's raw root public key, 64 hex digits. */
  readonly rootKeyHash: string;
  /** SHA-256 of the CA certificate (DER), 64 hex digits; `null` for publicly trusted or plain links. */
  readonly caHash: string | null;
  /** base64url of 32 random bytes. */
  readonly secret: Secret;
}

export class JoinTokenInvalid extends Error {
  override readonly name = 'JoinTokenInvalid';
  /** The first part that is wrong. */
  readonly part: 'shape' | 'version' | 'customer' | 'id' | 'root-key hash' | 'CA hash' | 'secret';
  constructor(part: JoinTokenInvalid['part']) {
    super(
      `The join token is not valid: its ${part} is wrong. Copy the whole token again, or ask for a new one with \`muster token create\`.`,
    );
    this.part = part;
  }
}

const namePattern = /^[a-z0-9_-]{1,64}$/;
const hashPattern = /^[0-9a-f]{64}$/;
const secretBytes = 32;

/** A fresh secret for a token. */
export function createJoinSecret(): Secret {
  return new Secret(randomBytes(secretBytes).toString('base64url'));
}

/** What the manager stores instead of the secret, hex. The secret has 256 random bits, so a plain hash is enough. */
export function joinSecretHash(secret: Secret): string {
  return createHash('sha256').update('muster.join-secret.v1\n').update(secret.reveal()).digest('hex');
}

/** The token as text. It contains the secret: show it once, never log it. Throws `JoinTokenInvalid` for parts that do not fit. */
export function encodeJoinToken(token: JoinToken): string {
  const text = [
    'm1',
    token.customer,
    token.id,
    token.rootKeyHash,
    token.caHash ?? '-',
    token.secret.reveal(),
  ].join('.');
  parseJoinToken(text);
  return text;
}

/** Parses a token; white space around it is forgiven, nothing else. Throws `JoinTokenInvalid`. */
export function parseJoinToken(text: string): JoinToken {
  const parts = text.trim().split('.');
  if (parts[0] !== 'm1') throw new JoinTokenInvalid(parts.length === 6 ? 'version' : 'shape');
  if (parts.length !== 6) throw new JoinTokenInvalid('shape');
  const [, customer = '', id = '', rootKeyHash = '', caHash = '', secret = ''] = parts;
  if (!namePattern.test(customer)) throw new JoinTokenInvalid('customer');
  if (!namePattern.test(id)) throw new JoinTokenInvalid('id');
  if (!hashPattern.test(rootKeyHash)) throw new JoinTokenInvalid('root-key hash');
  if (caHash !== '-' && !hashPattern.test(caHash)) throw new JoinTokenInvalid('CA hash');
  if (decodeExactly(secret, secretBytes) === null) throw new JoinTokenInvalid('secret');
  return { customer, id, rootKeyHash, caHash: caHash === '-' ? null : caHash, secret: new Secret(secret) };
}
