/**
 * The manager machine: the single writer of the fleet's state.
 *
 * One input at a time; decisions are journal records (`desk.commit`), applied at once and put into one append that stands
 * before everything else the step says. It composes the parts (sessions, lives, enrolment, accounts) and routes to them; rules
 * live in the parts.
 */
import { type AgentTypeRecipe, DEFAULT_CUSTOMER } from '@muster/contract';
import { type Digest, type JournalRecord, type Machine, type Now, never, type Random } from '../machine.ts';
import { canonicalJson } from '../shared/canonical.ts';
import { changeCustomer, changeUser, createCustomer, createUser, removeUser } from './accounts.ts';
import {
  migrateAgent,
  type Outcome,
  removeAgent,
  restartAgent,
  startAgent,
  stopAgent,
  WAIT_LIMIT_MS,
} from './agent-commands.ts';
import { AgentLives } from './agents.ts';
import { deploy } from './deploy.ts';
import { type Desk, done } from './desk.ts';
import {
  createJoinToken,
  directBeat,
  enrol,
  publishReachability,
  registerDirect,
  revokeJoinToken,
} from './enrolment.ts';
import { deregister, drain, rebalance } from './fleet-commands.ts';
import type { Actor, ManagerCommand, ManagerEffect, ManagerInput, ValidateConfig } from './inputs.ts';
import { applyRecord } from './ledger.ts';
import { emptyFacts, type Facts } from './model.ts';
import { PARK_LIMIT_MS, type ParkedDeploy, ParkedDeploys, someoneIsExpected } from './parked.ts';
import { Presence } from './presence.ts';
import { asManagerRecord, type ManagerRecord, type RecordBodies, type RecordKind } from './records.ts';
import { onReceipts, onStatus } from './reports.ts';
import { Sessions } from './sessions.ts';
import { factsOf, type ManagerSnapshot, snapshotOf } from './snapshot.ts';
import { Waiters } from './waiters.ts';

export interface ManagerOptions {
  readonly random: Random;
  readonly digest: Digest;
  readonly validateConfig: ValidateConfig;
  /** Beat period handed out to channel orchestrators, ms. */
  readonly beatIntervalMs: number;
  readonly software: string;
  readonly snapshot?: ManagerSnapshot;
  /** Records after the snapshot, in order. */
  readonly records?: readonly JournalRecord[];
  readonly mutants?: ReadonlySet<string>;
}

const none: ReadonlySet<string> = new Set();

export class ManagerMachine implements Machine<ManagerInput, ManagerEffect, ManagerSnapshot> {
  readonly #options: ManagerOptions;
  readonly #facts: Facts;
  readonly #presence: Presence;
  readonly #sessions: Sessions;
  readonly #lives = new AgentLives();
  readonly #waiters = new Waiters();
  readonly #parked = new ParkedDeploys();
  #records: ManagerRecord[] = [];
  #effects: ManagerEffect[] = [];
  #touchedOrchestrators = new Set<string>();
  #touchedAgents = new Set<string>();

