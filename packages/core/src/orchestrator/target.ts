/**
 * The manager's documents and what becomes of its orders. A document of an older generation or revision changes nothing, a
 * gap in the chain asks for a complete one, absence never deletes. Every order gets exactly one receipt.
 */
import type { Receipt, ReceiptOutcome, StopQuery, TargetDocument } from '@muster/contract';
import { nextTargetDigest } from '../manager/ledger.ts';
import { type OrchestratorDesk, touch } from './desk.ts';
import type { LocalAgent } from './local-agent.ts';

export function onTarget(desk: OrchestratorDesk, target: TargetDocument): void {
  const { facts } = desk;
  const before = new Map(facts.entries);
  const graves = new Map(facts.tombstones);
  const refusal = target.kind === 'complete' ? takeComplete(desk, target) : takeIncremental(desk, target);
  if (refusal !== null) {
    desk.note('warn', 'target.refused', { reason: refusal, revision: target.revision });
    desk.emit({ kind: 'send', frame: { t: 'targetGap', revision: facts.revision, reason: refusal } });
    return;
  }
  for (const [id, entry] of before) supersede(desk, id, entry.orderId);
  for (const [id, tombstone] of graves) supersede(desk, id, tombstone.orderId);
  for (const id of new Set([...facts.entries.keys(), ...facts.tombstones.keys(), ...before.keys()])) {
    const agent = touch(desk, id);
    const entry = facts.entries.get(id);
    if (entry === undefined) continue;
    if (entry.epoch > (before.get(id)?.epoch ?? 0)) freshEpoch(agent);
    else if (entry.restarts > (before.get(id)?.restarts ?? 0)) agent.notBefore = 0;
    concludeRun(desk, agent);
  }
  desk.link.synced(facts, desk.emit);
}

function takeComplete(
  desk: OrchestratorDesk,
  target: Extract<TargetDocument, { kind: 'complete' }>,
): string | null {
  const { facts } = desk;
  if (target.generation < facts.generation && !desk.mutants.has('old-generation-accepted'))
    return 'older-generation';
  if (target.generation === facts.generation && target.revision < facts.revision) return 'older-revision';
  const { generation, revision, digest, entries, tombstones } = target;
  const named = new Set([...entries, ...tombstones].map((item) => item.agentId));
  for (const id of facts.entries.keys())
    if (!named.has(id)) desk.note('warn', 'target.absent-entry', { agentId: id });
  if (desk.mutants.has('absence-deletes'))
    for (const id of facts.entries.keys()) if (!named.has(id)) facts.entries.delete(id);
  desk.commit('targetCompleted', { generation, revision, digest, entries, tombstones });
  return null;
}

function takeIncremental(
  desk: OrchestratorDesk,
  target: Extract<TargetDocument, { kind: 'incremental' }>,
): string | null {
  const { facts } = desk;
  if (target.generation < facts.generation) return 'older-generation';
  const fits =
    target.generation === facts.generation &&
    target.base === facts.revision &&
    target.baseDigest === facts.digest;
  if (!fits) return 'base-differs';
  let head = facts.digest;
  for (const change of target.changes) head = nextTargetDigest(head, change, desk.digest);
  if (head !== target.digest) return 'digest-differs';
  desk.commit('targetChanged', { revision: target.revision, digest: target.digest, changes: target.changes });
  return null;
}

function freshEpoch(agent: LocalAgent): void {
  agent.failures = 0;
  agent.crashes = 0;
  agent.notBefore = 0;
  agent.blocked = null;
}

/** An order that was replaced before it had an outcome ends as superseded. */
function supersede(desk: OrchestratorDesk, agentId: string, orderId: string): void {
  const { facts } = desk;
  const current = facts.entries.get(agentId)?.orderId ?? facts.tombstones.get(agentId)?.orderId;
  if (current === orderId || current === undefined) return;
  if (facts.concluded.get(agentId) === orderId || facts.outbox.has(orderId)) return;
  const epoch = facts.entries.get(agentId)?.epoch ?? 0;
  conclude(desk, { agentId, orderId, epoch }, 'superseded', `superseded by ${current}`);
}

/** A run or restart order has succeeded once a process that satisfies it runs. */
export function concludeRun(desk: OrchestratorDesk, agent: LocalAgent): void {
  const entry = desk.facts.entries.get(agent.id);
  if (entry === undefined || entry.want !== 'run' || agent.process === null) return;
  if (agent.process.epoch !== entry.epoch || agent.process.restarts < entry.restarts) return;
  if (desk.facts.concluded.get(agent.id) === entry.orderId) return;
  conclude(desk, entry, 'succeeded', `runs as pid ${agent.process.pid ?? 'unknown'}`);
}

export function conclude(
  desk: OrchestratorDesk,
  order: { readonly agentId: string; readonly orderId: string; readonly epoch: number },
  outcome: ReceiptOutcome,
  detail: string,
): void {
  const { agentId, orderId, epoch } = order;
  // What the operator deployed himself was ordered by nobody.
  if (desk.facts.local.has(agentId)) return;
  // One order, one receipt: a tombstone that was sent again is done again, a started agent may fail later.
  if (desk.facts.concluded.get(agentId) === orderId && !desk.mutants.has('receipt-repeated')) return;
  const { orchestratorId } = desk;
  const receipt: Receipt = {
    orderId,
    orchestratorId,
    agentId,
    epoch,
    outcome,
    detail: detail.slice(0, 1000),
    at: desk.now.wall,
  };
  desk.commit('receiptIssued', { receipt });
  desk.link.issued(receipt);
}

export function onChallenge(desk: OrchestratorDesk, challenge: StopQuery): void {
  const agent = touch(desk, challenge.agentId);
  const { epoch, query } = challenge;
  if (desk.mutants.has('stopped-before-dead')) {
    desk.emit({
      kind: 'send',
      frame: { t: 'stopped', agentId: agent.id, epoch, query, state: null, stateError: null },
    });
    return;
  }
  agent.challenge = { epoch, query };
}

/** Everything the tombstone asked for is done. */
export function buried(desk: OrchestratorDesk, agent: LocalAgent): void {
  const tombstone = desk.facts.tombstones.get(agent.id);
  if (tombstone === undefined) return;
  desk.commit('tombstoneDone', { agentId: agent.id, epoch: tombstone.epoch });
  conclude(desk, tombstone, 'succeeded', tombstone.purge ? 'removed with its state' : 'removed, state kept');
  touch(desk, agent.id);
}
