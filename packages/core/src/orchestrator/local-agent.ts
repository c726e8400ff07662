/**
 * One agent as this machine sees it, and the next single step towards what it should be.
 *
 * `nextStep` is the whole reconciliation: level-triggered and idempotent, it looks at wish and reality and names at most one
 * thing to do. While an operation on the agent is in flight nothing else is begun, so operations on one agent never overlap.
 */
import type {
  AgentExit,
  AgentLifecycle,
  AgentReport,
  AgentStatus,
  BlobRef,
  TargetEntry,
  Tombstone,
} from '@muster/contract';
import { type Instant, never } from '../machine.ts';

export type Operation = 'spawn' | 'stop' | 'release' | 'install' | 'collect' | 'purge';

/** Operations whose answer comes from the keeper, and never comes when the keeper has gone; the others are the daemon's own. */
export const isAskedOfKeeper = (operation: Operation | null): boolean =>
  operation === 'spawn' || operation === 'stop' || operation === 'release';

export interface LocalAgent {
  readonly id: string;
  /** The live process, as the keeper last told. */
  process: { epoch: number; sub: number; pid: number | null; startedAt: Instant; restarts: number } | null;
  /** Highest epoch run or released here. */
  knownEpoch: number;
  /** Highest epoch the keeper will never start again; a guard, not yet a proof that it is dead. */
  releasedEpoch: number;
  /** Highest epoch whose release the keeper has confirmed to this daemon: dead, and in-flight time over. */
  confirmedDead: number;
  lastSub: number;
  /** The operation in flight, if any. */
  operation: Operation | null;
  /** Restart orders the spawn in flight satisfies. */
  spawningRestarts: number;
  ready: boolean;
  health: { state: AgentLifecycle; ok: boolean; detail: string } | null;
  /** Failures in a row, and unasked ends under the present epoch. */
  failures: number;
  crashes: number;
  crashesEpoch: number;
  notBefore: Instant;
  lastExit: AgentExit | null;
  /** Why the last operation failed, and when it may be tried again; empty when it did not. */
  problem: string;
  retryAt: Instant;
  /** The present epoch cannot be started here before `until` (for good: never); cleared by a newer epoch or restart order. */
  blocked: {
    epoch: number;
    restarts: number;
    outcome: 'failed' | 'refused';
    message: string;
    until: Instant;
  } | null;
  /** R8: the manager's challenge still to be answered. */
  challenge: { epoch: number; query: string } | null;
  /** What the release of this epoch left behind, to answer repeated challenges alike. */
  remains: { epoch: number; state: BlobRef | null; error: string | null } | null;
  stateBytes: number | null;
  since: number;
  status: AgentStatus;
  detail: string;
}

export function freshAgent(id: string, wall: number): LocalAgent {
  return {
    id,
    process: null,
    knownEpoch: 0,
    releasedEpoch: 0,
    confirmedDead: 0,
    lastSub: 0,
    operation: null,
    spawningRestarts: 0,
    ready: false,
    health: null,
    failures: 0,
    crashes: 0,
    crashesEpoch: 0,
    notBefore: 0,
    lastExit: null,
    problem: '',
    retryAt: 0,
    blocked: null,
    challenge: null,
    remains: null,
    stateBytes: null,
    since: wall,
    status: 'pending',
    detail: '',
  };
}

export interface Wish {
  /** Target entry or local entry; null: none. */
  readonly entry: TargetEntry | null;
  readonly tombstone: Tombstone | null;
  /** Held by the customer. */
  readonly held: { readonly by: string; readonly reason: string } | null;
  /** Epoch whose initial state is installed. */
  readonly installedEpoch: number;
}

export type Step =
  | { readonly do: 'spawn' }
  | { readonly do: 'stop'; readonly reason: string }
  | { readonly do: 'release'; readonly epoch: number }
  | { readonly do: 'install' }
  | { readonly do: 'collect'; readonly epoch: number }
  | { readonly do: 'answerChallenge' }
  | { readonly do: 'purge' }
  | { readonly do: 'buryDone' }
  | { readonly do: 'wait'; readonly until: Instant };

const rest: Step = { do: 'wait', until: never };

