/**
 * The life of placed agents: place, close, confirm, move, restart, remove.
 *
 * R1  a placement raises the epoch and fixes the holder in one record, before anything is sent.
 * R6  CLOSING is durable before the machine is told; from then on this epoch can only end.
 * R8  it ends by an answer to a challenge made after CLOSING (`onStopped`), or by an audited declaration that the machine is
 *     dead (`declareDead`); never by a timer, by silence, or by an unasked "stopped".
 * What follows the end was fixed when closing began (`then`): stop, remove, or place anew.
 */
import { EMPTY_STATE, type OrchestratorFrameOf } from '@muster/contract';
import type { Desk } from './desk.ts';
import { type Agent, type ClosingThen, EPOCHS_PER_GENERATION, type Orchestrator } from './model.ts';
import { type Candidate, type PlacementAnswer, place } from './placement.ts';

/** How often an unanswered stop challenge is repeated, ms. */
export const STOP_QUERY_INTERVAL_MS = 5_000;
/** How often agents without a place are tried again, ms. */
export const PENDING_RETRY_INTERVAL_MS = 10_000;

interface OutstandingQuery {
  readonly epoch: number;
  readonly query: string;
  sentAt: number;
}

export interface CloseRequest {
  readonly why: string;
  readonly then: ClosingThen;
  readonly to: string | null;
  readonly keepState: boolean;
  readonly by: string;
}

export class AgentLives {
  /** Volatile: the challenge outstanding for a closing placement, by agent. Made anew after a restart, which is always safe. */
  readonly #queries = new Map<string, OutstandingQuery>();
  /** Agents that should run and have no place. */
  readonly #pending = new Set<string>();
  #retryPendingAt = Number.POSITIVE_INFINITY;

  /** Rebuild what follows from the facts, after a restart. */
  restore(desk: Desk): void {
    for (const agent of desk.facts.agents.values()) {
      if (agent.placement === null && agent.desired === 'running') this.#wait(desk, agent.id);
    }
  }

