/**
 * How orchestrators come and go: join tokens, enrolment, direct registration, deregistration.
 *
 * Identity is (customer, AGENT_ID). Joining again under the same identity updates the one record, never makes a second. With
 * another key it is refused while the old session lives or may live (until lost): then a new token replaces the key, keeps the
 * id, and the machine's agents keep their epochs' order because epochs never go back.
 * Using a token up and enrolling is one journal record, so one token can never enrol two machines.
 */
import { DEFAULT_CUSTOMER } from '@muster/contract';
import { canonicalJson } from '../shared/canonical.ts';
import { type Desk, done, type Refusal, refuse } from './desk.ts';
import type { Actor, CommandOf, CommandResult } from './inputs.ts';
import type { JoinToken, Orchestrator } from './model.ts';
import type { OrchestratorFields } from './records.ts';

const maySee = (actor: Actor, customerId: string): boolean =>
  actor.customerId === null || actor.customerId === customerId;

export function createJoinToken(
  desk: Desk,
  actor: Actor,
  command: CommandOf<'createJoinToken'>,
): CommandResult {
  const { kind: _kind, ...token } = command;
  if (!desk.facts.customers.has(token.customerId) || !maySee(actor, token.customerId)) {
    return refuse('not-found', `Customer ${JSON.stringify(token.customerId)} does not exist.`);
  }
  if (desk.facts.joinTokens.has(token.id))
    return refuse('conflict', 'A join token with this id exists already.');
  desk.commit('joinTokenCreated', { ...token, by: actor.id });
  return done({ id: token.id });
}

export function revokeJoinToken(
  desk: Desk,
  actor: Actor,
  command: CommandOf<'revokeJoinToken'>,
): CommandResult {
  const token = desk.facts.joinTokens.get(command.id);
  if (token === undefined || !maySee(actor, token.customerId))
    return refuse('not-found', 'No such join token.');
  if (token.usedBy !== null)
    return refuse(
      'conflict',
      `The token was used by ${token.usedBy} already; remove that orchestrator instead.`,
    );
  if (token.revokedAt === null) desk.commit('joinTokenRevoked', { id: token.id, by: actor.id });
  return done({ id: token.id });
}

/** The token a joining machine proved, or why not. All reasons but expiry and use look alike from outside. */
function usableToken(desk: Desk, command: CommandOf<'enrol'>): JoinToken | Refusal {
  const token = command.tokenId === null ? undefined : desk.facts.joinTokens.get(command.tokenId);
  if (token === undefined || token.secretHash !== command.secretHash || token.revokedAt !== null) {
    return refuse(
      'join-token-invalid',
      'The join token is unknown, mistyped or revoked. Ask the vendor for a new one.',
    );
  }
  const used = token.usedBy !== null && !desk.mutants.has('token-reused');
  if (used)
    return refuse(
      'join-token-used',
      'The join token was used already: it works once. Ask the vendor for a new one.',
    );
  if (desk.now.wall >= token.expiresAt)
    return refuse('join-token-expired', 'The join token has expired. Ask the vendor for a new one.');
  if (token.name !== null && token.name !== command.fields.name && token.name !== command.agentId) {
    return refuse(
      'join-token-invalid',
      `The join token is bound to the name ${JSON.stringify(token.name)}; this machine calls itself ${JSON.stringify(command.fields.name)}.`,
    );
  }
  return token;
}

export function enrol(desk: Desk, actor: Actor, command: CommandOf<'enrol'>): CommandResult {
  const customer = command.method === 'password' ? DEFAULT_CUSTOMER : null;
  let customerId = customer ?? '';
  let tokenId: string | null = null;
  if (command.method === 'token') {
    const token = usableToken(desk, command);
    if ('ok' in token) return token;
    customerId = token.customerId;
    tokenId = token.id;
  }
  const known = identityOf(desk, customerId, command.agentId);
  const { fields, publicKey, method } = command;
  if (known !== undefined) {
    const taken = identityTaken(desk, known, publicKey);
    if (taken !== null) return taken;
    const keyReplaced = known.publicKey !== publicKey;
    desk.commit('orchestratorRejoined', { id: known.id, publicKey, subject: null, method, tokenId, fields });
    const link = desk.presence.of(known.id)?.link;
    if (link != null) {
      desk.emit({
        kind: 'closeLink',
        link,
        code: 'session-replaced',
        detail: 'This identity has joined anew.',
        retryAfterMs: 0,
      });
    }
    desk.presence.forget(known.id);
    desk.presence.watch(known.id, desk.now);
    desk.note('warn', 'orchestrator.rejoined', { orchestratorId: known.id, name: fields.name, by: actor.id });
    desk.publish('orchestrator.rejoined', customerId, {
      container_id: known.id,
      container_name: fields.name,
    });
    return done({ orchestratorId: known.id, customerId, rejoined: true, keyReplaced });
  }
  const id = desk.random.id('orc');
  desk.commit('orchestratorEnrolled', {
    id,
    customerId,
    agentId: command.agentId,
    link: 'channel',
    publicKey,
    subject: null,
    method,
    tokenId,
    fields,
  });
  desk.presence.watch(id, desk.now);
  desk.note('info', 'orchestrator.enrolled', { orchestratorId: id, customerId, name: fields.name, method });
  desk.publish('orchestrator.registered', customerId, {
    container_id: id,
    container_name: fields.name,
    link: 'channel',
  });
  return done({ orchestratorId: id, customerId, rejoined: false });
}

