/**
 * What the keeper and the agents themselves tell: processes found again, started, ended, released; state installed, collected,
 * purged; readiness and health. Only facts are taken over here; what to do next is decided in `steps.ts`.
 */
import type { KeeperAgent } from '@muster/contract';
import { never } from '../machine.ts';
import { entryOf, type OrchestratorDesk, touch } from './desk.ts';
import type { OrchestratorInput } from './inputs.ts';
import { isAskedOfKeeper, type LocalAgent } from './local-agent.ts';
import { RESTART_RESET_AFTER_MS, restartDelayMs } from './restart-policy.ts';
import { buried, conclude, concludeRun } from './target.ts';

/** Wait before an operation that failed is tried again, ms. */
const RETRY_OPERATION_MS = 2_000;
const restartsOf = (note: string): number => (/^r\d+$/.test(note) ? Number(note.slice(1)) : 0);
/** The note kept in the keeper's durable record: which restart order a process satisfies. */
export const noteOf = (restarts: number): string => `r${restarts}`;

export function onKeeperUp(desk: OrchestratorDesk, known: readonly KeeperAgent[]): void {
  const { facts } = desk;
  const seen = new Set(known.map((item) => item.agent));
  for (const item of known) takeOver(desk, touch(desk, item.agent), item);
  for (const agent of desk.agents.values()) {
    if (!seen.has(agent.id)) {
      agent.process = null;
      if (isAskedOfKeeper(agent.operation)) agent.operation = null;
    }
    desk.dirty.add(agent.id);
  }
  for (const id of [...facts.entries.keys(), ...facts.local.keys(), ...facts.tombstones.keys()])
    touch(desk, id);
  const running = known.filter((item) => item.running !== null).length;
  desk.note('info', 'keeper.up', { agents: known.length, running });
}

function takeOver(desk: OrchestratorDesk, agent: LocalAgent, item: KeeperAgent): void {
  const before = agent.process;
  // Work on the state directory goes on: nothing may start on it meanwhile.
  if (isAskedOfKeeper(agent.operation)) agent.operation = null;
  agent.knownEpoch = Math.max(agent.knownEpoch, item.ranEpoch, item.releasedEpoch);
  agent.releasedEpoch = Math.max(agent.releasedEpoch, item.releasedEpoch);
  agent.lastSub = item.sub;
  // An incarnation never comes back: a list that still names one whose end was told is older than that end.
  const isOver = agent.lastExit?.epoch === item.ranEpoch && agent.lastExit.sub === item.sub;
  if (item.running === null || isOver) {
    agent.process = null;
    if (!isOver && item.lastExit !== null && item.lastExit.at !== agent.lastExit?.at)
      ended(desk, agent, item.lastExit);
    return;
  }
  agent.process = {
    epoch: item.ranEpoch,
    sub: item.sub,
    pid: item.running.hostPid ?? item.running.pid,
    startedAt: before?.startedAt ?? desk.now.mono,
    restarts: restartsOf(item.note),
  };
  // A process found again was at work before; it says so itself as soon as its socket is back.
  if (before?.epoch !== item.ranEpoch || before.sub !== item.sub) agent.ready = true;
  if (item.running.stopping) agent.operation = 'stop';
  concludeRun(desk, agent);
}

/** The keeper is gone and its agents with it; whatever was in flight is unknown until it is back. */
export function onKeeperDown(desk: OrchestratorDesk): void {
  for (const agent of desk.agents.values()) {
    if (agent.process !== null) agent.crashes += 1;
    agent.process = null;
    if (isAskedOfKeeper(agent.operation)) agent.operation = null;
    agent.ready = false;
    agent.health = null;
    desk.dirty.add(agent.id);
  }
  desk.note('error', 'keeper.down', {});
}

function ended(desk: OrchestratorDesk, agent: LocalAgent, exit: LocalAgent['lastExit']): void {
  const { mono } = desk.now;
  const startedAt = agent.process?.startedAt ?? mono;
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
  agent.failures = mono - startedAt >= RESTART_RESET_AFTER_MS ? 1 : agent.failures + 1;
  agent.notBefore = mono + restartDelayMs(agent.failures, desk.random.fraction());
  const { code, signal } = exit;
  desk.note('warn', 'agent.exited', { agentId: agent.id, code, signal, failures: agent.failures });
}

export type AgentInput = Extract<OrchestratorInput, { readonly agentId: string }>;

