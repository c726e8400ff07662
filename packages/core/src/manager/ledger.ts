/**
 * The ledger: applies journal records to the manager's facts. The only place that changes them, used alike when a decision
 * is made and when the journal is replayed, which is why replay gives the same state. Decisions are made elsewhere; this file
 * knows no rules beyond bookkeeping, and a record that contradicts the facts is a broken invariant.
 */
import type { TargetChange } from '@muster/contract';
import type { Digest } from '../machine.ts';
import { canonicalJson } from '../shared/canonical.ts';
import {
  type Agent,
  type Facts,
  ORDERS_KEPT,
  type Orchestrator,
  type OrderRecord,
  RECENT_CHANGES_KEPT,
} from './model.ts';
import type { ManagerRecord, RecordBodies, RecordKind } from './records.ts';

type Apply = { [K in RecordKind]: (facts: Facts, body: RecordBodies[K], at: number, digest: Digest) => void };

function must<T>(value: T | undefined | null, what: string): T {
  if (value === undefined || value === null) throw new Error(`ledger: ${what} does not exist`);
  return value;
}
const agentOf = (facts: Facts, id: string): Agent => must(facts.agents.get(id), `agent ${id}`);
const orchestratorOf = (facts: Facts, id: string): Orchestrator =>
  must(facts.orchestrators.get(id), `orchestrator ${id}`);

/** One step of an orchestrator's target: next revision, next link of the digest chain. */
function changeTarget(orchestrator: Orchestrator, change: TargetChange, digest: Digest): void {
  const target = orchestrator.target;
  target.revision += 1;
  target.digest = nextTargetDigest(target.digest, change, digest);
  if (change.kind === 'put') {
    target.entries.set(change.entry.agentId, change.entry);
    target.tombstones.delete(change.entry.agentId);
  } else {
    target.entries.delete(change.tombstone.agentId);
    target.tombstones.set(change.tombstone.agentId, { ...change.tombstone, revision: target.revision });
  }
  target.recent.push({ revision: target.revision, digest: target.digest, change });
  if (target.recent.length > RECENT_CHANGES_KEPT) target.recent.shift();
}

/** The chain both sides keep: digest(previous head + canonical change). */
export function nextTargetDigest(previous: string, change: TargetChange, digest: Digest): string {
  return digest(`${previous}\n${canonicalJson(change)}`).slice(0, 64);
}

function addOrder(facts: Facts, order: OrderRecord): void {
  for (const other of supersededOrders(facts, order)) {
    other.outcome = 'superseded';
    other.detail = `superseded by ${order.id}`;
    other.concludedAt = order.at;
  }
  facts.orders.set(order.id, order);
  if (facts.orders.size > ORDERS_KEPT) {
    const oldest = facts.orders.keys().next().value;
    if (oldest !== undefined) facts.orders.delete(oldest);
  }
}

/**
 * The one earlier order of the same agent on the same machine that has no outcome yet is superseded by a newer one. Also a
 * removal: placed again before the machine saw the tombstone, it would otherwise never get its one outcome.
 */
function supersededOrders(facts: Facts, order: OrderRecord): OrderRecord[] {
  const target = facts.orchestrators.get(order.orchestratorId)?.target;
  const before = target?.entries.get(order.agentId) ?? target?.tombstones.get(order.agentId);
  const earlier = before === undefined ? undefined : facts.orders.get(before.orderId);
  return earlier !== undefined && earlier.outcome === null ? [earlier] : [];
}

const open = { outcome: null, detail: '', concludedAt: null };

