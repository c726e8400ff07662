/** Join tokens: made, listed, revoked. The token itself is shown once, when it is made; only its hash is kept. */
import { randomBytes } from 'node:crypto';
import {
  DEFAULT_CUSTOMER,
  DoneAnswer,
  JoinTokenAnswer,
  JoinTokenCreated,
  JoinTokenRequest,
  MusterError,
} from '@muster/contract';
import type { JoinToken } from '@muster/core/manager';
import { base32, createJoinSecret, encodeJoinToken, joinSecretHash } from '@muster/runtime';
import { Type } from 'typebox';
import { sees } from '../../auth/callers.ts';
import type { Services } from '../../services.ts';
import { isoTime, isoTimeOrNull } from '../../views/containers.ts';
import { type App, callerIn } from '../app.ts';
import { findCustomer, IdParams } from '../lookup.ts';

const tags = ['administration'];
const PATH = '/api/v1/cluster/join-tokens';

export function registerJoinTokens(app: App, services: Services): void {
  const { engine } = services;
  const { facts } = engine.machine;
  const answerOf = (token: JoinToken): JoinTokenAnswer => joinTokenOf(token, engine.clock.now().wall);
  app.get(
    PATH,
    {
      config: { access: 'operator' },
      schema: { tags, summary: 'List join tokens', response: { 200: Type.Array(JoinTokenAnswer) } },
    },
    (request) => {
      const { actor } = callerIn(request);
      return [...facts.joinTokens.values()].filter((token) => sees(actor, token.customerId)).map(answerOf);
    },
  );
  const create = {
    tags,
    summary: 'Make a join token',
    body: JoinTokenRequest,
    response: { 200: JoinTokenCreated },
  };
  app.post(PATH, { config: { access: 'operator' }, schema: create }, async (request) => {
    const { actor } = callerIn(request);
    const { body } = request;
    const customer = findCustomer(
      engine.machine,
      actor,
      body.customer_id ?? actor.customerId ?? DEFAULT_CUSTOMER,
    );
    const secret = createJoinSecret();
    const id = base32(randomBytes(8));
    const { rootKeyHash } = services.identity;
    const token = encodeJoinToken({
      customer: customer.id,
      id,
      rootKeyHash,
      caHash: services.caHash,
      secret,
    });
    await engine.command(actor, {
      kind: 'createJoinToken',
      id,
      customerId: customer.id,
      name: body.name ?? null,
      secretHash: joinSecretHash(secret),
      expiresAt: engine.clock.now().wall + (body.expires_in ?? 86_400) * 1000,
    });
    const kept = facts.joinTokens.get(id);
    if (kept === undefined) throw new MusterError('conflict', 'The token was removed at once.');
    return {
      ...answerOf(kept),
      token,
      command: joinCommand(request.protocol, request.host, body.name ?? null),
    };
  });
  const revoke = {
    tags,
    summary: 'Revoke a join token that was not used',
    params: IdParams,
    response: { 200: DoneAnswer },
  };
  app.delete(`${PATH}/:id`, { config: { access: 'operator' }, schema: revoke }, async (request) => {
    await engine.command(callerIn(request).actor, { kind: 'revokeJoinToken', id: request.params.id });
    return { success: true as const, message: `Join token ${request.params.id} is revoked.` };
  });
}

/**
 * What to type on the customer's machine. The token is not part of it: a command line ends up in the shell's history and
 * is seen by others. It goes into a file that only its owner reads.
 */
function joinCommand(protocol: string, host: string, name: string | null): string {
  const manager = /^[A-Za-z0-9.:[\]-]{1,255}$/.test(host) ? host : '<manager>';
  const id = name !== null && /^[A-Za-z0-9._-]+$/.test(name) ? ` AGENT_ID=${name}` : '';
  return `JOIN_TOKEN_FILE=./join-token CENTRAL_MANAGER_URL=${protocol}://${manager}${id} npx muster orchestrator`;
}

function joinTokenOf(token: JoinToken, nowWall: number): JoinTokenAnswer {
  const status =
    token.usedBy !== null
      ? 'used'
      : token.revokedAt !== null
        ? 'revoked'
        : nowWall >= token.expiresAt
          ? 'expired'
          : 'usable';
  return {
    id: token.id,
    customer_id: token.customerId,
    name: token.name,
    status,
    created_at: isoTime(token.createdAt),
    created_by: token.createdBy,
    expires_at: isoTime(token.expiresAt),
    used_at: isoTimeOrNull(token.usedAt),
    used_by: token.usedBy,
    revoked_at: isoTimeOrNull(token.revokedAt),
  };
}