  nextDeadline(): number {
    let next = this.#pending.size > 0 ? this.#retryPendingAt : Number.POSITIVE_INFINITY;
    for (const query of this.#queries.values()) next = Math.min(next, query.sentAt + STOP_QUERY_INTERVAL_MS);
    return next;
  }

  tick(desk: Desk): void {
    for (const [agentId, query] of this.#queries) {
      if (desk.now.mono >= query.sentAt + STOP_QUERY_INTERVAL_MS) this.challenge(desk, agentId);
    }
    if (desk.now.mono >= this.#retryPendingAt) this.placePending(desk);
  }

  /** Try every agent without a place. Called when something may have become free. */
  placePending(desk: Desk): void {
    for (const agentId of [...this.#pending]) {
      const agent = desk.facts.agents.get(agentId);
      if (agent === undefined || agent.placement !== null || agent.desired !== 'running')
        this.#pending.delete(agentId);
      else this.placeAnew(desk, agent, { by: 'system' });
    }
    this.#retryPendingAt = desk.now.mono + PENDING_RETRY_INTERVAL_MS;
  }

  /** Where would this agent go? Counts places promised to running moves. */
  find(
    desk: Desk,
    agent: Pick<
      Agent,
      'customerId' | 'deploymentId' | 'spec' | 'strategy' | 'constraints' | 'pinnedTo' | 'stateOnlyAt'
    >,
    exclude: readonly string[] = [],
  ): PlacementAnswer {
    const { stateOnlyAt } = agent;
    const pin =
      stateOnlyAt === null
        ? {}
        : { pinnedTo: stateOnlyAt, pinnedWhy: 'does not hold the latest state of the agent' };
    return place({ ...agent, ...pin, exclude }, candidatesOf(desk, agent.customerId));
  }

  /** R1: assign a fresh epoch at a fixed holder. */
  assign(desk: Desk, agent: Agent, orchestratorId: string, reason: string, by: string): void {
    const floor = desk.facts.generation * EPOCHS_PER_GENERATION;
    const epoch =
      desk.mutants.has('epoch-reused') && agent.epoch > 0 ? agent.epoch : Math.max(agent.epoch, floor) + 1;
    const initialState = agent.stateAt === orchestratorId ? null : (agent.state ?? EMPTY_STATE);
    if (desk.mutants.has('epoch-reused')) agent.epoch = epoch - 1;
    desk.commit('agentPlaced', {
      agentId: agent.id,
      epoch,
      orchestratorId,
      orderId: desk.random.id('ord'),
      reason,
      initialState,
      by,
    });
    this.#pending.delete(agent.id);
    const present = desk.presence.of(orchestratorId);
    present?.observed.delete(agent.id);
    desk.publish('agent.placed', agent.customerId, {
      agent_id: agent.id,
      container_id: orchestratorId,
      epoch,
      reason,
    });
  }

  /** Place an agent that should run; keeps it waiting, with the reason, when nothing fits. */
  placeAnew(
    desk: Desk,
    agent: Agent,
    options: { to?: string | null; exclude?: readonly string[]; by: string },
  ): boolean {
    const wishes: PlacementAnswer[] = [];
    if (options.to != null) wishes.push(this.find(desk, { ...agent, pinnedTo: options.to }));
    // Sticky by default: the machine that holds the state first.
    else if (
      agent.pinnedTo === null &&
      agent.stateAt !== null &&
      options.exclude?.includes(agent.stateAt) !== true
    ) {
      wishes.push(this.find(desk, { ...agent, pinnedTo: agent.stateAt }));
    }
    const direct = wishes.find((answer) => answer.ok);
    const answer = direct ?? this.find(desk, agent, options.exclude);
    if (answer.ok) {
      this.assign(desk, agent, answer.orchestratorId, answer.reason, options.by);
      return true;
    }
    const reason =
      answer.reasons.map((item) => `${item.name} ${item.reason}`).join('; ') ||
      'no orchestrator of this customer is registered';
    this.#wait(desk, agent.id);
    if (agent.unplacedReason !== reason) {
      desk.commit('agentUnplaced', { agentId: agent.id, reason });
      desk.note('warn', 'agent.unplaced', { agentId: agent.id, reason });
      desk.publish('agent.unplaced', agent.customerId, { agent_id: agent.id, reason });
    }
    return false;
  }

  /** R6: begin the end of a placement, or redirect what follows it. */
  close(desk: Desk, agent: Agent, request: CloseRequest): void {
    const { placement } = agent;
    if (placement === null) throw new Error(`close: ${agent.id} has no placement`);
    if (placement.phase === 'CLOSING') {
      desk.commit('closingRedirected', {
        agentId: agent.id,
        epoch: placement.epoch,
        then: request.then,
        to: request.to,
        by: request.by,
      });
    } else {
      desk.commit('placementClosing', {
        agentId: agent.id,
        epoch: placement.epoch,
        orderId: desk.random.id('ord'),
        ...request,
      });
    }
    desk.publish('agent.closing', agent.customerId, {
      agent_id: agent.id,
      container_id: placement.orchestratorId,
      epoch: placement.epoch,
      why: request.why,
    });
    this.challenge(desk, agent.id);
  }

  /** R8: ask. The same query is repeated until it is answered; a new one is made per closing and per manager run. */
  challenge(desk: Desk, agentId: string): void {
    const placement = desk.facts.agents.get(agentId)?.placement;
    if (placement?.phase !== 'CLOSING') {
      this.#queries.delete(agentId);
      return;
    }
    let query = this.#queries.get(agentId);
    if (query?.epoch !== placement.epoch) {
      query = { epoch: placement.epoch, query: desk.random.id('q'), sentAt: desk.now.mono };
      this.#queries.set(agentId, query);
    }
    query.sentAt = desk.now.mono;
    const present = desk.presence.of(placement.orchestratorId);
    const orchestrator = desk.facts.orchestrators.get(placement.orchestratorId);
    if (
      present?.link == null ||
      present.session === null ||
      present.phase === 'reporting' ||
      orchestrator === undefined
    )
      return;
    desk.emit({
      kind: 'order',
      link: present.link,
      session: present.session,
      orchestratorId: orchestrator.id,
      customerId: orchestrator.customerId,
      body: { kind: 'stopQuery', stopQuery: { agentId, epoch: placement.epoch, query: query.query } },
    });
  }

  /** Challenge everything that is closing on a machine that has just come (back). */
  challengeAllOn(desk: Desk, orchestrator: Orchestrator): void {
    for (const entry of orchestrator.target.entries.values())
      if (entry.want === 'closing') this.challenge(desk, entry.agentId);
  }

  /** R8: an answer. Anything but the answer to the outstanding query of a CLOSING placement is a hint and changes nothing. */
  onStopped(desk: Desk, orchestratorId: string, frame: OrchestratorFrameOf<'stopped'>): void {
    const agent = desk.facts.agents.get(frame.agentId);
    const placement = agent?.placement;
    const query = this.#queries.get(frame.agentId);
    const believed =
      agent !== undefined &&
      placement?.phase === 'CLOSING' &&
      placement.orchestratorId === orchestratorId &&
      placement.epoch === frame.epoch &&
      (desk.mutants.has('stopped-unchallenged') ||
        (query?.epoch === frame.epoch && query.query === frame.query));
    if (!believed || agent === undefined || placement == null || placement.closing === null) {
      desk.note('warn', 'stopped.unasked', { orchestratorId, agentId: frame.agentId, epoch: frame.epoch });
      return;
    }
    this.#queries.delete(agent.id);
    const { then, to, keepState } = placement.closing;
    // A state that could not be taken along stays where it is, and so does the agent.
    const stay = then === 'place' && keepState && frame.stateError !== null;
    const given = desk.facts.orchestrators.get(orchestratorId)?.target.entries.get(agent.id)?.initialState;
    if (stay) desk.note('warn', 'agent.move-abandoned', { agentId: agent.id, reason: frame.stateError });
    desk.commit('placementReleased', {
      agentId: agent.id,
      epoch: placement.epoch,
      orderId: desk.random.id('ord'),
      how: 'confirmed',
      state: keepState ? frame.state : null,
      forgetState: !keepState,
      // No state at all, or just the one it was given: then it may have ended before that was installed.
      copyless: frame.stateError === null && (frame.state === null || frame.state.digest === given?.digest),
      stranded: keepState && frame.stateError !== null,
      purge: then === 'remove' || (then === 'place' && !stay && (frame.state !== null || !keepState)),
      by: 'system',
    });
    this.#follow(
      desk,
      agent,
      then,
      stay
        ? { to: orchestratorId }
        : to === null
          ? { exclude: then === 'place' ? [orchestratorId] : [] }
          : { to },
    );
    this.placePending(desk);
  }

  /**
   * A person declares the machine dead for good (or it joined anew with another key, its data lost): the audited way to free
   * what it held. `back`: the same machine may be chosen again.
   */
  declareDead(desk: Desk, agent: Agent, by: string, back = false): void {
    const { placement } = agent;
    if (placement === null) return;
    if (placement.phase === 'OPEN') {
      const then = agent.desired === 'running' ? 'place' : agent.desired === 'removed' ? 'remove' : 'stop';
      this.close(desk, agent, { why: 'the machine was declared dead', then, to: null, keepState: true, by });
    }
    const then = agent.placement?.closing?.then ?? 'place';
    this.#queries.delete(agent.id);
    desk.commit('placementReleased', {
      agentId: agent.id,
      epoch: placement.epoch,
      orderId: desk.random.id('ord'),
      how: 'declared-dead',
      state: null,
      forgetState: false,
      purge: false,
      by,
    });
    this.#follow(
      desk,
      agent,
      then,
      back ? { to: placement.orchestratorId } : { exclude: [placement.orchestratorId] },
    );
  }

  #follow(
    desk: Desk,
    agent: Agent,
    then: ClosingThen,
    where: { to?: string; exclude?: readonly string[] },
  ): void {
    desk.publish('agent.released', agent.customerId, { agent_id: agent.id, then });
    if (then === 'remove') {
      desk.commit('agentRemoved', { agentId: agent.id });
      desk.publish('agent.removed', agent.customerId, { agent_id: agent.id });
    } else if (then === 'place' && agent.desired === 'running') {
      if (!this.placeAnew(desk, agent, { ...where, by: 'system' }) && where.exclude !== undefined) {
        // Better back where it came from than nowhere, if that place still takes it.
        this.placeAnew(desk, agent, { by: 'system' });
      }
    }
  }

