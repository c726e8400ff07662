/**
 * What an orchestrator holds as its target at revision r is exactly what the manager's journal says for revision r; it changes
 * by the manager's documents alone and never goes back. Each side's durable records are compared through an independent book.
 */
import { canonicalJson } from '@muster/core';
import type { Host } from '../host.ts';
import type { Observer } from '../observer.ts';
import type { World } from '../world.ts';
import { TargetBook } from './target-book.ts';

interface Held {
  revision: number;
  readonly entries: Map<string, string>;
}

export function desiredHasOneWriter(world: World): Observer {
  const property = 'desired-has-one-writer';
  const book = new TargetBook();
  const held = new WeakMap<Host, Held>();
  const heldBy = (host: Host): Held => {
    const known = held.get(host) ?? { revision: 0, entries: new Map() };
    held.set(host, known);
    return known;
  };
  const compare = (host: Host, state: Held): void => {
    const orchestratorId = host.identity?.orchestratorId ?? '';
    const right = book.entriesAt(orchestratorId, state.revision);
    for (const agentId of new Set([...right.keys(), ...state.entries.keys()])) {
      if (right.get(agentId) === state.entries.get(agentId)) continue;
      world.fail(
        property,
        `${host.name} at revision ${state.revision} holds for ${agentId} ${state.entries.get(agentId) ?? 'nothing'}; the manager's journal says ${right.get(agentId) ?? 'nothing'}`,
      );
    }
  };
  return {
    property,
    managerDurable(records) {
      for (const record of records) book.read(record);
    },
    orchestratorDurable(host, records) {
      const state = heldBy(host);
      for (const record of records) {
        if (record.kind !== 'targetCompleted' && record.kind !== 'targetChanged') continue;
        const { revision } = record.body;
        if (revision < state.revision)
          world.fail(property, `${host.name} goes back from revision ${state.revision} to ${revision}`);
        state.revision = revision;
        if (record.kind === 'targetCompleted') {
          const named = new Set(
            [...record.body.entries, ...record.body.tombstones].map(({ agentId }) => agentId),
          );
          for (const agentId of named) state.entries.delete(agentId);
          for (const entry of record.body.entries) state.entries.set(entry.agentId, canonicalJson(entry));
        } else {
          for (const change of record.body.changes) {
            if (change.kind === 'put') state.entries.set(change.entry.agentId, canonicalJson(change.entry));
            else state.entries.delete(change.tombstone.agentId);
          }
        }
        compare(host, state);
      }
    },
    hostWiped(host) {
      held.delete(host);
    },
    inspect(fleet) {
      for (const host of fleet.hosts) {
        const facts = host.daemon?.machine.facts;
        if (facts === undefined || host.disk.hasUndurable) continue;
        const state = heldBy(host);
        const present = new Map([...facts.entries].map(([id, entry]) => [id, canonicalJson(entry)]));
        const same = facts.revision === state.revision && present.size === state.entries.size;
        const equal = same && [...present].every(([id, text]) => state.entries.get(id) === text);
        if (!equal)
          world.fail(
            property,
            `${host.name}: what it holds at revision ${facts.revision} is not what its documents said`,
          );
      }
    },
  };
}
