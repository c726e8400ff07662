/**
 * Who this orchestrator is: its key, its name, and what joining gave it.
 *
 * The private key is made here at first start (0600) and never leaves. `identity.json` holds what joining answered: the ids,
 * and the manager's root key, which is pinned from then on: everything the manager signs must lead back to it. Written
 * atomically; a damaged file stops the start, because guessing an identity could make a machine answer to two.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { atomicWriteFile, type DataDirectory, loadOrCreateKey, type SigningKey } from '@muster/runtime';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';

const Identity = Type.Object({
  v: Type.Literal(1),
  agentId: Type.String({ minLength: 1, maxLength: 128 }),
  orchestratorId: Type.String({ minLength: 1, maxLength: 128 }),
  customerId: Type.String({ minLength: 1, maxLength: 128 }),
  /** Pinned root key of the manager. */
  rootKey: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' }),
  /** Highest delegation serial seen; lower ones are refused. */
  delegationSerial: Type.Integer({ minimum: 1 }),
  /** Hash of the CA certificate the token named; null: none. */
  caHash: Type.Union([Type.String(), Type.Null()]),
  /** Join token used; null: joined by password. A different one may replace this identity when the manager revoked it. */
  joinTokenId: Type.Union([Type.String(), Type.Null()]),
});
export type Identity = Static<typeof Identity>;

export class IdentityDamaged extends Error {
  override readonly name = 'IdentityDamaged';
}

export class IdentityStore {
  readonly key: SigningKey;
  readonly #path: string;
  #identity: Identity | null;

  /** @throws IdentityDamaged, KeyFileRefused */
  constructor(directory: DataDirectory) {
    this.key = loadOrCreateKey(directory.file('identity.key'));
    this.#path = directory.file('identity.json');
    this.#identity = this.#load();
  }

  get current(): Identity | null {
    return this.#identity;
  }

  /** Durable when this returns. */
  save(identity: Identity): void {
    atomicWriteFile(this.#path, `${JSON.stringify(identity, null, 2)}\n`, 0o600);
    this.#identity = identity;
  }

  /** Remembers the highest delegation serial, so that an older signing key is never taken again. */
  sawDelegation(serial: number): void {
    if (this.#identity !== null && serial > this.#identity.delegationSerial)
      this.save({ ...this.#identity, delegationSerial: serial });
  }

  #load(): Identity | null {
    if (!existsSync(this.#path)) return null;
    try {
      const value: unknown = JSON.parse(readFileSync(this.#path, 'utf8'));
      if (Value.Check(Identity, value)) return value;
    } catch {
      // Told below.
    }
    throw new IdentityDamaged(
      `${this.#path} is damaged. Restore it from a backup, or delete it and join with a new token.`,
    );
  }
}

/** `given`, or a name made from the host's and kept in the data directory. @throws Error when it contradicts the identity. */
export function agentIdOf(directory: DataDirectory, given: string | null, identity: Identity | null): string {
  if (identity !== null) {
    if (given === null || given === identity.agentId) return identity.agentId;
    throw new IdentityDamaged(
      `AGENT_ID is ${given}, but the data directory ${directory.path} belongs to ${identity.agentId}. Use the old AGENT_ID or another DATA_DIR.`,
    );
  }
  if (given !== null) return given;
  const path = directory.file('agent-id');
  if (existsSync(path)) {
    const kept = readFileSync(path, 'utf8').trim();
    if (kept !== '' && kept.length <= 128) return kept;
  }
  const host = hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 60);
  const made = `${host === '' ? 'host' : host}-${randomBytes(3).toString('hex')}`;
  atomicWriteFile(path, `${made}\n`, 0o600);
  return made;
}
