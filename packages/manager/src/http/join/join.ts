/**
 * Joining: an orchestrator gets its identity, once. See the contract's `join.ts` for the two steps and why they are two.
 *
 * Proof of the new key and the sealed secret are checked here; whether the token is good, the machine decides, in one record
 * with the enrolment. Failures are limited by address.
 */
import {
  JOIN_IDENTITY_PATH,
  JOIN_PATH,
  JoinAnswer,
  JoinIdentity,
  JoinRequest,
  joinIdentityText,
  joinProofText,
  joinSealContext,
  MusterError,
} from '@muster/contract';
import type { Actor, ManagerCommand, OrchestratorFields } from '@muster/core/manager';
import { joinSecretHash, open, sign, verify } from '@muster/runtime';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { mayComeFrom } from '../../auth/addresses.ts';
import { callerOf, includesRole } from '../../auth/callers.ts';
import { isLoopback } from '../../config.ts';
import type { Services } from '../../services.ts';
import type { App } from '../app.ts';
import { tooMany } from '../problems.ts';

const tags = ['joining'];
const config = { access: 'public' } as const;
const IdentityQuery = Type.Object({ nonce: Type.String({ minLength: 16, maxLength: 128 }) });
const strangerActor: Actor = { id: 'joining', role: 'viewer', customerId: null };

export function registerJoin(app: App, services: Services): void {
  const { identity, engine } = services;
  const first = {
    tags,
    summary: 'Who this manager is, signed over a nonce',
    querystring: IdentityQuery,
    response: { 200: JoinIdentity },
  };
  app.get(JOIN_IDENTITY_PATH, { config, schema: first }, (request) => {
    refuseStrangers(services, request);
    const boxKey = identity.box.publicKeyText;
    return {
      root_key: identity.rootKey,
      delegation: identity.delegation,
      box_key: boxKey,
      sig: sign(identity.signing, joinIdentityText(request.query.nonce, boxKey)),
    };
  });
  const second = {
    tags,
    summary: "Join with a token, or by an administrator's sign-in",
    body: JoinRequest,
    response: { 200: JoinAnswer },
  };
  app.post(JOIN_PATH, { config, schema: second }, async (request) => {
    refuseStrangers(services, request);
    const { mono } = engine.clock.now();
    const account = `join ${request.body.token_id ?? 'password'}`;
    const waitMs = services.joinLimiter.begin(account, request.ip, mono);
    if (waitMs > 0) throw tooMany(waitMs);
    let value: Readonly<Record<string, unknown>> | undefined;
    try {
      const { actor, command } = await enrolmentOf(services, request.body, request);
      value = await engine.command(actor, command);
    } finally {
      services.joinLimiter.end(account, request.ip, mono, value !== undefined);
    }
    return {
      orchestrator_id: String(value['orchestratorId']),
      customer_id: String(value['customerId']),
      root_key: identity.rootKey,
      delegation: identity.delegation,
      rejoined: value['rejoined'] === true,
    };
  });
}

/** ENABLE_DISTRIBUTED=false: this machine's own orchestrators only. */
function refuseStrangers({ settings }: Services, request: FastifyRequest): void {
  if (settings.distributed || isLoopback(request.ip)) return;
  throw new MusterError(
    'joining-disabled',
    'ENABLE_DISTRIBUTED is false on this manager: only orchestrators on its own machine may join.',
  );
}

type Enrolment = Extract<ManagerCommand, { kind: 'enrol' }>;

async function enrolmentOf(
  services: Services,
  body: JoinRequest,
  request: FastifyRequest,
): Promise<{ actor: Actor; command: Enrolment }> {
  const { identity, engine } = services;
  const { box } = identity;
  if (body.box_key !== box.publicKeyText) {
    throw new MusterError(
      'conflict',
      'The manager has been restarted meanwhile. Ask for its identity again, then join.',
    );
  }
  const text = joinProofText(body.box_key, body.agent_id, body.public_key, body.token_id);
  if (!verify(body.public_key, text, body.proof))
    throw new MusterError('link-proof', 'The proof was not made with the joining key.');
  const base = {
    kind: 'enrol',
    agentId: body.agent_id,
    publicKey: body.public_key,
    fields: fieldsOf(body),
  } as const;
  if (body.token_id === undefined) {
    const actor = await administratorOf(services, request);
    return { actor, command: { ...base, method: 'password', tokenId: null, secretHash: null } };
  }
  const { facts } = engine.machine;
  const customerId = facts.joinTokens.get(body.token_id)?.customerId ?? null;
  if (!mayComeFrom(facts, customerId, request.ip)) {
    throw new MusterError(
      'address-not-allowed',
      `Your address ${request.ip} may not join for this customer.`,
    );
  }
  const secret = open(body.sealed_secret ?? '', box, joinSealContext(body.token_id, body.public_key));
  if (secret === null)
    throw new MusterError(
      'join-token-invalid',
      'The secret of the join token could not be opened. Ask the vendor for a new token.',
    );
  return {
    actor: strangerActor,
    command: { ...base, method: 'token', tokenId: body.token_id, secretHash: joinSecretHash(secret) },
  };
}

/** Joining by password: the administrator's sign-in stands in for a token, outside production. */
async function administratorOf(
  { settings, tokens, engine }: Services,
  request: FastifyRequest,
): Promise<Actor> {
  if (settings.production) throw new MusterError('password-join-refused');
  const caller = await callerOf(
    request.headers.authorization,
    tokens,
    engine.machine.facts,
    engine.clock.now().wall,
  );
  if (caller.expired) throw new MusterError('token-expired');
  if (!includesRole(caller.user.role, 'admin') || caller.user.customerId !== null) {
    throw new MusterError('forbidden', 'Joining by password needs an administrator of the whole manager.');
  }
  return caller.actor;
}

function fieldsOf(body: JoinRequest): OrchestratorFields {
  return {
    name: body.container_name,
    hostAddress: body.host_address,
    apiPort: body.api_port,
    apiEndpoint: null,
    capabilities: body.capabilities,
    maxAgents: body.max_agents,
    resources: body.resources,
    metadata: body.metadata,
  };
}