/** The next single step, given the wish, the agent and the time. Pure. */
export function nextStep(agent: LocalAgent, wish: Wish, now: Instant): Step {
  if (agent.operation !== null) return rest;
  if (now < agent.retryAt) return { do: 'wait', until: agent.retryAt };
  const { challenge } = agent;
  if (challenge !== null) {
    // "Stopped" says that nothing of the agent lives here; a manager whose memory was set back may ask about too low an epoch.
    const ended = Math.max(challenge.epoch, agent.process?.epoch ?? 0);
    if (agent.confirmedDead < ended) return { do: 'release', epoch: ended };
    if (agent.remains === null || agent.remains.epoch < challenge.epoch)
      return { do: 'collect', epoch: challenge.epoch };
    return { do: 'answerChallenge' };
  }
  if (wish.tombstone !== null && (wish.entry === null || wish.entry.epoch <= wish.tombstone.epoch)) {
    if (agent.confirmedDead < wish.tombstone.epoch) return { do: 'release', epoch: wish.tombstone.epoch };
    return wish.tombstone.purge ? { do: 'purge' } : { do: 'buryDone' };
  }
  const { entry } = wish;
  // The customer's stop also reaches a process whose order is not known here.
  if (wish.held !== null)
    return agent.process === null ? rest : { do: 'stop', reason: `stopped by ${wish.held.by}` };
  if (entry === null) return rest;
  if (entry.want === 'closing') return agent.process === null ? rest : { do: 'stop', reason: 'closing' };
  if (agent.process !== null) {
    if (agent.process.epoch < entry.epoch) return { do: 'stop', reason: 'a newer placement replaces it' };
    if (agent.process.restarts < entry.restarts) return { do: 'stop', reason: 'restart ordered' };
    return rest;
  }
  if (entry.epoch <= agent.releasedEpoch) return rest;
  const { blocked } = agent;
  if (
    blocked !== null &&
    blocked.epoch === entry.epoch &&
    blocked.restarts === entry.restarts &&
    now < blocked.until
  ) {
    return { do: 'wait', until: blocked.until };
  }
  if (entry.initialState !== null && wish.installedEpoch < entry.epoch && agent.knownEpoch < entry.epoch) {
    return now < agent.notBefore ? { do: 'wait', until: agent.notBefore } : { do: 'install' };
  }
  return now < agent.notBefore ? { do: 'wait', until: agent.notBefore } : { do: 'spawn' };
}

/** The one status word of an agent, and why. */
export function statusOf(agent: LocalAgent, wish: Wish): { status: AgentStatus; detail: string } {
  const { entry, held } = wish;
  if (held !== null) {
    if (agent.process !== null) return { status: 'stopping', detail: `stopped by ${held.by}` };
    return { status: 'stopped-by-customer', detail: `${held.by}: ${held.reason}`.slice(0, 1000) };
  }
  if (entry === null || entry.want === 'closing')
    return { status: agent.process === null ? 'stopped' : 'stopping', detail: agent.problem };
  if (agent.process === null) {
    if (agent.blocked !== null && agent.blocked.epoch === entry.epoch)
      return { status: 'failed', detail: agent.blocked.message };
    if (agent.problem !== '') return { status: 'starting', detail: agent.problem };
    if (agent.failures >= 3) return { status: 'crash-looping', detail: exitSentence(agent) };
    if (agent.operation === 'install') return { status: 'starting', detail: 'its state is being installed' };
    return { status: 'starting', detail: agent.failures > 0 ? exitSentence(agent) : '' };
  }
  if (agent.operation === 'stop' || agent.operation === 'release') return { status: 'stopping', detail: '' };
  const { health } = agent;
  if (health?.state === 'failed') return { status: 'failed', detail: health.detail };
  if (!agent.ready) return { status: 'starting', detail: health?.detail ?? '' };
  if (health === null) return { status: 'running', detail: '' };
  return { status: health.ok ? 'healthy' : 'degraded', detail: health.detail };
}

export function exitSentence(agent: LocalAgent): string {
  const exit = agent.lastExit;
  if (exit === null) return `failed ${agent.failures} times in a row`;
  const how = exit.signal === null ? `exit code ${exit.code ?? 'unknown'}` : `signal ${exit.signal}`;
  return `ended with ${how}; failure ${agent.failures} in a row`;
}

export function reportOf(agent: LocalAgent, entry: TargetEntry | null, local: boolean): AgentReport {
  return {
    agentId: agent.id,
    epoch: agent.process?.epoch ?? entry?.epoch ?? agent.knownEpoch,
    sub: agent.process?.sub ?? agent.lastSub,
    status: agent.status,
    pid: agent.process?.pid ?? null,
    since: agent.since,
    crashes: agent.crashes,
    detail: agent.detail,
    lastExit:
      agent.lastExit === null
        ? null
        : { code: agent.lastExit.code, signal: agent.lastExit.signal, at: agent.lastExit.at },
    stateBytes: agent.stateBytes,
    local,
  };
}
