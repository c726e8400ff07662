/**
 * Joining: how this machine gets its identity, once.
 *
 * By token: the manager must first prove the root key whose hash the token carries; until it has, nothing secret leaves this
 * process. Then the token's secret goes sealed to the manager's box key. By password (compatibility): the manager's root key is
 * trusted as found, once, and pinned from then on; the caller says so in the log.
 */
import { randomBytes } from 'node:crypto';
import {
  JOIN_IDENTITY_PATH,
  JOIN_PATH,
  JoinAnswer,
  JoinIdentity,
  type JoinRequest,
  joinIdentityText,
  joinProofText,
  joinSealContext,
} from '@muster/contract';
import {
  fingerprint,
  type JoinToken,
  type Secret,
  type SigningKey,
  seal,
  sign,
  verify,
  verifyDelegation,
} from '@muster/runtime';
import type { Static, TSchema } from 'typebox';
import { Value } from 'typebox/value';
import type { Identity } from '../identity.ts';
import { detailOf, type HttpAnswer, type Transport } from './transport.ts';

const LOGIN_PATH = '/api/v1/auth/login';
/** Trying again sooner cannot help: a person has to do something. */
const HOPELESS_RETRY_MS = 5 * 60_000;

/** Joining did not work; the message says why and what to do. */
export class JoinFailed extends Error {
  override readonly name = 'JoinFailed';
  /** Do not try again before this, ms. */
  readonly retryAfterMs: number;
  constructor(message: string, retryAfterMs: number) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

export type Credential =
  | { readonly kind: 'token'; readonly token: JoinToken }
  | { readonly kind: 'password'; readonly password: Secret };

/** What the manager is told about this machine. */
export type JoinFacts = Omit<JoinRequest, 'token_id' | 'sealed_secret' | 'box_key' | 'public_key' | 'proof'>;

export interface JoinOptions {
  readonly transport: Pick<Transport, 'request'>;
  readonly credential: Credential;
  readonly key: SigningKey;
  readonly facts: JoinFacts;
  readonly nowWall: () => number;
}

/** @throws JoinFailed, Unreachable */
export async function join(options: JoinOptions): Promise<Identity> {
  const { credential, key, facts } = options;
  const manager = await askIdentity(options);
  const token = credential.kind === 'token' ? credential.token : null;
  const request: JoinRequest = {
    ...facts,
    ...(token === null
      ? {}
      : {
          token_id: token.id,
          sealed_secret: seal(token.secret, manager.box_key, joinSealContext(token.id, key.publicKeyText)),
        }),
    box_key: manager.box_key,
    public_key: key.publicKeyText,
    proof: sign(key, joinProofText(manager.box_key, facts.agent_id, key.publicKeyText, token?.id)),
  };
  const headers =
    credential.kind === 'password'
      ? { authorization: `Bearer ${await signIn(options, credential.password)}` }
      : {};
  const answer = await options.transport.request(JOIN_PATH, { method: 'POST', headers, body: request });
  if (answer.status !== 200) throw refusal('The manager refused the join', answer);
  const joined = checked(JoinAnswer, answer.body, 'its answer to the join is malformed');
  const delegation = verifyDelegation(manager.root_key, joined.delegation, options.nowWall());
  if (joined.root_key !== manager.root_key || !delegation.ok) {
    throw new JoinFailed(
      'The manager answered the join with another root key than it proved. Do not trust this connection.',
      HOPELESS_RETRY_MS,
    );
  }
  return {
    v: 1,
    agentId: facts.agent_id,
    orchestratorId: joined.orchestrator_id,
    customerId: joined.customer_id,
    rootKey: manager.root_key,
    delegationSerial: delegation.doc.serial,
    caHash: token?.caHash ?? null,
    joinTokenId: token?.id ?? null,
  };
}

/** The manager's keys, proved: root by the token's hash, the rest by signatures that lead to it. */
async function askIdentity({ transport, credential, nowWall }: JoinOptions): Promise<JoinIdentity> {
  const nonce = randomBytes(24).toString('base64url');
  const answer = await transport.request(`${JOIN_IDENTITY_PATH}?nonce=${nonce}`, { method: 'GET' });
  if (answer.status !== 200) throw refusal('The manager did not show its identity', answer);
  const manager = checked(
    JoinIdentity,
    answer.body,
    'it does not answer as a manager. Check CENTRAL_MANAGER_URL',
  );
  if (credential.kind === 'token' && rootHash(manager.root_key) !== credential.token.rootKeyHash) {
    throw new JoinFailed(
      'The manager at CENTRAL_MANAGER_URL is not the one this join token was made for (its root key differs), so nothing secret was sent. Check the address, or ask for a token of this manager.',
      HOPELESS_RETRY_MS,
    );
  }
  const delegation = verifyDelegation(manager.root_key, manager.delegation, nowWall());
  if (!delegation.ok) {
    const clock =
      delegation.reason === 'expired' || delegation.reason === 'not-yet-valid'
        ? ' Is the clock of this machine right?'
        : '';
    throw new JoinFailed(
      `The manager's signing key is not vouched for by its root key (${delegation.reason}).${clock}`,
      30_000,
    );
  }
  if (!verify(delegation.doc.signer, joinIdentityText(nonce, manager.box_key), manager.sig)) {
    throw new JoinFailed(
      'The manager could not prove its signing key, so nothing secret was sent.',
      HOPELESS_RETRY_MS,
    );
  }
  return manager;
}

async function signIn({ transport }: JoinOptions, password: Secret): Promise<string> {
  const body = { username: 'admin', password: password.reveal() };
  const answer = await transport.request(LOGIN_PATH, { method: 'POST', body });
  if (answer.status !== 200) throw refusal('The manager did not accept ADMIN_PASSWORD', answer);
  const { access_token: token } = (answer.body ?? {}) as { access_token?: unknown };
  if (typeof token !== 'string')
    throw new JoinFailed('The manager answered the sign-in without a token.', HOPELESS_RETRY_MS);
  return token;
}

function rootHash(rootKey: string): string | null {
  try {
    return fingerprint(rootKey);
  } catch {
    return null;
  }
}

function checked<S extends TSchema>(schema: S, value: unknown, what: string): Static<S> {
  if (Value.Check(schema, value)) return value as Static<S>;
  throw new JoinFailed(`The manager cannot be joined: ${what}.`, 30_000);
}

function refusal(what: string, answer: HttpAnswer): JoinFailed {
  const seconds = Number(answer.headers['retry-after']);
  const { retryAfterMs } = (typeof answer.body === 'object' && answer.body !== null ? answer.body : {}) as {
    retryAfterMs?: unknown;
  };
  const asked =
    typeof retryAfterMs === 'number' ? retryAfterMs : Number.isFinite(seconds) ? seconds * 1000 : 0;
  const hopeless =
    answer.status >= 400 && answer.status < 500 && answer.status !== 429 && answer.status !== 409;
  const least = hopeless ? HOPELESS_RETRY_MS : answer.status === 409 ? 30_000 : 0;
  return new JoinFailed(
    `${what}: ${detailOf(answer.body) ?? `status ${answer.status}`}`,
    Math.min(3_600_000, Math.max(asked, least)),
  );
}
