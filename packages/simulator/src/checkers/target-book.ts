/**
 * The checkers' own book of what the manager's journal says each orchestrator should run, revision by revision. Written from
 * the records alone and apart from the ledger under test, so that the two can be held against each other.
 */
import { canonicalJson } from '@muster/core';
import type { ManagerRecord } from '../machines.ts';

interface Entry {
  readonly agentId: string;
  readonly epoch: number;
  readonly orderId: string;
  readonly want: 'run' | 'closing';
  readonly restarts: number;
  readonly spec: unknown;
  readonly initialState: unknown;
}
interface Grave {
  readonly agentId: string;
  readonly epoch: number;
  readonly orderId: string;
  readonly purge: boolean;
}
export interface Change {
  readonly put: Entry | null;
  readonly grave: Grave | null;
}

export class TargetBook {
  readonly #specs = new Map<string, unknown>();
  readonly #holder = new Map<string, string>();
  /** Per orchestrator, the change that made each revision; revision 1 is the first item. */
  readonly #changes = new Map<string, Change[]>();
  readonly #entries = new Map<string, Map<string, Entry>>();

  read(record: ManagerRecord): void {
    switch (record.kind) {
      case 'agentDeployed':
        this.#specs.set(record.body.id, record.body.spec);
        return;
      case 'agentPlaced': {
        const { agentId, epoch, orderId, orchestratorId, initialState } = record.body;
        this.#holder.set(agentId, orchestratorId);
        const spec = this.#specs.get(agentId);
        return this.#put(agentId, { agentId, epoch, orderId, want: 'run', restarts: 0, spec, initialState });
      }
      case 'agentRestartOrdered': {
        const entry = this.#entryOf(record.body.agentId);
        return this.#put(record.body.agentId, {
          ...entry,
          orderId: record.body.orderId,
          restarts: entry.restarts + 1,
        });
      }
      case 'placementClosing': {
        const entry = this.#entryOf(record.body.agentId);
        return this.#put(record.body.agentId, { ...entry, orderId: record.body.orderId, want: 'closing' });
      }
      case 'placementReleased': {
        const { agentId, epoch, orderId, purge } = record.body;
        const holder = this.#holder.get(agentId) ?? '';
        this.#holder.delete(agentId);
        this.#entriesOf(holder).delete(agentId);
        this.#changesOf(holder).push({ put: null, grave: { agentId, epoch, orderId, purge } });
        return;
      }
      default:
        return;
    }
  }

  change(orchestratorId: string, revision: number): Change | undefined {
    return this.#changesOf(orchestratorId)[revision - 1];
  }
  revision(orchestratorId: string): number {
    return this.#changesOf(orchestratorId).length;
  }

  /** Entries after a revision, as canonical text. */
  entriesAt(orchestratorId: string, revision: number): Map<string, string> {
    const entries = new Map<string, string>();
    for (const { put, grave } of this.#changesOf(orchestratorId).slice(0, revision)) {
      if (put !== null) entries.set(put.agentId, canonicalJson(put));
      if (grave !== null) entries.delete(grave.agentId);
    }
    return entries;
  }

  #entriesOf(orchestratorId: string): Map<string, Entry> {
    const known = this.#entries.get(orchestratorId) ?? new Map<string, Entry>();
    this.#entries.set(orchestratorId, known);
    return known;
  }
  #changesOf(orchestratorId: string): Change[] {
    const known = this.#changes.get(orchestratorId) ?? [];
    this.#changes.set(orchestratorId, known);
    return known;
  }
  #entryOf(agentId: string): Entry {
    const entry = this.#entriesOf(this.#holder.get(agentId) ?? '').get(agentId);
    if (entry === undefined)
      throw new Error(`the manager's journal changes ${agentId}, which it has not placed`);
    return entry;
  }
  #put(agentId: string, entry: Entry): void {
    const holder = this.#holder.get(agentId) ?? '';
    this.#entriesOf(holder).set(agentId, entry);
    this.#changesOf(holder).push({ put: entry, grave: null });
  }
}
