/**
 * The orchestrator machine: keeps what runs here equal to what should run here.
 *
 * It holds the target on disk and reconciles against the keeper's processes, with the manager or without. Order of a session:
 * link up → full report (once the keeper has answered) → target → acknowledged. Stops for good happen only on a challenge (R8)
 * or a tombstone, and are answered only after the keeper has durably released the epoch. The parts: `target.ts` (documents,
 * receipts), `processes.ts` (what the keeper tells), `steps.ts` (what to do next), `local-commands.ts`, `link.ts` (the session).
 */
import type { AgentReport, TargetEntry } from '@muster/contract';
import type { Digest, JournalRecord, Machine, Now, Random } from '../machine.ts';
import { entryOf, type OrchestratorDesk } from './desk.ts';
import type { OrchestratorEffect, OrchestratorInput } from './inputs.ts';
import { ManagerLink } from './link.ts';
import { type LocalAgent, reportOf, statusOf } from './local-agent.ts';
import { onLocal } from './local-commands.ts';
import {
  applyOrchestratorRecord,
  emptyOrchestratorFacts,
  type OrchestratorFacts,
  type OrchestratorRecord,
  type OrchestratorSnapshot,
  orchestratorFactsOf,
  orchestratorSnapshotOf,
} from './model.ts';
import { onAgent, onKeeperDown, onKeeperUp } from './processes.ts';
import { reconcile, wishOf } from './steps.ts';
import { onChallenge, onTarget } from './target.ts';

export interface OrchestratorOptions {
  readonly orchestratorId: string;
  readonly random: Random;
  readonly digest: Digest;
  /** Hard ceiling of agents on this machine. */
  readonly maxAgents: number;
  readonly snapshot?: OrchestratorSnapshot;
  /** Records after the snapshot, in order. */
  readonly records?: readonly JournalRecord[];
  readonly mutants?: ReadonlySet<string>;
}

const none: ReadonlySet<string> = new Set();

