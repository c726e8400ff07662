import type { KeeperAgent, TargetChange } from '@muster/contract';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../shared/canonical.ts';
import { OrchestratorBench as Bench, entry } from '../testing/orchestrator-bench.ts';

describe('the target', () => {
  it('is acknowledged after it is durable, and started', () => {
    const bench = new Bench().start();
    bench.change({ kind: 'put', entry: entry('a', 5) });
    expect(bench.kinds()).toEqual(['append', 'targetAck', 'spawn']);
  });

  it('asks for a complete document when the base or the digest differs, and changes nothing', () => {
    const bench = new Bench().start();
    const before = canonicalJson(bench.machine.snapshot());
    const changes: TargetChange[] = [{ kind: 'put', entry: entry('a', 5) }];
    bench.target({
      kind: 'incremental',
      generation: 1,
      base: 3,
      baseDigest: 'x',
      revision: 4,
      digest: 'y',
      changes,
    });
    expect(bench.kinds()).toEqual(['targetGap']);
    bench.target({
      kind: 'incremental',
      generation: 1,
      base: 0,
      baseDigest: '',
      revision: 1,
      digest: 'forged',
      changes,
    });
    expect(bench.kinds()).toEqual(['targetGap']);
    expect(canonicalJson(bench.machine.snapshot())).toBe(before);
  });

  it('never deletes by absence, and refuses an older generation', () => {
    const bench = new Bench().start().run('a', 5);
    bench.target({ kind: 'complete', generation: 1, revision: 9, digest: 'z', entries: [], tombstones: [] });
    expect(bench.machine.facts.entries.has('a')).toBe(true);
    bench.target({
      kind: 'complete',
      generation: 0,
      revision: 99,
      digest: 'q',
      entries: [],
      tombstones: [{ agentId: 'a', epoch: 5, orderId: 'x', purge: true }],
    });
    expect(bench.kinds()).toEqual(['targetGap']);
  });

  it('refuses one agent more than the machine allows, with a receipt that says so', () => {
    const bench = new Bench([], 1).start().run('a', 5);
    bench.change({ kind: 'put', entry: entry('b', 5) });
    expect(bench.effects.find((effect) => effect.kind === 'sendReceipts')).toMatchObject({
      receipts: [{ agentId: 'b', outcome: 'refused' }],
    });
    expect(bench.kinds()).not.toContain('spawn');
  });
});

describe('ending', () => {
  it('answers a challenge only after the keeper has released the epoch and the state was collected', () => {
    const bench = new Bench().start().run('a', 5);
    bench.input({
      kind: 'order',
      body: { kind: 'stopQuery', stopQuery: { agentId: 'a', epoch: 5, query: 'q1' } },
    });
    expect(bench.kinds()).toEqual(['release']);
    bench.exit('a', 5, 1, true);
    expect(bench.kinds()).toEqual([]);
    bench.input({ kind: 'released', agentId: 'a', epoch: 5 });
    expect(bench.kinds()).toEqual(['collectState']);
    bench.input({ kind: 'stateCollected', agentId: 'a', epoch: 5, state: null, error: null });
    expect(
      bench.effects.find((effect) => effect.kind === 'send' && effect.frame.t === 'stopped'),
    ).toMatchObject({ frame: { agentId: 'a', epoch: 5, query: 'q1' } });
  });

  it('does not take a keeper record that says released for proof that the process is dead', () => {
    const bench = new Bench();
    const keeperAgent = {
      agent: 'a',
      ranEpoch: 5,
      releasedEpoch: 5,
      sub: 1,
      note: 'r0',
      running: { pid: 7, hostPid: 7, startedUptimeMs: 0, stopping: false },
      lastExit: null,
    };
    bench.ready([keeperAgent]);
    bench.input({
      kind: 'order',
      body: { kind: 'stopQuery', stopQuery: { agentId: 'a', epoch: 5, query: 'q1' } },
    });
    expect(bench.kinds()).toEqual(['release']);
  });

  it('answers a challenge about an agent it has never seen, after the keeper made sure it never starts', () => {
    const bench = new Bench().start();
    bench.input({
      kind: 'order',
      body: { kind: 'stopQuery', stopQuery: { agentId: 'ghost', epoch: 3, query: 'q' } },
    });
    expect(bench.kinds()).toEqual(['release']);
  });

  it('carries out a tombstone to the end before it is gone, and gives its receipt', () => {
    const bench = new Bench().start().run('a', 5);
    bench.change({ kind: 'remove', tombstone: { agentId: 'a', epoch: 5, orderId: 'grave', purge: true } });
    expect(bench.kinds()).toContain('release');
    bench.input({ kind: 'released', agentId: 'a', epoch: 5 });
    expect(bench.kinds()).toEqual(['purgeState']);
    bench.input({ kind: 'statePurged', agentId: 'a' });
    expect(bench.effects.find((effect) => effect.kind === 'sendReceipts')).toMatchObject({
      receipts: [{ orderId: 'grave', outcome: 'succeeded' }],
    });
    expect(bench.machine.facts.tombstones.size).toBe(0);
  });
});

