/**
 * Joining: how an orchestrator gets its identity, once. Two plain HTTPS requests before the first link.
 *
 * 1. `GET /api/v1/join/identity?nonce=…` → `JoinIdentity`. The orchestrator compares SHA-256 of the root key with the hash in its
 *    token, checks the delegation and the signature, and only then
 * 2. `POST /api/v1/join` with `JoinRequest`: the token's secret travels sealed to `box_key`, so that not even a relaying
 *    man in the middle reads it; `proof` shows possession of the new private key.
 *    Joining by password instead carries `Authorization: Bearer <administrator's token>` and no token fields.
 */
import { type Static, Type } from 'typebox';
import { Delegation } from './link.ts';

export const JOIN_IDENTITY_PATH = '/api/v1/join/identity';
export const JOIN_PATH = '/api/v1/join';

const Key = Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' });
const Sig = Type.String({ pattern: '^[A-Za-z0-9_-]{86}$' });
const Name = Type.String({ minLength: 1, maxLength: 128 });

export const JoinIdentity = Type.Object({
  root_key: Key,
  delegation: Delegation,
  /** X25519 public key, base64url of 32 bytes; made anew at each start of the manager. */
  box_key: Key,
  /** By the signing key over `joinIdentityText`. */
  sig: Sig,
});
export type JoinIdentity = Static<typeof JoinIdentity>;
export const joinIdentityText = (nonce: string, boxKey: string): string =>
  `muster.join-identity.v1\n${nonce}\n${boxKey}`;

export const JoinRequest = Type.Object({
  token_id: Type.Optional(Name),
  /** The token's secret, sealed to `box_key` with the context `joinSealContext`. */
  sealed_secret: Type.Optional(Type.String({ maxLength: 1024 })),
  box_key: Key,
  agent_id: Name,
  public_key: Key,
  /** By the joining key over `joinProofText`. */
  proof: Sig,
  container_name: Name,
  host_address: Type.String({ maxLength: 255 }),
  api_port: Type.Integer({ minimum: 0, maximum: 65535 }),
  capabilities: Type.Array(Type.String({ maxLength: 128 }), { maxItems: 200 }),
  max_agents: Type.Integer({ minimum: 0, maximum: 100_000 }),
  resources: Type.Record(Type.String(), Type.Unknown()),
  metadata: Type.Record(Type.String(), Type.Unknown()),
});
export type JoinRequest = Static<typeof JoinRequest>;
export const joinSealContext = (tokenId: string, publicKey: string): string =>
  `muster.join-secret.v1\n${tokenId}\n${publicKey}`;
export const joinProofText = (
  boxKey: string,
  agentId: string,
  publicKey: string,
  tokenId: string | undefined,
): string => `muster.join-proof.v1\n${boxKey}\n${agentId}\n${publicKey}\n${tokenId ?? '-'}`;

export const JoinAnswer = Type.Object({
  orchestrator_id: Name,
  customer_id: Name,
  root_key: Key,
  delegation: Delegation,
  rejoined: Type.Boolean(),
});
export type JoinAnswer = Static<typeof JoinAnswer>;