function identityOf(desk: Desk, customerId: string, agentId: string): Orchestrator | undefined {
  for (const orchestrator of desk.facts.orchestrators.values()) {
    if (
      orchestrator.customerId === customerId &&
      orchestrator.agentId === agentId &&
      orchestrator.deregisteredAt === null
    )
      return orchestrator;
  }
  return undefined;
}

/** Another key under a known identity: only once the old holder is lost. The same key may always come back. */
function identityTaken(desk: Desk, known: Orchestrator, publicKey: string | null): Refusal | null {
  if (known.publicKey === publicKey) return null;
  const reachability = desk.presence.of(known.id)?.reachability ?? 'lost';
  if (reachability === 'lost') return null;
  desk.note('error', 'orchestrator.identity-refused', { orchestratorId: known.id, agentId: known.agentId });
  desk.publish('orchestrator.identity-refused', known.customerId, {
    container_id: known.id,
    container_name: known.name,
  });
  return refuse(
    'identity-taken',
    `AGENT_ID ${JSON.stringify(known.agentId)} belongs to another key, and that machine is not lost yet. Use another AGENT_ID, or wait until it is shown as lost.`,
  );
}

export function registerDirect(
  desk: Desk,
  _actor: Actor,
  command: CommandOf<'registerDirect'>,
): CommandResult {
  const { fields, subject } = command;
  const known = identityOf(desk, DEFAULT_CUSTOMER, command.agentId);
  if (known !== undefined) {
    if (known.link !== 'direct')
      return refuse(
        'identity-taken',
        `${JSON.stringify(fields.name)} is attached by a channel link; a direct program needs another name.`,
      );
    desk.commit('orchestratorRejoined', {
      id: known.id,
      publicKey: null,
      subject,
      method: 'direct',
      tokenId: null,
      fields,
    });
    touchDirect(desk, known.id);
    return done({ orchestratorId: known.id, rejoined: true });
  }
  const id = desk.random.id('orc');
  desk.commit('orchestratorEnrolled', {
    id,
    customerId: DEFAULT_CUSTOMER,
    agentId: command.agentId,
    link: 'direct',
    publicKey: null,
    subject,
    method: 'direct',
    tokenId: null,
    fields,
  });
  touchDirect(desk, id);
  desk.note('info', 'orchestrator.registered', { orchestratorId: id, name: fields.name, link: 'direct' });
  desk.publish('orchestrator.registered', DEFAULT_CUSTOMER, {
    container_id: id,
    container_name: fields.name,
    link: 'direct',
  });
  return done({ orchestratorId: id, rejoined: false });
}

/** Beat interval assumed for direct programs until theirs is seen, ms. */
const DIRECT_BEAT_INTERVAL_MS = 30_000;

/** Beats merge into what is known of a program; more members than this are not kept. */
const FACTS_LIMIT = 256;

function touchDirect(desk: Desk, id: string): void {
  const present = desk.presence.watch(id, desk.now, DIRECT_BEAT_INTERVAL_MS);
  desk.presence.seen(present, desk.now);
}

export function directBeat(desk: Desk, _actor: Actor, command: CommandOf<'directBeat'>): CommandResult {
  const orchestrator = desk.facts.orchestrators.get(command.orchestratorId);
  if (orchestrator === undefined || orchestrator.deregisteredAt !== null || orchestrator.link !== 'direct') {
    return refuse('not-found', 'This container is not registered: register it first.');
  }
  const present = desk.presence.watch(orchestrator.id, desk.now, DIRECT_BEAT_INTERVAL_MS);
  for (const name of ['resources', 'metadata'] as const) {
    if (Object.keys({ ...present[name], ...command[name] }).length <= FACTS_LIMIT) continue;
    const message = `must not have more than ${FACTS_LIMIT} members over all beats`;
    return refuse('validation', `${name} ${message}.`, { errors: [{ path: `/${name}`, message }] });
  }
  const change = desk.presence.seenDirect(present, desk.now);
  present.health = command.health;
  present.activeAgents = command.activeAgents;
  Object.assign(present.resources, command.resources);
  Object.assign(present.metadata, command.metadata);
  if (change !== null) publishReachability(desk, orchestrator, change);
  return done({ status: 'acknowledged' });
}

export function publishReachability(desk: Desk, orchestrator: Orchestrator, reachability: string): void {
  const level = reachability === 'lost' || reachability === 'disconnected' ? 'warn' : 'info';
  desk.note(level, `orchestrator.${reachability}`, {
    orchestratorId: orchestrator.id,
    name: orchestrator.name,
  });
  desk.publish('orchestrator.status', orchestrator.customerId, {
    container_id: orchestrator.id,
    container_name: orchestrator.name,
    reachability,
  });
}

/** Merge what a channel orchestrator says of itself; one record when something that lasts has changed. */
export function updateFields(desk: Desk, orchestrator: Orchestrator, fields: OrchestratorFields): void {
  const present: OrchestratorFields = {
    name: orchestrator.name,
    hostAddress: orchestrator.hostAddress,
    apiPort: orchestrator.apiPort,
    apiEndpoint: orchestrator.apiEndpoint,
    capabilities: orchestrator.capabilities,
    maxAgents: orchestrator.maxAgents,
    resources: orchestrator.resources,
    metadata: orchestrator.metadata,
  };
  if (canonicalJson(present) !== canonicalJson(fields))
    desk.commit('orchestratorChanged', { id: orchestrator.id, fields });
}