describe('an operation that fails', () => {
  it('is shown with its reason and tried again after a while, not at once', () => {
    const bench = new Bench().start();
    const initialState = { digest: 'a'.repeat(64), bytes: 9 };
    bench.change({ kind: 'put', entry: entry('a', 5, { initialState }) });
    expect(bench.kinds()).toContain('installState');
    bench.input({ kind: 'stateFailed', agentId: 'a', epoch: 5, message: 'the manager does not have it' });
    expect(bench.kinds()).not.toContain('installState');
    expect(bench.machine.agents.get('a')).toMatchObject({
      status: 'starting',
      detail: 'installing its state failed: the manager does not have it',
    });
    bench.pass(2_100);
    expect(bench.kinds()).toContain('installState');
    bench.input({ kind: 'stateReady', agentId: 'a', epoch: 5 });
    expect(bench.kinds()).toContain('spawn');
  });
});

describe('restarting', () => {
  it('starts a crashed agent again at once, then with growing waits, and calls it crash-looping', () => {
    const bench = new Bench().start().run('a', 5);
    bench.exit('a', 5, 1);
    expect(bench.kinds()).toContain('spawn');
    bench.input({ kind: 'spawned', agentId: 'a', epoch: 5, sub: 2, pid: 8, hostPid: 8 });
    bench.exit('a', 5, 2);
    expect(bench.kinds()).not.toContain('spawn');
    bench.pass(1_500);
    expect(bench.kinds()).toContain('spawn');
    bench.input({ kind: 'spawned', agentId: 'a', epoch: 5, sub: 3, pid: 9, hostPid: 9 });
    bench.exit('a', 5, 3);
    expect(bench.machine.agents.get('a')?.status).toBe('crash-looping');
  });

  it('carries out a restart order once, also across a restart of the daemon', () => {
    const bench = new Bench().start().run('a', 5);
    bench.change({ kind: 'put', entry: entry('a', 5, { restarts: 1 }) });
    expect(bench.kinds()).toContain('stopProcess');
    const running = (note: string): KeeperAgent => ({
      agent: 'a',
      ranEpoch: 5,
      releasedEpoch: 0,
      sub: 2,
      note,
      running: { pid: 9, hostPid: 9, startedUptimeMs: 0, stopping: false },
      lastExit: null,
    });
    const satisfied = new Bench(bench.journal);
    satisfied.input({ kind: 'keeperUp', agents: [running('r1')] });
    expect(satisfied.kinds()).not.toContain('stopProcess');
    const owed = new Bench(bench.journal);
    owed.input({ kind: 'keeperUp', agents: [running('r0')] });
    expect(owed.kinds()).toContain('stopProcess');
  });

  it('finds running agents again after its own restart and starts none twice', () => {
    const bench = new Bench().start().run('a', 5).run('b', 6);
    const reborn = new Bench(bench.journal);
    const alive: KeeperAgent = {
      agent: 'a',
      ranEpoch: 5,
      releasedEpoch: 0,
      sub: 1,
      note: 'r0',
      running: { pid: 7, hostPid: 107, startedUptimeMs: 0, stopping: false },
      lastExit: null,
    };
    reborn.ready([alive]);
    const report = reborn.effects.find((effect) => effect.kind === 'send' && effect.frame.t === 'report');
    expect(report).toMatchObject({
      frame: {
        agents: [
          { agentId: 'a', pid: 107 },
          { agentId: 'b', pid: null },
        ],
      },
    });
    const spawned = reborn.machine.agents.get('b')?.operation;
    expect([reborn.machine.agents.get('a')?.operation, spawned]).toEqual([null, 'spawn']);
  });
});

describe("the customer's own stop", () => {
  it('stops, survives a restart, and no target can lift it', () => {
    const bench = new Bench().start().run('a', 5);
    bench.input({
      kind: 'local',
      request: 'r',
      command: { kind: 'stop', agentId: null, by: 'op', reason: 'audit' },
    });
    expect(bench.kinds()).toContain('stopProcess');
    bench.exit('a', 5, 1, true);
    bench.change({ kind: 'put', entry: entry('a', 5, { restarts: 3 }) });
    expect(bench.kinds()).not.toContain('spawn');
    expect(bench.machine.agents.get('a')?.status).toBe('stopped-by-customer');
    const reborn = new Bench(bench.journal);
    reborn.input({ kind: 'keeperUp', agents: [] });
    expect(reborn.kinds()).not.toContain('spawn');
    reborn.input({ kind: 'local', request: 'r', command: { kind: 'resume', agentId: null, by: 'op' } });
    expect(reborn.kinds()).toContain('spawn');
  });
});
