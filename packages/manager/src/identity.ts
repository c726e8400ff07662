/**
 * Who this manager is: a root key that orchestrators pin, a signing key that signs every order, and the root's word for it.
 *
 * Both are made at the first start in `DATA_DIR/keys` (0600) and never leave the machine. The delegation is renewed, with the
 * next serial, once half of its time is gone. The box key, to which joining machines seal their secret, lives as long as
 * the process.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  atomicWriteFile,
  type Delegation,
  delegate,
  fingerprint,
  generateSealingKey,
  loadOrCreateKey,
  type SealingKey,
  type SignedDocument,
  type SigningKey,
  verifyDelegation,
} from '@muster/runtime';

export interface ManagerIdentity {
  readonly rootKey: string;
  /** SHA-256 of the raw root key, hex: what join tokens carry. */
  readonly rootKeyHash: string;
  readonly signing: SigningKey;
  readonly delegation: SignedDocument<Delegation>;
  readonly box: SealingKey;
}

const VALID_MS = 400 * 86_400_000;
/** Machines whose clock is behind must accept it too, ms. */
const EARLIER_MS = 86_400_000;

/** Load or make the keys. Throws `KeyFileRefused` when a key file must not be used. */
export function openIdentity(dataDirectory: string, nowWall: number): ManagerIdentity {
  const folder = join(dataDirectory, 'keys');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const root = loadOrCreateKey(join(folder, 'root.pem'));
  const signing = loadOrCreateKey(join(folder, 'signing.pem'));
  const path = join(folder, 'delegation.json');
  const kept = readDelegation(path);
  const serial = kept?.doc.serial ?? 0;
  const verdict = kept === undefined ? undefined : verifyDelegation(root.publicKeyText, kept, nowWall);
  const usable =
    verdict?.ok === true &&
    verdict.doc.signer === signing.publicKeyText &&
    verdict.doc.notAfter - nowWall > VALID_MS / 2;
  let delegation = kept;
  if (!usable || delegation === undefined) {
    const terms = { notBefore: Math.floor(nowWall - EARLIER_MS), notAfter: Math.floor(nowWall + VALID_MS) };
    delegation = delegate(root, { signer: signing.publicKeyText, ...terms, serial: serial + 1 });
    atomicWriteFile(path, `${JSON.stringify(delegation, null, 2)}\n`, 0o600);
  }
  const rootKey = root.publicKeyText;
  return { rootKey, rootKeyHash: fingerprint(rootKey), signing, delegation, box: generateSealingKey() };
}

function readDelegation(path: string): SignedDocument<Delegation> | undefined {
  try {
    const value = JSON.parse(readFileSync(path, 'utf8')) as SignedDocument<Delegation>;
    return Number.isSafeInteger(value.doc.serial) ? value : undefined;
  } catch {
    // Missing or unreadable: the root key makes a new one.
    return undefined;
  }
}
