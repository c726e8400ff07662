/**
 * The orchestrator machine: keeps what runs here equal to what should run here.
 *
 * It holds the target on disk and reconciles against the keeper's processes, with the manager or without. Order of a session:
 * link up → full report (once the keeper has answered) → target → acknowledged. Target documents of an older generation or
 * revision change nothing; a gap in the chain asks for a complete one; absence never deletes. Stops for good happen only on a
 * challenge (R8) or a tombstone, and are answered only after the keeper has durably released the epoch.
 */
import type {
  KeeperAgent,
  Receipt,
  ReceiptOutcome,
  StopQuery,
  TargetDocument,
  TargetEntry,
} from '@muster/contract';
import { nextTargetDigest } from '../manager/ledger.ts';
import { type Digest, type JournalRecord, type Machine, never, type Now, type Random } from '../machine.ts';
import type { LocalCommand, LocalResult, OrchestratorEffect, OrchestratorInput } from './inputs.ts';
import { ManagerLink } from './link.ts';
import { freshAgent, type LocalAgent, nextStep, reportOf, statusOf, type Wish } from './local-agent.ts';
import {
  applyOrchestratorRecord,
  emptyOrchestratorFacts,
  type OrchestratorFacts,
  orchestratorFactsOf,
  type OrchestratorRecord,
  type OrchestratorSnapshot,
  orchestratorSnapshotOf,
  type RecordBodies,
  type RecordKind,
} from './model.ts';
import { RESTART_RESET_AFTER_MS, restartDelayMs } from './restart-policy.ts';

export interface OrchestratorOptions {
  readonly orchestratorId: string;
  readonly random: Random;
  readonly digest: Digest;
  /** Hard ceiling of agents on this machine. */
  readonly maxAgents: number;
  readonly snapshot?: OrchestratorSnapshot;
  readonly records?: readonly JournalRecord[];
  readonly mutants?: ReadonlySet<string>;
}

/** The note kept in the keeper's durable record: which restart order a process satisfies. */
const noteOf = (restarts: number): string => `r${restarts}`;
const restartsOf = (note: string): number => (/^r\d+$/.test(note) ? Number(note.slice(1)) : 0);
const RETRY_OPERATION_MS = 2_000;