const apply: Apply = {
  managerStarted(facts, body) {
    facts.incarnation = body.incarnation;
  },
  generationRaised(facts, body) {
    facts.generation = body.generation;
  },
  customerCreated(facts, body, at) {
    facts.customers.set(body.id, { id: body.id, name: body.name, createdAt: at, allowedIps: null });
  },
  customerChanged(facts, body) {
    const { id, by: _by, ...changes } = body;
    facts.customers.set(id, { ...must(facts.customers.get(id), `customer ${id}`), ...changes });
  },
  userCreated(facts, body, at) {
    const { by: _by, ...user } = body;
    facts.users.set(body.id, { ...user, createdAt: at, tokenVersion: 1 });
  },
  userChanged(facts, body) {
    const { id, by: _by, ...changes } = body;
    const user = must(facts.users.get(id), `user ${id}`);
    facts.users.set(id, { ...user, ...changes, tokenVersion: user.tokenVersion + 1 });
  },
  userRemoved(facts, body) {
    facts.users.delete(body.id);
  },
  joinTokenCreated(facts, body, at) {
    const { by, ...token } = body;
    facts.joinTokens.set(body.id, {
      ...token,
      createdAt: at,
      createdBy: by,
      usedBy: null,
      usedAt: null,
      revokedAt: null,
    });
  },
  joinTokenRevoked(facts, body, at) {
    must(facts.joinTokens.get(body.id), `join token ${body.id}`).revokedAt = at;
  },
  agentTypeRegistered(facts, body) {
    facts.agentTypes.set(body.recipe.type, body.recipe);
  },
  orchestratorEnrolled(facts, body, at) {
    facts.orchestrators.set(body.id, {
      id: body.id,
      customerId: body.customerId,
      agentId: body.agentId,
      link: body.link,
      registeredAt: at,
      publicKey: body.publicKey,
      subject: body.subject,
      ...body.fields,
      draining: false,
      connectedAt: body.link === 'direct' ? at : null,
      deregisteredAt: null,
      lastPlacedSeq: 0,
      target: { revision: 0, digest: '', entries: new Map(), tombstones: new Map(), recent: [] },
    });
    useToken(facts, body.tokenId, body.id, at);
  },
  orchestratorRejoined(facts, body, at) {
    const orchestrator = orchestratorOf(facts, body.id);
    if (orchestrator.publicKey !== body.publicKey) forgetLostData(facts, orchestrator, at);
    Object.assign(orchestrator, body.fields, {
      publicKey: body.publicKey,
      subject: body.subject,
      deregisteredAt: null,
    });
    useToken(facts, body.tokenId, body.id, at);
  },
  orchestratorFirstSeen(facts, body, at) {
    orchestratorOf(facts, body.id).connectedAt = at;
  },
  orchestratorChanged(facts, body) {
    Object.assign(orchestratorOf(facts, body.id), body.fields);
  },
  orchestratorDraining(facts, body) {
    orchestratorOf(facts, body.id).draining = body.draining;
  },
  orchestratorDeregistered(facts, body, at) {
    const orchestrator = orchestratorOf(facts, body.id);
    orchestrator.deregisteredAt = at;
    orchestrator.draining = false;
    // What only this machine had is given up with it.
    for (const agent of facts.agents.values()) if (agent.stateOnlyAt === body.id) agent.stateOnlyAt = null;
  },
  agentDeployed(facts, body, at) {
    const { by, ...agent } = body;
    facts.agents.set(body.id, {
      ...agent,
      createdAt: at,
      createdBy: by,
      desired: 'running',
      epoch: 0,
      placement: null,
      state: null,
      stateAt: null,
      stateOnlyAt: null,
      unplacedReason: '',
    });
  },
  agentPlaced(facts, body, at, digest) {
    const agent = agentOf(facts, body.agentId);
    if (agent.placement !== null) throw new Error(`ledger: ${agent.id} is placed already`);
    if (body.epoch <= agent.epoch) throw new Error(`ledger: epoch ${body.epoch} of ${agent.id} is not new`);
    const orchestrator = orchestratorOf(facts, body.orchestratorId);
    facts.placements += 1;
    orchestrator.lastPlacedSeq = facts.placements;
    agent.epoch = body.epoch;
    agent.unplacedReason = '';
    agent.stateAt = orchestrator.id;
    agent.stateOnlyAt = null;
    // Only an explicit move places a pinned agent elsewhere: the newer word is where it belongs from now on.
    if (agent.pinnedTo !== null) agent.pinnedTo = orchestrator.id;
    agent.placement = {
      orchestratorId: orchestrator.id,
      epoch: body.epoch,
      placedAt: at,
      reason: body.reason,
      phase: 'OPEN',
      closing: null,
      restarts: 0,
    };
    addOrder(facts, {
      id: body.orderId,
      orchestratorId: orchestrator.id,
      agentId: agent.id,
      epoch: body.epoch,
      what: 'run',
      at,
      by: body.by,
      ...open,
    });
    const entry = {
      agentId: agent.id,
      epoch: body.epoch,
      orderId: body.orderId,
      want: 'run' as const,
      restarts: 0,
      spec: agent.spec,
      initialState: body.initialState,
    };
    changeTarget(orchestrator, { kind: 'put', entry }, digest);
  },
  agentUnplaced(facts, body) {
    agentOf(facts, body.agentId).unplacedReason = body.reason;
  },
  agentDesired(facts, body) {
    agentOf(facts, body.agentId).desired = body.desired;
  },
  agentRestartOrdered(facts, body, at, digest) {
    const agent = agentOf(facts, body.agentId);
    const placement = must(agent.placement, `placement of ${agent.id}`);
    placement.restarts += 1;
    const orchestrator = orchestratorOf(facts, placement.orchestratorId);
    addOrder(facts, {
      id: body.orderId,
      orchestratorId: orchestrator.id,
      agentId: agent.id,
      epoch: body.epoch,
      what: 'restart',
      at,
      by: body.by,
      ...open,
    });
    const entry = must(orchestrator.target.entries.get(agent.id), `target entry of ${agent.id}`);
    changeTarget(
      orchestrator,
      { kind: 'put', entry: { ...entry, orderId: body.orderId, restarts: placement.restarts } },
      digest,
    );
  },
  placementClosing(facts, body, at, digest) {
    const agent = agentOf(facts, body.agentId);
    const placement = must(agent.placement, `placement of ${agent.id}`);
    if (placement.epoch !== body.epoch)
      throw new Error(`ledger: closing epoch ${body.epoch} of ${agent.id}, open is ${placement.epoch}`);
    placement.phase = 'CLOSING';
    placement.closing = { why: body.why, then: body.then, to: body.to, keepState: body.keepState, at };
    const orchestrator = orchestratorOf(facts, placement.orchestratorId);
    addOrder(facts, {
      id: body.orderId,
      orchestratorId: orchestrator.id,
      agentId: agent.id,
      epoch: body.epoch,
      what: 'close',
      at,
      by: body.by,
      ...open,
    });
    const entry = must(orchestrator.target.entries.get(agent.id), `target entry of ${agent.id}`);
    changeTarget(
      orchestrator,
      { kind: 'put', entry: { ...entry, orderId: body.orderId, want: 'closing' } },
      digest,
    );
  },
  closingRedirected(facts, body) {
    const placement = must(agentOf(facts, body.agentId).placement, `placement of ${body.agentId}`);
    placement.closing = { ...must(placement.closing, 'closing'), then: body.then, to: body.to };
  },
  placementReleased(facts, body, at, digest) {
    const agent = agentOf(facts, body.agentId);
    const placement = must(agent.placement, `placement of ${agent.id}`);
    const orchestrator = orchestratorOf(facts, placement.orchestratorId);
    if (body.state !== null) agent.state = body.state;
    // What the machine deletes, or may never have had, is not the latest copy: the next placement there gets the manager's.
    if (body.purge || body.copyless === true) agent.stateAt = null;
    if (body.forgetState || (body.copyless === true && body.state === null)) {
      agent.state = null;
      agent.stateAt = null;
    }
    agent.stateOnlyAt = body.stranded === true ? orchestrator.id : null;
    agent.placement = null;
    const what = 'remove';
    addOrder(facts, {
      id: body.orderId,
      orchestratorId: orchestrator.id,
      agentId: agent.id,
      epoch: body.epoch,
      what,
      at,
      by: body.by,
      ...open,
    });
    const tombstone = { agentId: agent.id, epoch: body.epoch, orderId: body.orderId, purge: body.purge };
    changeTarget(orchestrator, { kind: 'remove', tombstone }, digest);
  },
  agentRemoved(facts, body) {
    facts.agents.delete(body.agentId);
  },
  tombstonesCleared(facts, body) {
    const { tombstones } = orchestratorOf(facts, body.orchestratorId).target;
    for (const [agentId, tombstone] of tombstones)
      if (tombstone.revision <= body.revision) tombstones.delete(agentId);
  },
  epochFloorRaised(facts, body) {
    const agent = agentOf(facts, body.agentId);
    agent.epoch = Math.max(agent.epoch, body.epoch);
  },
  orderConcluded(facts, body) {
    const order = facts.orders.get(body.orderId);
    if (order === undefined || order.outcome !== null) return;
    order.outcome = body.outcome;
    order.detail = body.detail;
    order.concludedAt = body.at;
  },
};

