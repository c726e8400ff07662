/**
 * Facts ⇄ canonical JSON. Used for the journal's snapshots, for digests and by the checkers. Maps become arrays in the order
 * of their keys; the recent changes of targets are left out (a complete target document makes up for them).
 */
import type { Facts, Orchestrator } from './model.ts';
import { emptyFacts } from './model.ts';

export type ManagerSnapshot = { readonly v: 1 } & Readonly<Record<string, unknown>>;

const byKey = <V>(map: Map<string, V>): V[] =>
  [...map.entries()].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, value]) => value);

/** A deep, alias-free, JSON-safe copy of the facts. */
export function snapshotOf(facts: Facts): ManagerSnapshot {
  const view = {
    v: 1,
    generation: facts.generation,
    incarnation: facts.incarnation,
    placements: facts.placements,
    customers: byKey(facts.customers),
    users: byKey(facts.users),
    joinTokens: byKey(facts.joinTokens),
    agentTypes: byKey(facts.agentTypes),
    orchestrators: byKey(facts.orchestrators).map((orchestrator) => ({
      ...orchestrator,
      target: {
        revision: orchestrator.target.revision,
        digest: orchestrator.target.digest,
        entries: byKey(orchestrator.target.entries),
        tombstones: byKey(orchestrator.target.tombstones),
      },
    })),
    agents: byKey(facts.agents),
    // Insertion order: the oldest is dropped first.
    orders: [...facts.orders.values()],
  };
  return JSON.parse(JSON.stringify(view)) as ManagerSnapshot;
}

/** The facts a snapshot was made of. */
export function factsOf(snapshot: ManagerSnapshot): Facts {
  const view = JSON.parse(JSON.stringify(snapshot)) as Record<string, unknown>;
  const facts = emptyFacts();
  facts.generation = view['generation'] as number;
  facts.incarnation = view['incarnation'] as number;
  facts.placements = view['placements'] as number;
  const fill = <V>(map: Map<string, V>, list: unknown, key: (value: V) => string): void => {
    for (const value of list as V[]) map.set(key(value), value);
  };
  fill(facts.customers, view['customers'], (customer) => customer.id);
  fill(facts.users, view['users'], (user) => user.id);
  fill(facts.joinTokens, view['joinTokens'], (token) => token.id);
  fill(facts.agentTypes, view['agentTypes'], (recipe) => recipe.type);
  fill(facts.agents, view['agents'], (agent) => agent.id);
  fill(facts.orders, view['orders'], (order) => order.id);
  for (const plain of view['orchestrators'] as (Omit<Orchestrator, 'target'> & {
    target: Record<string, unknown>;
  })[]) {
    const { revision, digest, entries, tombstones } = plain.target as never as {
      revision: number;
      digest: string;
      entries: { agentId: string }[];
      tombstones: { agentId: string }[];
    };
    const target = { revision, digest, entries: new Map(), tombstones: new Map(), recent: [] };
    for (const entry of entries) target.entries.set(entry.agentId, entry);
    for (const tombstone of tombstones) target.tombstones.set(tombstone.agentId, tombstone);
    facts.orchestrators.set(plain.id, { ...plain, target } as Orchestrator);
  }
  return facts;
}