export class OrchestratorMachine
  implements Machine<OrchestratorInput, OrchestratorEffect, OrchestratorSnapshot>
{
  readonly #options: OrchestratorOptions;
  readonly #facts: OrchestratorFacts;
  readonly #agents = new Map<string, LocalAgent>();
  readonly #link: ManagerLink;
  #keeperUp = false;
  #records: OrchestratorRecord[] = [];
  #effects: OrchestratorEffect[] = [];
  #dirty = new Set<string>();
  #waiting = new Map<string, number>();

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
  /** What should run here under an id: the manager's entry, or the operator's own. */
  entryOf(agentId: string): TargetEntry | null {
    return this.#facts.entries.get(agentId) ?? this.#facts.local.get(agentId) ?? null;
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
    this.#route(now, input);
    this.#reconcile(now);
    this.#speak(now);
    if (this.#records.length > 0) effects.push({ kind: 'append', records: this.#records });
    effects.push(...this.#effects);
    this.#records = [];
    this.#effects = [];
  }

  #commit<K extends RecordKind>(now: Now, kind: K, body: RecordBodies[K]): void {
    const record = { kind, at: now.wall, body } as OrchestratorRecord;
    applyOrchestratorRecord(this.#facts, record);
    this.#records.push(record);
  }
  #emit(effect: OrchestratorEffect): void {
    this.#effects.push(effect);
  }
  #note(level: 'debug' | 'info' | 'warn' | 'error', event: string, fields: Record<string, unknown>): void {
    this.#emit({ kind: 'note', note: { level, event, fields } });
  }

  #route(now: Now, input: OrchestratorInput): void {
    switch (input.kind) {
      case 'tick':
        for (const [id, at] of this.#waiting) {
          if (at > now.mono) continue;
          this.#waiting.delete(id);
          this.#dirty.add(id);
        }
        return this.#link.tick(now, this.#metrics(), (effect) => this.#emit(effect));
      case 'keeperUp':
        return this.#onKeeperUp(now, input.agents);
      case 'keeperDown':
        return this.#onKeeperDown(now);
      case 'linkUp':
        return this.#link.up(now, input.generation, input.beatIntervalMs);
      case 'linkDown':
        return this.#link.down();
      case 'host':
        return this.#link.host(input.host);
      case 'measured':
        return this.#link.measured(input.health, input.resources);
      case 'order':
        this.#link.heard(now);
        if (input.body.kind === 'target') this.#onTarget(now, input.body.target);
        else this.#onChallenge(now, input.body.stopQuery);
        return;
      case 'frame':
        this.#link.heard(now, input.frame);
        if (input.frame.t === 'targetCurrent') this.#link.synced(this.#facts, (effect) => this.#emit(effect));
        if (input.frame.t === 'receiptsAck') {
          const orderIds = input.frame.orderIds.filter((id) => this.#facts.outbox.has(id));
          if (orderIds.length > 0) this.#commit(now, 'receiptsTaken', { orderIds });
        }
        return;
      case 'local':
        return this.#emit({
          kind: 'reply',
          request: input.request,
          result: this.#onLocal(now, input.command),
        });
      default:
        return this.#onAgent(now, input);
    }
  }

  #agent(now: Now, id: string): LocalAgent {
    let agent = this.#agents.get(id);
    if (agent === undefined) {
      agent = freshAgent(id, now.wall);
      this.#agents.set(id, agent);
    }
    this.#dirty.add(id);
    return agent;
  }

  // ---- keeper ----------------------------------------------------------------------------------------------------------

  #onKeeperUp(now: Now, known: readonly KeeperAgent[]): void {
    this.#keeperUp = true;
    const seen = new Set<string>();
    for (const item of known) {
      seen.add(item.agent);
      const agent = this.#agent(now, item.agent);
      agent.operation = null;
      agent.knownEpoch = Math.max(agent.knownEpoch, item.ranEpoch, item.releasedEpoch);
      agent.releasedEpoch = Math.max(agent.releasedEpoch, item.releasedEpoch);
      agent.lastSub = item.sub;
      const before = agent.process;
      if (item.running !== null) {
        const survivor = before?.epoch === item.ranEpoch && before.sub === item.sub;
        agent.process = {
          epoch: item.ranEpoch,
          sub: item.sub,
          pid: item.running.hostPid ?? item.running.pid,
          startedAt: before?.startedAt ?? now.mono,
          restarts: restartsOf(item.note),
        };
        // A process found again was running before; it says so itself as soon as its socket is back.
        if (!survivor) agent.ready = true;
        if (item.running.stopping) agent.operation = 'stop';
      } else {
        agent.process = null;
        if (item.lastExit !== null && item.lastExit.at !== agent.lastExit?.at)
          this.#ended(now, agent, item.lastExit);
      }
    }
    for (const agent of this.#agents.values()) {
      if (!seen.has(agent.id)) {
        agent.process = null;
        agent.operation = null;
      }
      this.#dirty.add(agent.id);
    }
    for (const id of [
      ...this.#facts.entries.keys(),
      ...this.#facts.local.keys(),
      ...this.#facts.tombstones.keys(),
    ])
      this.#agent(now, id);
    this.#note('info', 'keeper.up', {
      agents: known.length,
      running: known.filter((item) => item.running !== null).length,
    });
  }

  /** The keeper is gone and its agents with it; whatever was in flight is unknown until it is back. */
  #onKeeperDown(now: Now): void {
    this.#keeperUp = false;
    for (const agent of this.#agents.values()) {
      if (agent.process !== null) agent.crashes += 1;
      agent.process = null;
      agent.operation = null;
      agent.ready = false;
      agent.health = null;
      this.#dirty.add(agent.id);
    }
    this.#note('error', 'keeper.down', { at: now.wall });
  }

  #ended(now: Now, agent: LocalAgent, exit: LocalAgent['lastExit']): void {
    const startedAt = agent.process?.startedAt ?? now.mono;
    agent.process = null;
    agent.ready = false;
    agent.health = null;
    agent.lastExit = exit;
    if (agent.operation === 'stop') agent.operation = null;
    if (exit === null || exit.requested) {
      agent.notBefore = 0;
      return;
    }
    if (agent.crashesEpoch !== exit.epoch) agent.crashes = 0;
    agent.crashesEpoch = exit.epoch;
    agent.crashes += 1;
    agent.failures = now.mono - startedAt >= RESTART_RESET_AFTER_MS ? 1 : agent.failures + 1;
    agent.notBefore = now.mono + restartDelayMs(agent.failures, this.#options.random.fraction());
    this.#note('warn', 'agent.exited', {
      agentId: agent.id,
      code: exit.code,
      signal: exit.signal,
      failures: agent.failures,
    });
  }

  #onAgent(
    now: Now,
    input: Exclude<
      OrchestratorInput,
      {
        kind:
          | 'tick'
          | 'keeperUp'
          | 'keeperDown'
          | 'linkUp'
          | 'linkDown'
          | 'host'
          | 'measured'
          | 'order'
          | 'frame'
          | 'local';
      }
    >,
  ): void {
    const agent = this.#agents.get(input.agentId);
    if (agent === undefined) return;
    this.#dirty.add(agent.id);
    switch (input.kind) {
      case 'spawned': {
        agent.operation = null;
        agent.knownEpoch = Math.max(agent.knownEpoch, input.epoch);
        agent.lastSub = input.sub;
        agent.ready = false;
        agent.health = null;
        agent.blocked = null;
        agent.remains = null;
        agent.process = {
          epoch: input.epoch,
          sub: input.sub,
          pid: input.hostPid ?? input.pid,
          startedAt: now.mono,
          restarts: agent.spawningRestarts,
        };
        this.#note('info', 'agent.spawned', {
          agentId: agent.id,
          epoch: input.epoch,
          sub: input.sub,
          pid: agent.process.pid,
        });
        return this.#concludeRun(now, agent);
      }
      case 'spawnFailed':
        return this.#spawnFailed(now, agent, input);
      case 'exited':
        if (
          agent.process === null ||
          (agent.process.epoch === input.exit.epoch && agent.process.sub === input.exit.sub)
        )
          this.#ended(now, agent, input.exit);
        return;
      case 'stopAnswered':
        // The end comes as `exited`; if nothing ran there is nothing to wait for.
        if (!input.wasRunning) {
          agent.process = null;
          if (agent.operation === 'stop') agent.operation = null;
        }
        return;
      case 'released':
        agent.operation = null;
        agent.releasedEpoch = Math.max(agent.releasedEpoch, input.epoch);
        agent.knownEpoch = Math.max(agent.knownEpoch, input.epoch);
        if (agent.process !== null && agent.process.epoch <= input.epoch) agent.process = null;
        return;
      case 'releaseFailed':
        return this.#retryLater(now, agent, 'release', input.message);
      case 'stateReady':
        agent.operation = null;
        return this.#commit(now, 'stateInstalled', { agentId: agent.id, epoch: input.epoch });
      case 'stateFailed':
        agent.notBefore = now.mono + RETRY_OPERATION_MS;
        return this.#retryLater(now, agent, 'install', input.message);
      case 'stateCollected':
        agent.operation = null;
        agent.remains = { epoch: input.epoch, state: input.state, error: input.error };
        return;
      case 'statePurged':
        agent.operation = null;
        return this.#buried(now, agent);
      case 'agentReady':
        if (this.#isCurrent(agent, input)) agent.ready = true;
        return;
      case 'agentHealth':
        if (this.#isCurrent(agent, input))
          agent.health = { state: input.state, ok: input.ok, detail: input.detail };
        return;
      case 'agentMetrics':
        return this.#link.metrics(agent.id, input.values);
      case 'stateSize':
        agent.stateBytes = input.bytes;
        return;
    }
  }

  #isCurrent(agent: LocalAgent, said: { epoch: number; sub: number }): boolean {
    return agent.process?.epoch === said.epoch && agent.process.sub === said.sub;
  }

  #retryLater(now: Now, agent: LocalAgent, what: string, message: string): void {
    this.#note('error', `agent.${what}-failed`, { agentId: agent.id, message });
    agent.detail = message;
    // Keep the operation marked so that nothing else begins; the wait ends it.
    agent.operation = null;
    this.#waiting.set(agent.id, now.mono + RETRY_OPERATION_MS);
    this.#dirty.delete(agent.id);
  }

  #spawnFailed(
    now: Now,
    agent: LocalAgent,
    input: Extract<OrchestratorInput, { kind: 'spawnFailed' }>,
  ): void {
    agent.operation = null;
    const entry = this.entryOf(agent.id);
    this.#note('error', 'agent.spawn-failed', {
      agentId: agent.id,
      epoch: input.epoch,
      code: input.code,
      message: input.message,
    });
    if (entry === null || entry.epoch !== input.epoch) return;
    if (input.code === 'unknown-type' || input.code === 'epoch-released' || input.code === 'epoch-stale') {
      const outcome = input.code === 'unknown-type' ? 'refused' : 'failed';
      agent.blocked = { epoch: entry.epoch, restarts: entry.restarts, outcome, message: input.message };
      return this.#conclude(now, entry.agentId, entry.orderId, entry.epoch, outcome, input.message);
    }
    agent.failures += 1;
    agent.notBefore =
      now.mono +
      Math.max(RETRY_OPERATION_MS, restartDelayMs(agent.failures, this.#options.random.fraction()));
    agent.detail = input.message;
    if (input.code === 'spawn-failed' && agent.failures === 3)
      this.#conclude(now, entry.agentId, entry.orderId, entry.epoch, 'failed', input.message);
  }

  // ---- target ----------------------------------------------------------------------------------------------------------

  #onTarget(now: Now, target: TargetDocument): void {
    const facts = this.#facts;
    const gap = (reason: string): void => {
      this.#note('warn', 'target.refused', { reason, revision: target.revision });
      this.#emit({ kind: 'send', frame: { t: 'targetGap', revision: facts.revision, reason } });
    };
    if (target.generation < facts.generation) return gap('older-generation');
    const before = new Map(facts.entries);
    const graves = new Map(facts.tombstones);
    if (target.kind === 'complete') {
      if (target.generation === facts.generation && target.revision < facts.revision)
        return gap('older-revision');
      const { generation, revision, digest, entries, tombstones } = target;
      for (const id of facts.entries.keys()) {
        const named =
          entries.some((entry) => entry.agentId === id) ||
          tombstones.some((tombstone) => tombstone.agentId === id);
        if (!named) this.#note('warn', 'target.absent-entry', { agentId: id });
      }
      this.#commit(now, 'targetCompleted', { generation, revision, digest, entries, tombstones });
    } else {
      if (
        target.generation !== facts.generation ||
        target.base !== facts.revision ||
        target.baseDigest !== facts.digest
      )
        return gap('base-differs');
      let head = facts.digest;
      for (const change of target.changes) head = nextTargetDigest(head, change, this.#options.digest);
      if (head !== target.digest) return gap('digest-differs');
      this.#commit(now, 'targetChanged', {
        revision: target.revision,
        digest: target.digest,
        changes: target.changes,
      });
    }
    for (const [id, entry] of before) this.#supersede(now, id, entry.orderId);
    for (const [id, tombstone] of graves) this.#supersede(now, id, tombstone.orderId);
    for (const id of new Set([...facts.entries.keys(), ...facts.tombstones.keys(), ...before.keys()])) {
      const agent = this.#agent(now, id);
      const entry = facts.entries.get(id);
      if (entry !== undefined && entry.epoch > (before.get(id)?.epoch ?? 0)) this.#freshEpoch(agent);
      else if (entry !== undefined && entry.restarts > (before.get(id)?.restarts ?? 0)) agent.notBefore = 0;
      if (entry !== undefined) this.#concludeRun(now, agent);
    }
    this.#link.synced(facts, (effect) => this.#emit(effect));
  }

  #freshEpoch(agent: LocalAgent): void {
    agent.failures = 0;
    agent.crashes = 0;
    agent.notBefore = 0;
    agent.blocked = null;
  }

  /** An order that was replaced before it had an outcome ends as superseded. */
  #supersede(now: Now, agentId: string, orderId: string): void {
    const current = this.#facts.entries.get(agentId)?.orderId ?? this.#facts.tombstones.get(agentId)?.orderId;
    if (
      current === orderId ||
      current === undefined ||
      this.#facts.concluded.get(agentId) === orderId ||
      this.#facts.outbox.has(orderId)
    )
      return;
    this.#conclude(
      now,
      agentId,
      orderId,
      this.#facts.entries.get(agentId)?.epoch ?? 0,
      'superseded',
      `superseded by ${current}`,
    );
  }

  /** A run or restart order has succeeded once a process that satisfies it runs. */
  #concludeRun(now: Now, agent: LocalAgent): void {
    const entry = this.#facts.entries.get(agent.id);
    if (entry === undefined || entry.want !== 'run' || agent.process === null) return;
    if (agent.process.epoch !== entry.epoch || agent.process.restarts < entry.restarts) return;
    if (this.#facts.concluded.get(agent.id) === entry.orderId) return;
    this.#conclude(
      now,
      agent.id,
      entry.orderId,
      entry.epoch,
      'succeeded',
      `runs as pid ${agent.process.pid ?? 'unknown'}`,
    );
  }

  #conclude(
    now: Now,
    agentId: string,
    orderId: string,
    epoch: number,
    outcome: ReceiptOutcome,
    detail: string,
  ): void {
    if (this.#facts.local.has(agentId)) return;
    const receipt: Receipt = {
      orderId,
      orchestratorId: this.#options.orchestratorId,
      agentId,
      epoch,
      outcome,
      detail: detail.slice(0, 1000),
      at: now.wall,
    };
    this.#commit(now, 'receiptIssued', { receipt });
    this.#link.issued(receipt);
  }

  #onChallenge(now: Now, challenge: StopQuery): void {
    const agent = this.#agent(now, challenge.agentId);
    if (this.#options.mutants?.has('stopped-before-dead') === true) {
      this.#emit({
        kind: 'send',
        frame: {
          t: 'stopped',
          agentId: agent.id,
          epoch: challenge.epoch,
          query: challenge.query,
          state: null,
          stateError: null,
        },
      });
      return;
    }
    agent.challenge = { epoch: challenge.epoch, query: challenge.query };
  }

  #buried(now: Now, agent: LocalAgent): void {
    const tombstone = this.#facts.tombstones.get(agent.id);
    if (tombstone === undefined) return;
    this.#commit(now, 'tombstoneDone', { agentId: agent.id, epoch: tombstone.epoch });
    this.#conclude(
      now,
      agent.id,
      tombstone.orderId,
      tombstone.epoch,
      'succeeded',
      tombstone.purge ? 'removed with its state' : 'removed, state kept',
    );
    this.#dirty.add(agent.id);
  }

  // ---- reconcile and speak ---------------------------------------------------------------------------------------------

  #wishOf(agent: LocalAgent): Wish {
    const facts = this.#facts;
    return {
      entry: this.entryOf(agent.id),
      tombstone: facts.tombstones.get(agent.id) ?? null,
      held: facts.holdAll ?? facts.holds.get(agent.id) ?? null,
      installedEpoch: facts.installed.get(agent.id) ?? 0,
    };
  }

  #reconcile(now: Now): void {
    for (const id of this.#dirty) {
      const agent = this.#agents.get(id);
      // Steps that end at once lead to the next one; the bound only guards against a loop that a bug would make.
      for (let guard = 0; agent !== undefined && this.#keeperUp && guard < 8; guard += 1)
        if (!this.#advance(now, agent)) break;
    }
  }

  /** Carry out the next step of one agent. True: look again. */
  #advance(now: Now, agent: LocalAgent): boolean {
    const wish = this.#wishOf(agent);
    const step = nextStep(agent, wish, now.mono);
    const { entry } = wish;
    switch (step.do) {
      case 'wait':
        if (step.until === never) this.#waiting.delete(agent.id);
        else this.#waiting.set(agent.id, step.until);
        return false;
      case 'spawn':
        if (entry === null || !this.#mayStart(now, agent, entry)) return false;
        agent.operation = 'spawn';
        agent.spawningRestarts = entry.restarts;
        this.#emit({
          kind: 'spawn',
          agentId: agent.id,
          epoch: entry.epoch,
          spec: entry.spec,
          note: noteOf(entry.restarts),
        });
        return false;
      case 'stop':
        agent.operation = 'stop';
        this.#emit({
          kind: 'stopProcess',
          agentId: agent.id,
          graceMs: entry?.spec.stopGraceMs ?? 5_000,
          reason: step.reason,
        });
        return false;
      case 'release':
        agent.operation = 'release';
        this.#emit({
          kind: 'release',
          agentId: agent.id,
          epoch: step.epoch,
          graceMs: entry?.spec.stopGraceMs ?? 5_000,
          inFlightMs: entry?.spec.inFlightMs ?? 0,
        });
        return false;
      case 'install':
        if (entry === null || entry.initialState === null) return false;
        agent.operation = 'install';
        this.#emit({
          kind: 'installState',
          agentId: agent.id,
          epoch: entry.epoch,
          state: entry.initialState,
        });
        return false;
      case 'collect':
        agent.operation = 'collect';
        this.#emit({ kind: 'collectState', agentId: agent.id, epoch: step.epoch });
        return false;
      case 'answerChallenge':
        this.#answerChallenge(now, agent, entry);
        return true;
      case 'purge':
        agent.operation = 'purge';
        this.#emit({ kind: 'purgeState', agentId: agent.id });
        return false;
      case 'buryDone':
        this.#buried(now, agent);
        return false;
    }
  }

  #answerChallenge(now: Now, agent: LocalAgent, entry: TargetEntry | null): void {
    const { challenge, remains } = agent;
    if (challenge === null || remains === null) return;
    agent.challenge = null;
    const closing = entry !== null && entry.want === 'closing' && entry.epoch === challenge.epoch;
    if (closing && this.#facts.concluded.get(agent.id) !== entry.orderId) {
      this.#conclude(now, agent.id, entry.orderId, entry.epoch, 'succeeded', 'stopped and released');
      this.#link.flushReceipts((effect) => this.#emit(effect));
    }
    const { state, error: stateError } = remains;
    this.#emit({
      kind: 'send',
      frame: {
        t: 'stopped',
        agentId: agent.id,
        epoch: challenge.epoch,
        query: challenge.query,
        state,
        stateError,
      },
    });
  }

  /** The machine's own ceiling, whatever the manager thinks. */
  #mayStart(now: Now, agent: LocalAgent, entry: TargetEntry): boolean {
    if (this.#options.mutants?.has('ceiling-ignored') === true) return true;
    let running = 0;
    for (const other of this.#agents.values())
      if (other.process !== null || other.operation === 'spawn') running += 1;
    if (running < this.#options.maxAgents) return true;
    const message = `This machine runs ${running} agents already; its own limit (max_agents) is ${this.#options.maxAgents}.`;
    agent.detail = message;
    if (this.#facts.concluded.get(agent.id) !== entry.orderId)
      this.#conclude(now, agent.id, entry.orderId, entry.epoch, 'refused', message);
    agent.blocked = { epoch: entry.epoch, restarts: entry.restarts, outcome: 'refused', message };
    return false;
  }

  #metrics(): readonly string[] {
    return [...this.#agents.values()].filter((agent) => agent.process !== null).map((agent) => agent.id);
  }

  #speak(now: Now): void {
    const changed: string[] = [];
    for (const id of this.#dirty) {
      const agent = this.#agents.get(id);
      if (agent === undefined) continue;
      const wish = this.#wishOf(agent);
      const { status, detail } = statusOf(agent, wish);
      if (status !== agent.status) {
        agent.since = now.wall;
        this.#note('info', 'agent.status', { agentId: id, from: agent.status, to: status, detail });
      }
      agent.status = status;
      agent.detail = detail;
      changed.push(id);
      const forgotten =
        wish.entry === null &&
        wish.tombstone === null &&
        agent.process === null &&
        agent.operation === null &&
        agent.challenge === null;
      if (forgotten) this.#agents.delete(id);
    }
    this.#dirty.clear();
    const emit = (effect: OrchestratorEffect): void => this.#emit(effect);
    if (this.#link.wantsReport(this.#keeperUp))
      this.#link.sendReport(now, this.#facts, this.#reports(), this.#epochs(), emit);
    else
      this.#link.sendStatus(
        changed.map((id) => ({ id, report: this.#reportFor(id) })),
        emit,
      );
    this.#link.flushReceipts(emit);
  }

  #reportFor(id: string): ReturnType<typeof reportOf> | null {
    const agent = this.#agents.get(id);
    return agent === undefined ? null : reportOf(agent, this.entryOf(id), this.#facts.local.has(id));
  }
  #reports(): ReturnType<typeof reportOf>[] {
    const listed = [...this.#agents.values()].filter(
      (agent) => agent.process !== null || this.entryOf(agent.id) !== null,
    );
    return listed.map((agent) => reportOf(agent, this.entryOf(agent.id), this.#facts.local.has(agent.id)));
  }
  #epochs(): Record<string, number> {
    const epochs: Record<string, number> = {};
    for (const agent of this.#agents.values())
      if (agent.knownEpoch > 0 && !this.#facts.local.has(agent.id)) epochs[agent.id] = agent.knownEpoch;
    return epochs;
  }

  // ---- the customer's own word -----------------------------------------------------------------------------------------

  #onLocal(now: Now, command: LocalCommand): LocalResult {
    const known = new Set([...this.#facts.entries.keys(), ...this.#facts.local.keys()]);
    if (command.kind === 'deploy') {
      if (known.has(command.agentId)) {
        return {
          ok: false,
          code: this.#facts.local.has(command.agentId) ? 'conflict' : 'managed-by-link',
          detail: `Agent ${command.agentId} exists here already.`,
        };
      }
      const { agentId, spec, by } = command;
      if (known.size >= this.#options.maxAgents)
        return {
          ok: false,
          code: 'nothing-fits',
          detail: `This machine holds ${known.size} agents; max_agents is ${this.#options.maxAgents}.`,
        };
      const epoch = Math.max(this.#agents.get(agentId)?.knownEpoch ?? 0, 0) + 1;
      this.#commit(now, 'localDeployed', { agentId, epoch, spec, by });
      this.#agent(now, agentId);
      return { ok: true, agentIds: [agentId] };
    }
    const { agentId, by } = command;
    if (agentId !== null && !known.has(agentId))
      return { ok: false, code: 'not-found', detail: `No agent ${agentId} here.` };
    if (command.kind === 'stop') this.#commit(now, 'held', { agentId, by, reason: command.reason });
    else this.#commit(now, 'holdLifted', { agentId, by });
    const touched = agentId === null ? [...known] : [agentId];
    for (const id of touched) this.#agent(now, id).notBefore = 0;
    this.#note('warn', command.kind === 'stop' ? 'local.stopped' : 'local.resumed', {
      agentId: agentId ?? 'everything',
      by,
    });
    return { ok: true, agentIds: touched };
  }
}
