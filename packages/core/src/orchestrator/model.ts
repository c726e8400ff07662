/**
 * The orchestrator's durable facts: the target it was last given, what the customer holds back, and the receipts not yet
 * taken by the manager. Epochs and incarnations are the keeper's (its own durable record), processes are observed. Derived from
 * journal records alone by `apply` below.
 */
import type { AgentSpec, Receipt, TargetChange, TargetEntry, Tombstone } from '@muster/contract';
import type { JournalRecord } from '../machine.ts';

export interface RecordBodies {
  /** The identity under which the manager's targets come from now on. */
  joinedAs: { orchestratorId: string };
  targetCompleted: {
    generation: number;
    revision: number;
    digest: string;
    entries: readonly TargetEntry[];
    tombstones: readonly Tombstone[];
  };
  targetChanged: { revision: number; digest: string; changes: readonly TargetChange[] };
  /** Everything a tombstone asked for is done. */
  tombstoneDone: { agentId: string; epoch: number };
  /** The state directory holds what `initialState` of this epoch asked for; from here on it is the agent's own. */
  stateInstalled: { agentId: string; epoch: number };
  receiptIssued: { receipt: Receipt };
  receiptsTaken: { orderIds: readonly string[] };
  /** The customer's own stop. `agentId` null: everything. */
  held: { agentId: string | null; by: string; reason: string };
  holdLifted: { agentId: string | null; by: string };
  /** An agent the customer's operator deployed here himself. */
  localDeployed: { agentId: string; epoch: number; spec: AgentSpec; by: string };
  localRemoved: { agentId: string; by: string };
}
export type RecordKind = keyof RecordBodies;
export type OrchestratorRecord = {
  [K in RecordKind]: { readonly kind: K; readonly at: number; readonly body: RecordBodies[K] };
}[RecordKind];

export interface Hold {
  readonly by: string;
  readonly reason: string;
  readonly at: number;
}

export interface OrchestratorFacts {
  /** Identity the target belongs to; empty: none was ever welcomed. */
  owner: string;
  generation: number;
  revision: number;
  digest: string;
  readonly entries: Map<string, TargetEntry>;
  readonly tombstones: Map<string, Tombstone>;
  readonly local: Map<string, TargetEntry>;
  /** Epoch whose initial state is installed, by agent. */
  readonly installed: Map<string, number>;
  /**
   * Latest order of each agent that has its receipt, oldest first. Outlives the agent's entry: the manager may send a
   * tombstone again until it knows that it was seen, and one order gets one receipt.
   */
  readonly concluded: Map<string, string>;
  /** Receipts the manager has not acknowledged, oldest first. */
  readonly outbox: Map<string, Receipt>;
  holdAll: Hold | null;
  readonly holds: Map<string, Hold>;
}

export function emptyOrchestratorFacts(): OrchestratorFacts {
  return {
    owner: '',
    generation: 0,
    revision: 0,
    digest: '',
    entries: new Map(),
    tombstones: new Map(),
    local: new Map(),
    installed: new Map(),
    concluded: new Map(),
    outbox: new Map(),
    holdAll: null,
    holds: new Map(),
  };
}

/** An entry of a lower epoch than the known one is old news; a tombstone ends every epoch up to its own. */
function put(facts: OrchestratorFacts, entry: TargetEntry): void {
  const known = facts.entries.get(entry.agentId);
  if (known !== undefined && known.epoch > entry.epoch) return;
  facts.entries.set(entry.agentId, entry);
  const tombstone = facts.tombstones.get(entry.agentId);
  // A new placement of the same agent: the old end is done as soon as the keeper has released the old epoch, which the
  // challenge before it saw to. Its files now belong to the new epoch.
  if (tombstone !== undefined && tombstone.epoch < entry.epoch) facts.tombstones.delete(entry.agentId);
}

function bury(facts: OrchestratorFacts, tombstone: Tombstone): void {
  const known = facts.entries.get(tombstone.agentId);
  if (known !== undefined && known.epoch > tombstone.epoch) return;
  facts.entries.delete(tombstone.agentId);
  facts.tombstones.set(tombstone.agentId, tombstone);
}

const localEntry = (body: RecordBodies['localDeployed']): TargetEntry => ({
  agentId: body.agentId,
  epoch: body.epoch,
  orderId: `local-${body.agentId}-${body.epoch}`,
  want: 'run',
  restarts: 0,
  spec: body.spec,
  initialState: null,
});

/** Concluded orders of agents that are no more, kept between two complete targets. */
const CONCLUDED_KEPT = 10_000;
const isLive = (facts: OrchestratorFacts, agentId: string): boolean =>
  facts.entries.has(agentId) || facts.tombstones.has(agentId);

