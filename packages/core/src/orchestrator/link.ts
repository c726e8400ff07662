/**
 * The orchestrator's half of a session: report first, then status changes, beats and receipts.
 *
 * Beats go out at the period the manager hands out, each varied by a tenth. A manager that says nothing for three periods is
 * taken for gone: the link is dropped and dialled anew (the shell does the back-off).
 */
import type { AgentReport, HostFacts, ManagerFrame, Receipt } from '@muster/contract';
import { type Instant, type Now, never, type Random } from '../machine.ts';
import type { OrchestratorEffect } from './inputs.ts';
import type { OrchestratorFacts } from './model.ts';

type Emit = (effect: Exclude<OrchestratorEffect, { kind: 'append' }>) => void;
const RECEIPTS_PER_FRAME = 500;

export class ManagerLink {
  readonly #random: Random;
  /** `up`: hand-shake done, report owed. `reported`: target awaited. `synced`: target acknowledged. */
  #phase: 'down' | 'up' | 'reported' | 'synced' = 'down';
  #beatIntervalMs = 5_000;
  #nextBeat: Instant = never;
  #lastHeard: Instant = 0;
  #seq = 0;
  #health = 100;
  #resources: Readonly<Record<string, unknown>> = {};
  #host: HostFacts | null = null;
  readonly #metrics = new Map<string, Readonly<Record<string, number>>>();
  readonly #changedMetrics = new Set<string>();
  /** Receipts not yet sent in this session. */
  #unsent: Receipt[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  get phase(): 'down' | 'up' | 'reported' | 'synced' {
    return this.#phase;
  }
  /** Last metrics of an agent, as it reported them. */
  metricsOf(agentId: string): Readonly<Record<string, number>> {
    return this.#metrics.get(agentId) ?? {};
  }
  get resources(): Readonly<Record<string, unknown>> {
    return this.#resources;
  }
  get healthScore(): number {
    return this.#health;
  }

  nextDeadline(): Instant {
    return this.#phase === 'down'
      ? never
      : Math.min(this.#nextBeat, this.#lastHeard + 3 * this.#beatIntervalMs);
  }

  up(now: Now, beatIntervalMs: number): void {
    this.#phase = 'up';
    this.#beatIntervalMs = beatIntervalMs;
    this.#lastHeard = now.mono;
    this.#nextBeat = now.mono + beatIntervalMs;
    this.#unsent = [];
    for (const id of this.#metrics.keys()) this.#changedMetrics.add(id);
  }
  down(): void {
    this.#phase = 'down';
    this.#nextBeat = never;
  }
  host(host: HostFacts): void {
    this.#host = host;
  }
  measured(health: number, resources: Readonly<Record<string, unknown>>): void {
    this.#health = health;
    this.#resources = resources;
  }
  metrics(agentId: string, values: Readonly<Record<string, number>>): void {
    this.#metrics.set(agentId, values);
    this.#changedMetrics.add(agentId);
  }
  heard(now: Now, frame?: ManagerFrame): void {
    this.#lastHeard = now.mono;
    if (frame?.t === 'beatAck') this.#beatIntervalMs = frame.beatIntervalMs;
  }

  tick(now: Now, running: readonly string[], emit: Emit): void {
    if (this.#phase === 'down') return;
    if (now.mono >= this.#lastHeard + 3 * this.#beatIntervalMs) {
      this.down();
      emit({ kind: 'dropLink', reason: 'the manager has been silent for three beat periods' });
      return;
    }
    if (now.mono < this.#nextBeat) return;
    this.#nextBeat = now.mono + this.#beatIntervalMs * (0.9 + 0.2 * this.#random.fraction());
    const metrics: Record<string, Record<string, number>> = {};
    for (const id of this.#changedMetrics)
      if (running.includes(id)) metrics[id] = { ...this.#metrics.get(id) };
    this.#changedMetrics.clear();
    this.#seq += 1;
    emit({
      kind: 'send',
      frame: { t: 'beat', seq: this.#seq, health: this.#health, resources: { ...this.#resources }, metrics },
      immediate: true,
    });
  }

  wantsReport(keeperUp: boolean): boolean {
    return this.#phase === 'up' && keeperUp && this.#host !== null;
  }

  sendReport(
    facts: OrchestratorFacts,
    agents: AgentReport[],
    epochs: Record<string, number>,
    emit: Emit,
  ): void {
    if (this.#host === null) return;
    this.#phase = 'reported';
    const { generation, revision, digest } = facts;
    emit({
      kind: 'send',
      frame: { t: 'report', host: this.#host, agents, epochs, generation, revision, digest },
    });
    this.#unsent = [...facts.outbox.values()];
  }

  /** The target on disk is the manager's present one. */
  synced(facts: OrchestratorFacts, emit: Emit): void {
    if (this.#phase === 'down' || this.#phase === 'up') return;
    this.#phase = 'synced';
    emit({ kind: 'send', frame: { t: 'targetAck', generation: facts.generation, revision: facts.revision } });
  }

  sendStatus(changed: readonly { id: string; report: AgentReport | null }[], emit: Emit): void {
    if (changed.length === 0 || (this.#phase !== 'reported' && this.#phase !== 'synced')) return;
    const agents = changed.flatMap(({ report }) => report ?? []);
    const gone = changed.filter(({ report }) => report === null).map(({ id }) => id);
    this.#seq += 1;
    emit({ kind: 'send', frame: { t: 'status', seq: this.#seq, agents, gone } });
  }

  issued(receipt: Receipt): void {
    if (this.#phase === 'reported' || this.#phase === 'synced') this.#unsent.push(receipt);
  }

  flushReceipts(emit: Emit): void {
    if (this.#unsent.length === 0 || (this.#phase !== 'reported' && this.#phase !== 'synced')) return;
    for (let from = 0; from < this.#unsent.length; from += RECEIPTS_PER_FRAME) {
      emit({ kind: 'sendReceipts', receipts: this.#unsent.slice(from, from + RECEIPTS_PER_FRAME) });
    }
    this.#unsent = [];
  }
}
