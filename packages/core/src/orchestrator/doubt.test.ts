/** Answers that come late, twice, or about another time: none of them may free, start or leave an agent wrongly. */
import type { KeeperAgent } from '@muster/contract';
import { describe, expect, it } from 'vitest';
import { OrchestratorBench as Bench, entry } from '../testing/orchestrator-bench.ts';

const running = (agent: string, epoch: number, sub: number): KeeperAgent => ({
  agent,
  ranEpoch: epoch,
  releasedEpoch: 0,
  sub,
  note: 'r0',
  running: { pid: 7, hostPid: 107, startedUptimeMs: 0, stopping: false },
  lastExit: null,
});
const ask = (bench: Bench, epoch: number, query: string): void =>
  void bench.input({ kind: 'order', body: { kind: 'stopQuery', stopQuery: { agentId: 'a', epoch, query } } });

describe('a list of the keeper that is older than an exit', () => {
  it('does not bring the ended process back, so that the agent is started again', () => {
    const bench = new Bench().start().run('a', 5);
    bench.exit('a', 5, 1);
    bench.input({ kind: 'spawned', agentId: 'a', epoch: 5, sub: 2, pid: 8, hostPid: 8 });
    bench.exit('a', 5, 2);
    bench.input({ kind: 'keeperUp', agents: [running('a', 5, 2)] });
    expect(bench.machine.agents.get('a')?.process).toBeNull();
    bench.pass(2_000);
    expect(bench.kinds()).toContain('spawn');
  });

  it('is believed about an incarnation whose end was not told', () => {
    const bench = new Bench().start().run('a', 5);
    bench.exit('a', 5, 1);
    bench.input({ kind: 'keeperUp', agents: [running('a', 5, 2)] });
    expect(bench.machine.agents.get('a')?.process).toMatchObject({ epoch: 5, sub: 2 });
    expect(bench.kinds()).not.toContain('spawn');
  });
});

describe('an answer that comes twice', () => {
  it('does not end work on the state directory that began in between', () => {
    const bench = new Bench().start().run('a', 5);
    ask(bench, 5, 'q1');
    // The keeper's answer was in doubt, so the release was asked for again.
    bench.input({ kind: 'keeperUp', agents: [{ ...running('a', 5, 1), releasedEpoch: 5, running: null }] });
    expect(bench.kinds()).toContain('release');
    bench.input({ kind: 'released', agentId: 'a', epoch: 5 });
    expect(bench.kinds()).toEqual(['collectState']);
    bench.input({ kind: 'released', agentId: 'a', epoch: 5 });
    expect(bench.kinds()).toEqual([]);
    expect(bench.machine.agents.get('a')?.operation).toBe('collect');
    bench.input({ kind: 'stateCollected', agentId: 'a', epoch: 5, state: null, error: null });
    expect(bench.kinds()).toContain('stopped');
  });

  it('does not start an agent whose state is still being installed', () => {
    const bench = new Bench().start();
    const initialState = { digest: 'd'.repeat(64), bytes: 9 };
    bench.change({ kind: 'put', entry: entry('a', 6, { initialState }) });
    expect(bench.kinds()).toContain('installState');
    bench.input({ kind: 'released', agentId: 'a', epoch: 5 });
    bench.input({ kind: 'stateCollected', agentId: 'a', epoch: 5, state: null, error: null });
    bench.input({ kind: 'statePurged', agentId: 'a' });
    expect(bench.kinds()).not.toContain('spawn');
    expect(bench.machine.agents.get('a')?.operation).toBe('install');
  });
});

describe('a manager whose memory was set back', () => {
  it('is not told "stopped" while a newer epoch than it asks about lives here', () => {
    const bench = new Bench().start().run('a', 6);
    ask(bench, 5, 'q1');
    expect(bench.effects.find((effect) => effect.kind === 'release')).toMatchObject({ epoch: 6 });
    bench.input({ kind: 'released', agentId: 'a', epoch: 6 });
    bench.input({ kind: 'stateCollected', agentId: 'a', epoch: 5, state: null, error: null });
    expect(bench.kinds()).toContain('stopped');
    expect(bench.machine.agents.get('a')?.process).toBeNull();
  });
});

describe('a machine that has joined again under another identity', () => {
  it('takes the targets of the new identity although their revisions begin anew, and goes on with what runs', () => {
    const old = new Bench().start().run('a', 5).run('b', 5);
    old.input({ kind: 'linkDown' });
    const bench = new Bench(old.journal, 10, 'o2');
    bench.ready([running('a', 5, 1)]);
    const report = bench.effects.find((effect) => effect.kind === 'send' && effect.frame.t === 'report');
    expect(report).toMatchObject({ frame: { revision: 0, digest: '', generation: 0 } });
    expect(bench.machine.facts.outbox.size).toBe(0);
    bench.target({
      kind: 'complete',
      generation: 1,
      revision: 1,
      digest: 'z',
      entries: [entry('c', 1)],
      tombstones: [],
    });
    expect(bench.kinds()).toContain('targetAck');
    expect(bench.kinds()).toContain('spawn');
    expect(bench.machine.agents.get('a')?.process).toMatchObject({ epoch: 5 });
  });

  it('keeps its place in the target when it is the same identity', () => {
    const old = new Bench().start().run('a', 5);
    const bench = new Bench(old.journal);
    bench.ready([running('a', 5, 1)]);
    const report = bench.effects.find((effect) => effect.kind === 'send' && effect.frame.t === 'report');
    expect(report).toMatchObject({ frame: { revision: 1 } });
    expect(bench.kinds()).not.toContain('append');
  });
});