type Apply = { [K in RecordKind]: (facts: OrchestratorFacts, body: RecordBodies[K], at: number) => void };
const apply: Apply = {
  joinedAs(facts, body) {
    const isAnother = facts.owner !== '' && facts.owner !== body.orchestratorId;
    facts.owner = body.orchestratorId;
    if (!isAnother) return;
    // Revisions count per identity: compared with those of the old one, every target of the new one would look outdated. What
    // runs goes on (absence never deletes), and nobody is left to take the receipts of the old identity.
    facts.generation = 0;
    facts.revision = 0;
    facts.digest = '';
    facts.outbox.clear();
  },
  targetCompleted(facts, body) {
    facts.generation = body.generation;
    facts.revision = body.revision;
    facts.digest = body.digest;
    // Absence never deletes: entries that the document does not name stay.
    for (const tombstone of body.tombstones) bury(facts, tombstone);
    for (const entry of body.entries) put(facts, entry);
    // The manager's own list of what it may speak of again: other orders are over for good.
    for (const [agentId, orderId] of facts.concluded)
      if (!isLive(facts, agentId) && !facts.outbox.has(orderId)) facts.concluded.delete(agentId);
  },
  targetChanged(facts, body) {
    facts.revision = body.revision;
    facts.digest = body.digest;
    for (const change of body.changes) {
      if (change.kind === 'put') put(facts, change.entry);
      else bury(facts, change.tombstone);
    }
  },
  tombstoneDone(facts, body) {
    if (facts.tombstones.get(body.agentId)?.epoch === body.epoch) facts.tombstones.delete(body.agentId);
    if (!facts.entries.has(body.agentId)) {
      facts.installed.delete(body.agentId);
      facts.holds.delete(body.agentId);
    }
  },
  stateInstalled(facts, body) {
    facts.installed.set(body.agentId, body.epoch);
  },
  receiptIssued(facts, body) {
    const { receipt } = body;
    facts.outbox.set(receipt.orderId, receipt);
    facts.concluded.delete(receipt.agentId);
    facts.concluded.set(receipt.agentId, receipt.orderId);
    if (facts.concluded.size <= CONCLUDED_KEPT) return;
    for (const agentId of facts.concluded.keys()) {
      if (isLive(facts, agentId)) continue;
      facts.concluded.delete(agentId);
      return;
    }
  },
  receiptsTaken(facts, body) {
    for (const id of body.orderIds) facts.outbox.delete(id);
  },
  held(facts, body, at) {
    const hold = { by: body.by, reason: body.reason, at };
    if (body.agentId === null) facts.holdAll = hold;
    else facts.holds.set(body.agentId, hold);
  },
  holdLifted(facts, body) {
    if (body.agentId === null) {
      facts.holdAll = null;
      facts.holds.clear();
    } else facts.holds.delete(body.agentId);
  },
  localDeployed(facts, body) {
    facts.local.set(body.agentId, localEntry(body));
  },
  localRemoved(facts, body) {
    facts.local.delete(body.agentId);
    facts.holds.delete(body.agentId);
  },
};

export function applyOrchestratorRecord(facts: OrchestratorFacts, record: JournalRecord): void {
  const handler = apply[record.kind as RecordKind] as
    | ((facts: OrchestratorFacts, body: unknown, at: number) => void)
    | undefined;
  if (handler === undefined)
    throw new Error(`unknown record kind ${record.kind}; this journal was written by a newer version`);
  handler(facts, record.body, record.at);
}

export type OrchestratorSnapshot = { readonly v: 1 } & Readonly<Record<string, unknown>>;

const entriesOf = <V>(map: Map<string, V>): [string, V][] =>
  [...map.entries()].sort(([a], [b]) => (a < b ? -1 : 1));

export function orchestratorSnapshotOf(facts: OrchestratorFacts): OrchestratorSnapshot {
  const view = {
    v: 1,
    owner: facts.owner,
    generation: facts.generation,
    revision: facts.revision,
    digest: facts.digest,
    entries: entriesOf(facts.entries),
    tombstones: entriesOf(facts.tombstones),
    local: entriesOf(facts.local),
    installed: entriesOf(facts.installed),
    concluded: [...facts.concluded.entries()],
    outbox: [...facts.outbox.entries()],
    holdAll: facts.holdAll,
    holds: entriesOf(facts.holds),
  };
  return JSON.parse(JSON.stringify(view)) as OrchestratorSnapshot;
}

export function orchestratorFactsOf(snapshot: OrchestratorSnapshot): OrchestratorFacts {
  const view = JSON.parse(JSON.stringify(snapshot)) as Record<string, never>;
  return {
    owner: view['owner'] ?? '',
    generation: view['generation'] as never,
    revision: view['revision'] as never,
    digest: view['digest'] as never,
    entries: new Map<string, TargetEntry>(view['entries'] as never),
    tombstones: new Map<string, Tombstone>(view['tombstones'] as never),
    local: new Map<string, TargetEntry>(view['local'] as never),
    installed: new Map<string, number>(view['installed'] as never),
    concluded: new Map<string, string>(view['concluded'] as never),
    outbox: new Map<string, Receipt>(view['outbox'] as never),
    holdAll: view['holdAll'] as never,
    holds: new Map<string, Hold>(view['holds'] as never),
  };
}
