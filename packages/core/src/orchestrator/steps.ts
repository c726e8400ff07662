/**
 * Carrying out reconciliation: asks `nextStep` of each touched agent and turns the step into effects. Operations that need
 * the keeper or the disk mark the agent busy until their answer comes back as an input.
 */
import { EMPTY_STATE, type TargetEntry } from '@muster/contract';
import { never } from '../machine.ts';
import { entryOf, type OrchestratorDesk } from './desk.ts';
import { type LocalAgent, nextStep, type Wish } from './local-agent.ts';
import { noteOf } from './processes.ts';
import { buried, conclude } from './target.ts';

const DEFAULT_STOP_GRACE_MS = 5_000;
/** How often a start that the machine's own ceiling refused is tried again, ms. */
const FULL_RETRY_MS = 5_000;

export function wishOf(desk: OrchestratorDesk, agentId: string): Wish {
  const { facts } = desk;
  return {
    entry: entryOf(facts, agentId),
    tombstone: facts.tombstones.get(agentId) ?? null,
    held: desk.mutants.has('hold-forgotten') ? null : (facts.holdAll ?? facts.holds.get(agentId) ?? null),
    installedEpoch: facts.installed.get(agentId) ?? 0,
  };
}

/** Bring every touched agent as far as it can go without waiting. */
export function reconcile(desk: OrchestratorDesk): void {
  for (const id of desk.dirty) {
    const agent = desk.agents.get(id);
    if (agent === undefined) continue;
    // Steps that end at once lead to the next one; the bound only guards against a loop that a bug would make.
    for (let guard = 0; guard < 8 && advance(desk, agent); guard += 1);
  }
}

/** Carry out the next step of one agent. True: look again. */
function advance(desk: OrchestratorDesk, agent: LocalAgent): boolean {
  const wish = wishOf(desk, agent.id);
  const step = nextStep(agent, wish, desk.now.mono);
  const { entry } = wish;
  const agentId = agent.id;
  const graceMs = entry?.spec.stopGraceMs ?? DEFAULT_STOP_GRACE_MS;
  switch (step.do) {
    case 'wait':
      if (step.until !== never) desk.waiting.set(agentId, step.until);
      else desk.waiting.delete(agentId);
      return false;
    case 'spawn':
      if (entry === null || !mayStart(desk, agent, entry)) return false;
      agent.operation = 'spawn';
      agent.spawningRestarts = entry.restarts;
      desk.emit({
        kind: 'spawn',
        agentId,
        epoch: entry.epoch,
        spec: entry.spec,
        note: noteOf(desk.mutants.has('restart-not-durable') ? 0 : entry.restarts),
      });
      return false;
    case 'stop':
      agent.operation = 'stop';
      desk.emit({ kind: 'stopProcess', agentId, graceMs, reason: step.reason });
      return false;
    case 'release':
      agent.operation = 'release';
      desk.emit({
        kind: 'release',
        agentId,
        epoch: step.epoch,
        graceMs,
        inFlightMs: entry?.spec.inFlightMs ?? 0,
      });
      return false;
    case 'install':
      if (entry?.initialState == null) return false;
      if (desk.mutants.has('state-not-installed')) {
        desk.commit('stateInstalled', { agentId, epoch: entry.epoch });
        return true;
      }
      agent.operation = 'install';
      desk.emit({ kind: 'installState', agentId, epoch: entry.epoch, state: entry.initialState });
      return false;
    case 'collect':
      if (takeUntouchedState(agent, wish, step.epoch)) return true;
      agent.operation = 'collect';
      desk.emit({ kind: 'collectState', agentId, epoch: step.epoch });
      return false;
    case 'answerChallenge':
      answerChallenge(desk, agent, entry);
      return true;
    case 'purge':
      agent.operation = 'purge';
      desk.emit({ kind: 'purgeState', agentId });
      return false;
    case 'buryDone':
      buried(desk, agent);
      return false;
  }
}

/** It never began here: what it would have begun with is still its state, and the manager's copy the only one. */
function takeUntouchedState(agent: LocalAgent, { entry, installedEpoch }: Wish, epoch: number): boolean {
  const given = entry?.epoch === epoch ? entry.initialState : null;
  if (given === null || installedEpoch >= epoch) return false;
  agent.remains = { epoch, state: given.digest === EMPTY_STATE.digest ? null : given, error: null };
  return true;
}

/** R8: the keeper has durably released the epoch; now, and only now, say so. */
function answerChallenge(desk: OrchestratorDesk, agent: LocalAgent, entry: TargetEntry | null): void {
  const { challenge, remains } = agent;
  if (challenge === null || remains === null) return;
  agent.challenge = null;
  const { epoch, query } = challenge;
  const closing = entry?.want === 'closing' && entry.epoch === epoch;
  if (closing && desk.facts.concluded.get(agent.id) !== entry.orderId) {
    conclude(desk, entry, 'succeeded', 'stopped and released');
    // The receipt of the close travels before its confirmation, which makes the order history.
    desk.link.flushReceipts(desk.emit);
  }
  const { state, error: stateError } = remains;
  desk.emit({ kind: 'send', frame: { t: 'stopped', agentId: agent.id, epoch, query, state, stateError } });
}

/** The machine's own ceiling, whatever the manager thinks. */
function mayStart(desk: OrchestratorDesk, agent: LocalAgent, entry: TargetEntry): boolean {
  if (desk.mutants.has('ceiling-ignored')) return true;
  let running = 0;
  for (const other of desk.agents.values())
    if (other.process !== null || other.operation === 'spawn') running += 1;
  if (running < desk.maxAgents) return true;
  const message = `This machine runs ${running} agents already; its own limit (max_agents) is ${desk.maxAgents}.`;
  const { epoch, restarts } = entry;
  // Room comes back by itself when another agent ends, so this is tried again.
  const until = desk.now.mono + FULL_RETRY_MS;
  agent.blocked = { epoch, restarts, outcome: 'refused', message, until };
  desk.waiting.set(agent.id, until);
  if (desk.facts.concluded.get(agent.id) !== entry.orderId) conclude(desk, entry, 'refused', message);
  return false;
}
