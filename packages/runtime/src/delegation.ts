/**
 * Signed documents, and the chain that leads from the root key a machine pinned to the key that signed.
 *
 * A document is signed over `muster.<type>.v1\n` + its canonical JSON, so a signature made for one type of document never
 * fits another. The root key signs one thing only: a delegation, which names a signing key, a period and a serial. Machines
 * pin the root and need nothing else; signing keys are replaced by a delegation with a higher serial.
 * Every refusal has a reason from a closed list. Nothing here throws for what came over the wire.
 */
import { canonicalJson, NotCanonical } from '@muster/core';
import { decodeExactly, type SigningKey, sign, verify } from './keys.ts';

export interface SignedDocument<Document = unknown> {
  readonly doc: Document;
  /** base64url Ed25519 signature. */
  readonly sig: string;
  /** Public key that signed, base64url. */
  readonly key: string;
}

export interface Delegation {
  readonly v: 1;
  /** Public key text of the root. */
  readonly root: string;
  /** Public key text that may sign in the root's name. */
  readonly signer: string;
  readonly scope: 'everything';
  /** First and last valid moment, Unix ms. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Grows with every delegation of one root; a machine refuses lower ones than it has seen. */
  readonly serial: number;
}

export type Refusal = 'malformed' | 'wrong-key' | 'bad-signature';
export type DelegationRefusal =
  | Refusal
  | 'wrong-root'
  | 'unknown-version'
  | 'unknown-scope'
  | 'not-yet-valid'
  | 'expired'
  | 'superseded';

export type Verified<Document, Reason> =
  | { readonly ok: true; readonly doc: Document }
  | { readonly ok: false; readonly reason: Reason };

const delegationType = 'delegation';

/** Signs `doc` as a document of `type` (`[a-z0-9-]+`). Throws `NotCanonical` when it has no canonical JSON. */
export function signDocument<Document extends object>(
  type: string,
  doc: Document,
  key: SigningKey,
): SignedDocument<Document> {
  return { doc, sig: sign(key, signedText(type, doc)), key: key.publicKeyText };
}

/** Whether `signed` is a document of `type` signed by `expectedKey`. The shape of the document is the caller's to check. */
export function verifyDocument(
  type: string,
  signed: unknown,
  expectedKey: string,
): Verified<Readonly<Record<string, unknown>>, Refusal> {
  if (!isRecord(signed) || !isRecord(signed['doc'])) return { ok: false, reason: 'malformed' };
  const { doc, sig, key } = signed as { doc: Readonly<Record<string, unknown>>; sig: unknown; key: unknown };
  if (typeof sig !== 'string' || typeof key !== 'string') return { ok: false, reason: 'malformed' };
  if (key !== expectedKey) return { ok: false, reason: 'wrong-key' };
  let text: string;
  try {
    text = signedText(type, doc);
  } catch (error) {
    if (error instanceof NotCanonical) return { ok: false, reason: 'malformed' };
    throw error;
  }
  return verify(expectedKey, text, sig) ? { ok: true, doc } : { ok: false, reason: 'bad-signature' };
}

/** The root's word that `signer` may sign from `notBefore` to `notAfter` (Unix ms). */
export function delegate(
  root: SigningKey,
  terms: Pick<Delegation, 'signer' | 'notBefore' | 'notAfter' | 'serial'>,
): SignedDocument<Delegation> {
  const { signer, notBefore, notAfter, serial } = terms;
  const doc: Delegation = {
    v: 1,
    root: root.publicKeyText,
    signer,
    scope: 'everything',
    notBefore,
    notAfter,
    serial,
  };
  if (!isDelegation(doc))
    throw new TypeError('A delegation needs a signer key, a period and a serial of at least 1');
  return signDocument(delegationType, doc, root);
}

/** Whether `signed` is a delegation of `pinnedRoot` in force at `nowWall` (Unix ms) with a serial of `leastSerial` or more. */
export function verifyDelegation(
  pinnedRoot: string,
  signed: unknown,
  nowWall: number,
  leastSerial = 1,
): Verified<Delegation, DelegationRefusal> {
  const verified = verifyDocument(delegationType, signed, pinnedRoot);
  if (!verified.ok) return verified.reason === 'wrong-key' ? { ok: false, reason: 'wrong-root' } : verified;
  const { doc } = verified;
  if (doc['v'] !== 1) return { ok: false, reason: 'unknown-version' };
  if (doc['scope'] !== 'everything') return { ok: false, reason: 'unknown-scope' };
  if (!isDelegation(doc)) return { ok: false, reason: 'malformed' };
  if (doc.root !== pinnedRoot) return { ok: false, reason: 'wrong-root' };
  if (doc.serial < leastSerial) return { ok: false, reason: 'superseded' };
  if (nowWall < doc.notBefore) return { ok: false, reason: 'not-yet-valid' };
  if (nowWall > doc.notAfter) return { ok: false, reason: 'expired' };
  return { ok: true, doc };
}

function signedText(type: string, doc: object): string {
  if (!/^[a-z0-9-]+$/.test(type)) throw new TypeError(`Not a document type: ${type}`);
  return `muster.${type}.v1\n${canonicalJson(doc)}`;
}

function isDelegation(doc: Delegation | Readonly<Record<string, unknown>>): doc is Delegation {
  const { root, signer, notBefore, notAfter, serial } = doc as { readonly [K in keyof Delegation]: unknown };
  return (
    decodeExactly(root, 32) !== null &&
    decodeExactly(signer, 32) !== null &&
    Number.isSafeInteger(notBefore) &&
    Number.isSafeInteger(notAfter) &&
    (notBefore as number) <= (notAfter as number) &&
    Number.isSafeInteger(serial) &&
    (serial as number) >= 1
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