export class OrchestratorMachine
  implements Machine<OrchestratorInput, OrchestratorEffect, OrchestratorSnapshot>
{
  readonly #options: OrchestratorOptions;
  readonly #facts: OrchestratorFacts;
  readonly #agents = new Map<string, LocalAgent>();
  readonly #link: ManagerLink;
  readonly #dirty = new Set<string>();
  readonly #waiting = new Map<string, number>();
  #keeperUp = false;
  #records: OrchestratorRecord[] = [];
  #effects: OrchestratorEffect[] = [];

  constructor(options: OrchestratorOptions) {
    this.#options = options;
    this.#facts =
      options.snapshot === undefined ? emptyOrchestratorFacts() : orchestratorFactsOf(options.snapshot);
    for (const record of options.records ?? []) applyOrchestratorRecord(this.#facts, record);
    this.#link = new ManagerLink(options.random);
  }

  get facts(): OrchestratorFacts {
    return this.#facts;
  }
  get agents(): ReadonlyMap<string, LocalAgent> {
    return this.#agents;
  }
  get keeperUp(): boolean {
    return this.#keeperUp;
  }
  get link(): ManagerLink {
    return this.#link;
  }
  entryOf(agentId: string): TargetEntry | null {
    return entryOf(this.#facts, agentId);
  }

  snapshot(): OrchestratorSnapshot {
    return orchestratorSnapshotOf(this.#facts);
  }

  nextDeadline(): number {
    let next = this.#link.nextDeadline();
    for (const at of this.#waiting.values()) next = Math.min(next, at);
    return next;
  }

  step(now: Now, input: OrchestratorInput, effects: OrchestratorEffect[]): void {
    const desk = this.#desk(now);
    this.#route(desk, input);
    if (this.#keeperUp) reconcile(desk);
    this.#speak(desk);
    if (this.#records.length > 0) effects.push({ kind: 'append', records: this.#records });
    effects.push(...this.#effects);
    this.#records = [];
    this.#effects = [];
  }

  #desk(now: Now): OrchestratorDesk {
    const { random, digest, orchestratorId, maxAgents, mutants = none } = this.#options;
    return {
      now,
      facts: this.#facts,
      agents: this.#agents,
      link: this.#link,
      random,
      digest,
      orchestratorId,
      maxAgents,
      mutants,
      dirty: this.#dirty,
      waiting: this.#waiting,
      commit: (kind, body) => {
        const record = { kind, at: now.wall, body } as OrchestratorRecord;
        applyOrchestratorRecord(this.#facts, record);
        this.#records.push(record);
      },
      emit: (effect) => void this.#effects.push(effect),
      note: (level, event, fields) =>
        void this.#effects.push({ kind: 'note', note: { level, event, fields } }),
    };
  }

  #route(desk: OrchestratorDesk, input: OrchestratorInput): void {
    const { now } = desk;
    switch (input.kind) {
      case 'tick':
        for (const [id, at] of this.#waiting) {
          if (at > now.mono) continue;
          this.#waiting.delete(id);
          this.#dirty.add(id);
        }
        return this.#link.tick(now, this.#running(), desk.emit);
      case 'keeperUp':
        this.#keeperUp = true;
        return onKeeperUp(desk, input.agents);
      case 'keeperDown':
        this.#keeperUp = false;
        return onKeeperDown(desk);
      case 'linkUp':
        if (this.#facts.owner !== desk.orchestratorId)
          desk.commit('joinedAs', { orchestratorId: desk.orchestratorId });
        return this.#link.up(now, input.beatIntervalMs);
      case 'linkDown':
        return this.#link.down();
      case 'host':
        return this.#link.host(input.host);
      case 'measured':
        return this.#link.measured(input.health, input.resources);
      case 'order':
        this.#link.heard(now);
        if (input.body.kind === 'target') onTarget(desk, input.body.target);
        else onChallenge(desk, input.body.stopQuery);
        return;
      case 'frame':
        return this.#onFrame(desk, input.frame);
      case 'local':
        return desk.emit({ kind: 'reply', request: input.request, result: onLocal(desk, input.command) });
      default:
        return onAgent(desk, input);
    }
  }

  #onFrame(desk: OrchestratorDesk, frame: Extract<OrchestratorInput, { kind: 'frame' }>['frame']): void {
    this.#link.heard(desk.now, frame);
    if (frame.t === 'targetCurrent') this.#link.synced(this.#facts, desk.emit);
    if (frame.t !== 'receiptsAck') return;
    const orderIds = frame.orderIds.filter((id) => this.#facts.outbox.has(id));
    if (orderIds.length > 0) desk.commit('receiptsTaken', { orderIds });
  }

  #running(): readonly string[] {
    return [...this.#agents.values()].filter((agent) => agent.process !== null).map((agent) => agent.id);
  }

  /** Update status words, forget what is over, and tell the manager what changed. */
  #speak(desk: OrchestratorDesk): void {
    const changed: string[] = [];
    for (const id of this.#dirty) {
      const agent = this.#agents.get(id);
      if (agent === undefined) continue;
      const wish = wishOf(desk, id);
      const { status, detail } = statusOf(agent, wish);
      if (status !== agent.status) {
        agent.since = desk.now.wall;
        desk.note('info', 'agent.status', { agentId: id, from: agent.status, to: status, detail });
      }
      agent.status = status;
      agent.detail = detail;
      changed.push(id);
      // What ran here once is remembered: its epoch must never be issued again.
      const wanted =
        wish.entry !== null || wish.tombstone !== null || agent.challenge !== null || agent.knownEpoch > 0;
      if (!wanted && agent.process === null && agent.operation === null && this.#keeperUp)
        this.#agents.delete(id);
    }
    this.#dirty.clear();
    if (this.#link.wantsReport(this.#keeperUp))
      this.#link.sendReport(this.#facts, this.#reports(), this.#epochs(), desk.emit);
    else
      this.#link.sendStatus(
        changed.map((id) => ({ id, report: this.#reportFor(id) })),
        desk.emit,
      );
    this.#link.flushReceipts(desk.emit);
  }

  #reportFor(id: string): AgentReport | null {
    const agent = this.#agents.get(id);
    const entry = this.entryOf(id);
    if (agent === undefined || (entry === null && agent.process === null)) return null;
    return reportOf(agent, entry, this.#facts.local.has(id));
  }
  #reports(): AgentReport[] {
    const listed = [...this.#agents.values()].filter(
      (agent) => agent.process !== null || this.entryOf(agent.id) !== null,
    );
    return listed.map((agent) => reportOf(agent, this.entryOf(agent.id), this.#facts.local.has(agent.id)));
  }
  #epochs(): Record<string, number> {
    const managed = [...this.#agents.values()].filter(
      (agent) => agent.knownEpoch > 0 && !this.#facts.local.has(agent.id),
    );
    return Object.fromEntries(managed.map((agent) => [agent.id, agent.knownEpoch]));
  }
}