export function onAgent(desk: OrchestratorDesk, input: AgentInput): void {
  const agent = desk.agents.get(input.agentId);
  if (agent === undefined) return;
  // Numbers travel with the beats; they change nothing that a status would tell.
  if (input.kind !== 'agentMetrics') desk.dirty.add(agent.id);
  switch (input.kind) {
    case 'spawned':
      return spawned(desk, agent, input);
    case 'spawnFailed':
      return spawnFailed(desk, agent, input);
    case 'exited': {
      const mine = agent.process?.epoch === input.exit.epoch && agent.process.sub === input.exit.sub;
      if (agent.process === null || mine) ended(desk, agent, input.exit);
      return;
    }
    case 'stopAnswered':
      // The end comes as `exited`; if nothing ran there is nothing to wait for.
      if (input.wasRunning) return;
      agent.process = null;
      if (agent.operation === 'stop') agent.operation = null;
      return;
    case 'released':
      // Asked twice when the keeper's answer was in doubt: the second answer must not end work on the state directory.
      if (isAskedOfKeeper(agent.operation)) agent.operation = null;
      agent.problem = '';
      agent.releasedEpoch = Math.max(agent.releasedEpoch, input.epoch);
      agent.confirmedDead = Math.max(agent.confirmedDead, input.epoch);
      agent.knownEpoch = Math.max(agent.knownEpoch, input.epoch);
      if (agent.process !== null && agent.process.epoch <= input.epoch) agent.process = null;
      return;
    case 'releaseFailed':
      if (!isAskedOfKeeper(agent.operation)) return;
      return retryLater(desk, agent, 'stopping it for good', input.message);
    case 'stateReady':
      if (agent.operation !== 'install') return;
      agent.operation = null;
      agent.problem = '';
      return desk.commit('stateInstalled', { agentId: agent.id, epoch: input.epoch });
    case 'stateFailed':
      if (agent.operation !== 'install') return;
      return retryLater(desk, agent, 'installing its state', input.message);
    case 'stateCollected':
      if (agent.operation !== 'collect') return;
      agent.operation = null;
      agent.remains = { epoch: input.epoch, state: input.state, error: input.error };
      return;
    case 'statePurged':
      if (agent.operation !== 'purge') return;
      agent.operation = null;
      return buried(desk, agent);
    case 'agentReady':
      if (isCurrent(agent, input)) agent.ready = true;
      return;
    case 'agentHealth':
      if (isCurrent(agent, input)) agent.health = { state: input.state, ok: input.ok, detail: input.detail };
      return;
    case 'agentMetrics':
      return desk.link.metrics(agent.id, input.values);
    case 'stateSize':
      agent.stateBytes = input.bytes;
      return;
  }
}

const isCurrent = (agent: LocalAgent, said: { readonly epoch: number; readonly sub: number }): boolean =>
  agent.process?.epoch === said.epoch && agent.process.sub === said.sub;

function spawned(
  desk: OrchestratorDesk,
  agent: LocalAgent,
  input: Extract<OrchestratorInput, { kind: 'spawned' }>,
): void {
  const { epoch, sub } = input;
  const pid = input.hostPid ?? input.pid;
  if (isAskedOfKeeper(agent.operation)) agent.operation = null;
  agent.knownEpoch = Math.max(agent.knownEpoch, epoch);
  agent.lastSub = sub;
  agent.ready = false;
  agent.health = null;
  agent.blocked = null;
  agent.remains = null;
  agent.process = { epoch, sub, pid, startedAt: desk.now.mono, restarts: agent.spawningRestarts };
  desk.note('info', 'agent.spawned', { agentId: agent.id, epoch, sub, pid });
  concludeRun(desk, agent);
}

/** An operation failed for a reason that may pass: try again in a while, and do nothing else with the agent until then. */
function retryLater(desk: OrchestratorDesk, agent: LocalAgent, what: string, message: string): void {
  desk.note('error', 'agent.operation-failed', { agentId: agent.id, what, message });
  agent.operation = null;
  agent.problem = `${what} failed: ${message}`.slice(0, 1000);
  agent.retryAt = desk.mutants.has('retry-forgotten') ? never : desk.now.mono + RETRY_OPERATION_MS;
}

function spawnFailed(
  desk: OrchestratorDesk,
  agent: LocalAgent,
  input: Extract<OrchestratorInput, { kind: 'spawnFailed' }>,
): void {
  if (isAskedOfKeeper(agent.operation)) agent.operation = null;
  const { code, message, epoch } = input;
  desk.note('error', 'agent.spawn-failed', { agentId: agent.id, epoch, code, message });
  const entry = entryOf(desk.facts, agent.id);
  if (entry === null || entry.epoch !== epoch) return;
  if (code === 'unknown-type' || code === 'epoch-released' || code === 'epoch-stale') {
    const outcome = code === 'unknown-type' ? 'refused' : 'failed';
    agent.blocked = { epoch, restarts: entry.restarts, outcome, message, until: never };
    return conclude(desk, entry, outcome, message);
  }
  agent.failures += 1;
  const delayMs = Math.max(RETRY_OPERATION_MS, restartDelayMs(agent.failures, desk.random.fraction()));
  agent.notBefore = desk.now.mono + delayMs;
  const concluded = desk.facts.concluded.get(agent.id) === entry.orderId;
  if (code === 'spawn-failed' && agent.failures >= 3 && !concluded) conclude(desk, entry, 'failed', message);
}