  constructor(options: ManagerOptions) {
    this.#options = options;
    this.#facts = options.snapshot === undefined ? emptyFacts() : factsOf(options.snapshot);
    for (const record of options.records ?? [])
      applyRecord(this.#facts, asManagerRecord(record), options.digest);
    this.#presence = new Presence(options.beatIntervalMs);
    this.#sessions = new Sessions(options.software);
  }

  /** The durable facts, to read. Only the machine changes them. */
  get facts(): Facts {
    return this.#facts;
  }
  /** Who is connected and what they last said, to read. */
  get presence(): Presence {
    return this.#presence;
  }

  snapshot(): ManagerSnapshot {
    return snapshotOf(this.#facts);
  }

  nextDeadline(): number {
    return Math.min(
      this.#presence.nextDeadline(),
      this.#lives.nextDeadline(),
      this.#waiters.nextDeadline(),
      this.#parked.nextDeadline(),
      never,
    );
  }

  step(now: Now, input: ManagerInput, effects: ManagerEffect[]): void {
    const desk = this.#desk(now);
    this.#route(desk, input);
    if (this.#parked.size > 0) this.#retryParked(desk);
    for (const id of this.#touchedAgents) this.#waiters.touch(desk, id);
    for (const id of this.#touchedOrchestrators) {
      const orchestrator = this.#facts.orchestrators.get(id);
      if (orchestrator !== undefined) this.#sessions.sync(desk, orchestrator);
    }
    if (this.#records.length > 0) effects.push({ kind: 'append', records: this.#records });
    effects.push(...this.#effects);
    this.#records = [];
    this.#effects = [];
    this.#touchedAgents.clear();
    this.#touchedOrchestrators.clear();
  }

  #desk(now: Now): Desk {
    const { random, digest, validateConfig, mutants = none } = this.#options;
    return {
      facts: this.#facts,
      presence: this.#presence,
      random,
      digest,
      validateConfig,
      now,
      mutants,
      commit: (kind, body) => this.#commit(now, kind, body),
      emit: (effect) => void this.#effects.push(effect),
      note: (level, event, fields) =>
        void this.#effects.push({ kind: 'note', note: { level, event, fields } }),
      publish: (type, customerId, data) =>
        void this.#effects.push({ kind: 'publish', event: { type, customerId, data } }),
    };
  }

  #commit<K extends RecordKind>(now: Now, kind: K, body: RecordBodies[K]): void {
    const record = { kind, at: now.wall, body } as ManagerRecord;
    const agentId = (body as { agentId?: string }).agentId;
    const before =
      agentId === undefined ? undefined : this.#facts.agents.get(agentId)?.placement?.orchestratorId;
    applyRecord(this.#facts, record, this.#options.digest);
    this.#records.push(record);
    if (agentId === undefined) return;
    this.#touchedAgents.add(agentId);
    const after = this.#facts.agents.get(agentId)?.placement?.orchestratorId;
    for (const id of [before, after]) if (id !== undefined) this.#touchedOrchestrators.add(id);
  }

  #route(desk: Desk, input: ManagerInput): void {
    switch (input.kind) {
      case 'start':
        return this.#start(desk, input.agentTypes);
      case 'tick':
        for (const { present, reachability } of this.#presence.expire(desk.now)) {
          const orchestrator = this.#facts.orchestrators.get(present.id);
          if (orchestrator !== undefined) publishReachability(desk, orchestrator, reachability);
          if (reachability === 'lost' && desk.mutants.has('lost-moves'))
            this.#takeAgents(desk, present.id, 'system', false);
          // Half-open: two silent periods on an open socket end the session.
          if (present.link !== null && reachability !== 'late') {
            desk.emit({
              kind: 'closeLink',
              link: present.link,
              code: 'link-out-of-reach',
              detail: 'No beat arrived for two periods.',
              retryAfterMs: 0,
            });
            this.#sessions.closed(desk, present.link);
          }
        }
        this.#lives.tick(desk);
        return this.#waiters.tick(desk);
      case 'linkOpened':
        return this.#sessions.opened(desk, input);
      case 'linkClosed':
        return this.#sessions.closed(desk, input.link);
      case 'frame':
        return this.#frame(desk, input);
      case 'command':
        if (input.command.kind === 'deploy') {
          const { request, actor, command } = input;
          return this.#tryDeploy(desk, { request, actor, command, due: desk.now.mono + PARK_LIMIT_MS });
        }
        return this.#answer(desk, input.request, this.#command(desk, input.actor, input.command));
    }
  }

  #start(desk: Desk, agentTypes: readonly AgentTypeRecipe[]): void {
    desk.commit('managerStarted', { incarnation: this.#facts.incarnation + 1 });
    if (!this.#facts.customers.has(DEFAULT_CUSTOMER))
      desk.commit('customerCreated', { id: DEFAULT_CUSTOMER, name: 'Default', by: 'system' });
    for (const recipe of agentTypes) {
      const known = this.#facts.agentTypes.get(recipe.type);
      if (known === undefined || canonicalJson(known) !== canonicalJson(recipe))
        desk.commit('agentTypeRegistered', { recipe });
    }
    for (const orchestrator of this.#facts.orchestrators.values()) {
      if (orchestrator.deregisteredAt !== null) continue;
      const present = this.#presence.watch(orchestrator.id, desk.now);
      // No socket yet: late from the first moment, never green before it is heard.
      this.#presence.close(present, desk.now);
    }
    this.#lives.restore(desk);
  }

  #frame(desk: Desk, input: Extract<ManagerInput, { kind: 'frame' }>): void {
    const present = this.#presence.byLink(input.link);
    const orchestrator = present === undefined ? undefined : this.#facts.orchestrators.get(present.id);
    if (present === undefined || orchestrator === undefined) return;
    const { frame } = input;
    if (present.phase !== 'reporting') {
      switch (frame.t) {
        case 'status':
          for (const agentId of onStatus(desk, present, orchestrator, frame))
            this.#touchedAgents.add(agentId);
          return;
        case 'stopped':
          this.#presence.seen(present, desk.now);
          return this.#lives.onStopped(desk, orchestrator.id, frame);
        case 'receipts':
          return onReceipts(desk, present, orchestrator, frame);
        default:
          break;
      }
    }
    if (!this.#sessions.frame(desk, this.#lives, present, orchestrator, input)) {
      desk.note('warn', 'link.frame-out-of-order', {
        orchestratorId: orchestrator.id,
        frame: frame.t,
        phase: present.phase,
      });
    }
    // Whoever waits for an agent of this machine may have got what he waits for.
    if (frame.t === 'report') for (const { agentId } of frame.agents) this.#touchedAgents.add(agentId);
  }

  #answer(desk: Desk, request: string, outcome: Outcome): void {
    if ('waiting' in outcome) this.#waiters.add(desk, request, outcome.waiting);
    else desk.emit({ kind: 'reply', request, result: outcome });
  }

  #command(desk: Desk, actor: Actor, command: ManagerCommand): Outcome {
    switch (command.kind) {
      case 'createCustomer':
        return createCustomer(desk, actor, command);
      case 'changeCustomer':
        return changeCustomer(desk, actor, command);
      case 'createUser':
        return createUser(desk, actor, command);
      case 'changeUser':
        return changeUser(desk, actor, command);
      case 'removeUser':
        return removeUser(desk, actor, command);
      case 'createJoinToken':
        return createJoinToken(desk, actor, command);
      case 'revokeJoinToken':
        return revokeJoinToken(desk, actor, command);
      case 'enrol':
        return this.#enrol(desk, actor, command);
      case 'registerDirect':
        return registerDirect(desk, actor, command);
      case 'directBeat':
        return directBeat(desk, actor, command);
      case 'deploy':
        return this.#deploy(desk, actor, command);
      case 'stopAgent':
        return stopAgent(desk, this.#lives, actor, command);
      case 'startAgent':
        return startAgent(desk, this.#lives, actor, command);
      case 'restartAgent':
        return restartAgent(desk, actor, command);
      case 'removeAgent':
        return removeAgent(desk, this.#lives, actor, command);
      case 'migrateAgent':
        return migrateAgent(desk, this.#lives, actor, command);
      case 'rebalance':
        return rebalance(desk, this.#lives, actor);
      case 'drain':
        return drain(desk, this.#lives, actor, command);
      case 'deregister':
        return deregister(desk, this.#lives, actor, command);
    }
  }

  #tryDeploy(desk: Desk, parked: ParkedDeploy): void {
    const outcome = this.#deploy(desk, parked.actor, parked.command);
    const nothingFits = 'ok' in outcome && !outcome.ok && outcome.code === 'nothing-fits';
    if (nothingFits && desk.now.mono < parked.due && someoneIsExpected(desk, parked.actor))
      this.#parked.park(parked);
    else this.#answer(desk, parked.request, outcome);
  }

  #retryParked(desk: Desk): void {
    for (const parked of this.#parked.takeAll()) this.#tryDeploy(desk, parked);
  }

  #enrol(desk: Desk, actor: Actor, command: Extract<ManagerCommand, { kind: 'enrol' }>): Outcome {
    const result = enrol(desk, actor, command);
    if (result.ok && result.value['keyReplaced'] === true) {
      // The old machine's data is gone, and with it every promise about old epochs: all of its agents get new ones.
      this.#takeAgents(desk, result.value['orchestratorId'] as string, actor.id, true);
    }
    return result;
  }

  /** Free everything a machine held. `back`: the same machine may be chosen again. */
  #takeAgents(desk: Desk, orchestratorId: string, by: string, back: boolean): void {
    const orchestrator = this.#facts.orchestrators.get(orchestratorId);
    for (const agentId of [...(orchestrator?.target.entries.keys() ?? [])]) {
      const agent = this.#facts.agents.get(agentId);
      if (agent !== undefined) this.#lives.declareDead(desk, agent, by, back);
    }
  }

  #deploy(desk: Desk, actor: Actor, command: Extract<ManagerCommand, { kind: 'deploy' }>): Outcome {
    const result = deploy(desk, this.#lives, actor, command);
    if (!result.ok || !command.waitRunning) return result;
    const { value } = result;
    return {
      waiting: {
        agentIds: result.agentIds ?? [],
        until: 'running',
        limitMs: WAIT_LIMIT_MS,
        answer: (_desk, complete) => done({ ...value, confirmed: complete }),
      },
    };
  }
}
