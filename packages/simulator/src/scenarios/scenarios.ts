/** The scripted situations, each with the property it shows. */

import { onePlacementRunsOnce } from '../checkers/one-placement-runs-once.ts';
import { stoppedStaysStopped } from '../checkers/stopped-stays-stopped.ts';
import { setBlocked } from '../network.ts';
import type { Scenario, Stage } from './stage.ts';

/**
 * A machine's daemon comes back with an older journal (a restored snapshot of its volume) in which an agent still runs that
 * has long been moved away, and it cannot reach the manager. The keeper's own record is the last guard.
 */
const olderJournal: Scenario = {
  name: 'older-journal-starts-nothing',
  checkers: (world) => [onePlacementRunsOnce(world), stoppedStaysStopped(world)],
  play(stage) {
    const [first, second] = stage.hosts;
    if (first === undefined || second === undefined) return;
    const agentId = stage.deployOn(first);
    const before = first.disk.durableSeq;
    const to = second.identity?.orchestratorId ?? null;
    stage.order({ kind: 'migrateAgent', agentId, to, reason: 'test', preserveState: true });
    stage.expect(running(stage, agentId) === 'o2', 'the agent did not move');
    setBlocked(first.line, 'up', true);
    setBlocked(first.line, 'down', true);
    first.crash();
    first.disk.restore(before);
    first.boot();
    stage.pass(30_000);
    stage.expect(running(stage, agentId) === 'o2', 'the agent does not run where it was moved to');
    setBlocked(first.line, 'up', false);
    setBlocked(first.line, 'down', false);
    stage.pass(90_000);
    stage.expect(running(stage, agentId) === 'o2', 'the agent does not stay where it was moved to');
  },
};

/**
 * The manager is restored from a backup that does not know an agent: its history gets a new generation, the agent is neither
 * stopped nor forgotten by its machine. Then the old manager comes back to life: the machine obeys it in nothing.
 */
const restoredBackup: Scenario = {
  name: 'restored-backup-removes-nothing',
  checkers: (world) => [onePlacementRunsOnce(world)],
  play(stage) {
    const { fleet } = stage;
    const [first] = stage.hosts;
    if (first === undefined) return;
    const backup = fleet.manager.disk.durableSeq;
    const agentId = stage.deployOn(first);
    const latest = fleet.manager.disk.durableSeq;
    const oldHistory = [...fleet.manager.disk.durableRecords];
    restart(stage, () => {
      fleet.manager.disk.restore(backup);
      fleet.manager.disk.adopt([
        { kind: 'generationRaised', at: 0, body: { generation: 2, reason: 'restored' } },
      ]);
    });
    const { facts } = first.daemon?.machine ?? {};
    stage.expect(facts?.generation === 2, 'o1 did not learn of the new generation');
    stage.expect(running(stage, agentId) === 'o1', 'an agent that the backup does not know was stopped');
    stage.expect(facts?.entries.has(agentId) === true, 'o1 forgot an agent that the backup does not know');
    restart(stage, () => {
      fleet.manager.disk.restore(0);
      fleet.manager.disk.adopt(oldHistory.slice(0, latest));
    });
    stage.expect(
      first.daemon?.machine.facts.generation === 2,
      'o1 obeyed the manager of the older generation',
    );
    stage.expect(
      running(stage, agentId) === 'o1',
      'the agent was stopped by the manager of the older generation',
    );
  },
};

/**
 * A person declares a machine dead that is merely cut off. From then on two copies may live, which is what he answered for;
 * but the machine finds its standing stop as soon as it is heard again, and only the new copy goes on.
 */
const standingStop: Scenario = {
  name: 'returning-machine-finds-its-standing-stop',
  checkers: () => [],
  play(stage) {
    const [first, second] = stage.hosts;
    if (first === undefined || second?.identity == null) return;
    const drain = { kind: 'drain', orchestratorId: second.identity.orchestratorId, reason: 'test' } as const;
    stage.order({ ...drain, draining: true });
    const agentId = stage.deployOn(null);
    stage.order({ ...drain, draining: false });
    setBlocked(first.line, 'up', true);
    setBlocked(first.line, 'down', true);
    const orchestratorId = first.identity?.orchestratorId ?? '';
    stage.order({ kind: 'deregister', orchestratorId, force: true });
    const everywhere = [...(stage.world.processes.get(agentId) ?? [])].map((process) => process.host);
    stage.expect(everywhere.includes('o2'), 'the agent was not placed on the machine that is left');
    setBlocked(first.line, 'up', false);
    setBlocked(first.line, 'down', false);
    stage.pass(120_000);
    const left = [...(stage.world.processes.get(agentId) ?? [])].map((process) => process.host);
    stage.expect(
      left.length === 1 && left[0] === 'o2',
      `after the return the agent lives on ${left.join(', ')}`,
    );
    const waiting = first.daemon?.machine.facts.tombstones.size;
    stage.expect(waiting === 0, 'the standing stop was not carried out to its end');
  },
};

function restart(stage: Stage, meanwhile: () => void): void {
  stage.fleet.manager.crash(1_000);
  meanwhile();
  stage.pass(90_000);
}

/** The one machine an agent lives on; null: none. */
function running(stage: Stage, agentId: string): string | null {
  const [process] = stage.world.processes.get(agentId) ?? [];
  return process?.host ?? null;
}

export const scenarios: readonly Scenario[] = [olderJournal, restoredBackup, standingStop];