/** Another key: the data directory was lost, with every state that lay there and every receipt nobody had taken. */
function forgetLostData(facts: Facts, { id, target }: Orchestrator, at: number): void {
  for (const agent of facts.agents.values()) {
    if (agent.stateAt === id) agent.stateAt = null;
    if (agent.stateOnlyAt === id) agent.stateOnlyAt = null;
  }
  const present = new Set(
    [...target.entries.values(), ...target.tombstones.values()].map((item) => item.orderId),
  );
  for (const order of facts.orders.values()) {
    if (order.orchestratorId !== id || order.outcome !== null || present.has(order.id)) continue;
    order.outcome = 'cancelled';
    order.detail = 'the machine lost its data before its receipt was taken';
    order.concludedAt = at;
  }
}

function useToken(facts: Facts, tokenId: string | null, orchestratorId: string, at: number): void {
  if (tokenId === null) return;
  const token = must(facts.joinTokens.get(tokenId), `join token ${tokenId}`);
  if (token.usedBy !== null) throw new Error(`ledger: join token ${tokenId} used twice`);
  token.usedBy = orchestratorId;
  token.usedAt = at;
}

/** Apply one record. Throws on a record that contradicts the facts: the process must end rather than go on wrong. */
export function applyRecord(facts: Facts, record: ManagerRecord, digest: Digest): void {
  const handler = apply[record.kind] as (facts: Facts, body: unknown, at: number, digest: Digest) => void;
  if (handler === undefined)
    throw new Error(
      `ledger: unknown record kind ${record.kind}; this journal was written by a newer version`,
    );
  handler(facts, record.body, record.at, digest);
}