  #wait(desk: Desk, agentId: string): void {
    this.#pending.add(agentId);
    if (this.#retryPendingAt === Number.POSITIVE_INFINITY)
      this.#retryPendingAt = desk.now.mono + PENDING_RETRY_INTERVAL_MS;
  }
}

/** The customer's orchestrators as placement sees them. */
export function candidatesOf(desk: Desk, customerId: string): Candidate[] {
  const promised = promisedPlaces(desk);
  const candidates: Candidate[] = [];
  for (const orchestrator of desk.facts.orchestrators.values()) {
    const borderless = desk.mutants.has('customer-border');
    if (orchestrator.customerId !== customerId && !borderless) continue;
    const seen = borderless ? { ...orchestrator, customerId } : orchestrator;
    candidates.push(candidateOf(desk, seen, promised.get(orchestrator.id) ?? 0));
  }
  return candidates;
}

/** Places promised to moves that are still stopping at their source. */
function promisedPlaces(desk: Desk): Map<string, number> {
  const promised = new Map<string, number>();
  for (const agent of desk.facts.agents.values()) {
    const to = agent.placement?.closing?.to;
    if (to != null) promised.set(to, (promised.get(to) ?? 0) + 1);
  }
  return promised;
}

export function candidateOf(desk: Desk, orchestrator: Orchestrator, promised = 0): Candidate {
  const present = desk.presence.of(orchestrator.id);
  const agentTypes = new Map<string, number>();
  const deployments = new Map<string, number>();
  let memory = 0;
  let cores = 0;
  for (const entry of orchestrator.target.entries.values()) {
    memory += entry.spec.resources.memoryBytes;
    cores += entry.spec.resources.cpuCores;
    agentTypes.set(entry.spec.type, (agentTypes.get(entry.spec.type) ?? 0) + 1);
    const deployment = desk.facts.agents.get(entry.agentId)?.deploymentId;
    if (deployment !== undefined) deployments.set(deployment, (deployments.get(deployment) ?? 0) + 1);
  }
  // The customer's own agents take places too: the machine's ceiling counts them.
  let local = 0;
  for (const report of present?.observed.values() ?? []) if (report.local) local += 1;
  const eligible =
    present?.phase === 'eligible' && (present.reachability === 'fresh' || present.reachability === 'late');
  return {
    orchestrator,
    eligible,
    ineligibleReason: eligible
      ? ''
      : ineligibleReason(present?.phase ?? 'none', present?.lastSeenWall ?? null),
    resources: { ...orchestrator.resources, ...present?.resources },
    placed: desk.mutants.has('capacity-ignored') ? 0 : orchestrator.target.entries.size + promised + local,
    placedMemoryBytes: memory,
    placedCpuCores: cores,
    agentTypes,
    deployments,
  };
}

function ineligibleReason(phase: string, lastSeenWall: number | null): string {
  if (phase === 'reporting' || phase === 'reconciling')
    return 'has just connected and is being reconciled; try again in a second';
  return lastSeenWall === null ? 'has not connected since this manager started' : 'is not connected';
}
