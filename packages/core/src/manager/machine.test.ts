import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../shared/canonical.ts';
import {
  admin,
  agentReport,
  countingRandom,
  fleet,
  ManagerBench,
  toyDigest,
} from '../testing/manager-bench.ts';
import { agentView, EPOCHS_PER_GENERATION, ManagerMachine, snapshotOf } from './index.ts';

describe('deploying', () => {
  it('puts the placement into the append that stands before the reply and the order', () => {
    const { bench } = fleet(1);
    bench.agent();
    const kinds = bench.effects
      .map((effect) => effect.kind)
      .filter((kind) => kind !== 'publish' && kind !== 'note');
    expect(kinds).toEqual(['append', 'reply', 'order']);
    expect(bench.journal.slice(-2).map((record) => record.kind)).toEqual(['agentDeployed', 'agentPlaced']);
  });

  it('refuses without writing when nothing fits and says of each orchestrator why', () => {
    const { bench } = fleet(1, 1);
    bench.agent();
    const records = bench.journal.length;
    const result = bench.deploy();
    expect(result).toMatchObject({
      ok: false,
      code: 'nothing-fits',
      detail: expect.stringContaining('is full: 1 of 1 agents'),
    });
    expect(bench.journal.length).toBe(records);
  });

  it('places all replicas or none', () => {
    const { bench } = fleet(2, 2);
    expect(bench.deploy({ replicas: 5 })).toMatchObject({ ok: false, code: 'nothing-fits' });
    expect(bench.machine.facts.agents.size).toBe(0);
    expect(bench.deploy({ replicas: 4 })).toMatchObject({ ok: true });
    expect([...bench.machine.facts.orchestrators.values()].map((item) => item.target.entries.size)).toEqual([
      2, 2,
    ]);
  });

  it('lists the known words for an unknown strategy or type', () => {
    const { bench } = fleet(1);
    expect(bench.deploy({ strategy: 'best' })).toMatchObject({
      code: 'unknown-strategy',
      detail: expect.stringContaining('round_robin'),
    });
    expect(bench.deploy({ agentType: 'x' })).toMatchObject({
      code: 'unknown-agent-type',
      detail: expect.stringContaining('trader, worker'),
    });
  });

  it('refuses a configuration so large that a few of them would not fit into one target', () => {
    const { bench } = fleet(1);
    const result = bench.deploy({ agentConfig: { text: 'x'.repeat(70_000) } });
    expect(result).toMatchObject({ code: 'validation', errors: [{ path: '/agent_config' }] });
  });

  it('accepts continue only, and says why a trading type refuses duplicate', () => {
    const { bench } = fleet(1);
    expect(bench.deploy({ onDisconnect: 'failover' })).toMatchObject({ code: 'rule-unsupported' });
    expect(bench.deploy({ agentType: 'trader', onDisconnect: 'duplicate' })).toMatchObject({
      detail: expect.stringContaining('double orders'),
    });
    expect(bench.deploy({ onDisconnect: 'sometimes' })).toMatchObject({ code: 'validation' });
  });

  it('pins by orchestrator_id compared as text, and refuses contradictions', () => {
    const bench = new ManagerBench();
    const one = bench.enrol('a', { metadata: { orchestrator_id: 1 } });
    const two = bench.enrol('b', { metadata: { orchestrator_id: '2' } });
    bench.connect(one);
    bench.connect(two);
    const pinned = bench.agent({ agentConfig: { orchestrator_id: 2 } });
    expect(bench.machine.facts.agents.get(pinned)?.placement?.orchestratorId).toBe(two);
    expect(bench.machine.facts.agents.get(pinned)?.spec.config).toEqual({});
    expect(bench.deploy({ agentConfig: { orchestrator_id: '1' }, preferredContainer: two })).toMatchObject({
      code: 'pin-conflict',
    });
    expect(bench.deploy({ agentConfig: { orchestrator_id: 9 } })).toMatchObject({ code: 'nothing-fits' });
  });

  it('never crosses customers, and hides what belongs to others', () => {
    const bench = new ManagerBench();
    bench.command({ kind: 'createCustomer', id: 'acme', name: 'Acme' });
    const theirs = bench.enrol('theirs', { customerId: 'acme' });
    bench.connect(theirs);
    const result = bench.deploy();
    expect(result).toMatchObject({ ok: false, code: 'nothing-fits', extra: { orchestrators: [] } });
    const agentId = bench.agent({ customerId: 'acme' });
    const stranger = { id: 'user:x', role: 'operator', customerId: 'default' } as const;
    expect(bench.command({ kind: 'stopAgent', agentId, wait: false }, stranger)).toMatchObject({
      code: 'not-found',
    });
  });

  it('waits for the process when asked to, and answers once it is reported', () => {
    const { bench, links } = fleet(1);
    expect(bench.deploy({ waitRunning: true })).toBeUndefined();
    const [agent] = [...bench.machine.facts.agents.values()];
    bench.frame(links[0] ?? '', {
      t: 'status',
      seq: 1,
      agents: [agentReport(agent?.id ?? '', agent?.epoch ?? 0)],
      gone: [],
    });
    expect(bench.replies()).toMatchObject([{ ok: true, value: { confirmed: true } }]);
  });
});

describe('ending a placement (R6, R8)', () => {
  it('makes CLOSING durable before the challenge goes out, and believes only the answer to it', () => {
    const { bench, links } = fleet(1);
    const agentId = bench.agent();
    const epoch = bench.machine.facts.agents.get(agentId)?.epoch ?? 0;
    const link = links[0] ?? '';
    const stopped = (query: string) =>
      bench.frame(link, { t: 'stopped', agentId, epoch, query, state: null, stateError: null });
    stopped('q_guess');
    expect(bench.machine.facts.agents.get(agentId)?.placement?.phase).toBe('OPEN');
    bench.command({ kind: 'stopAgent', agentId, wait: false });
    const query = bench.query(agentId) ?? '';
    expect(bench.effects[0]).toMatchObject({
      kind: 'append',
      records: expect.arrayContaining([expect.objectContaining({ kind: 'placementClosing' })]),
    });
    stopped('q_guess');
    expect(bench.machine.facts.agents.get(agentId)?.placement?.phase).toBe('CLOSING');
    stopped(query);
    expect(bench.machine.facts.agents.get(agentId)?.placement).toBeNull();
    expect(agentView(bench.machine.presence, bench.machine.facts.agents.get(agentId) as never).status).toBe(
      'stopped',
    );
  });

  it('repeats the challenge until it is answered, and makes a new one after a restart of the manager', () => {
    const { bench, ids } = fleet(1);
    const agentId = bench.agent();
    bench.command({ kind: 'stopAgent', agentId, wait: false });
    const first = bench.query(agentId);
    bench.pass(5_000);
    expect(bench.query(agentId)).toBe(first);
    const later = new ManagerBench({ records: bench.journal });
    later.open(ids[0] ?? '', 'new');
    later.report(ids[0] ?? '', 'new');
    expect(later.query(agentId)).toBeDefined();
  });

  it('raises the epoch with every placement and starts a new generation above all others', () => {
    const { bench, links } = fleet(1);
    const agentId = bench.agent();
    const agent = bench.machine.facts.agents.get(agentId);
    const first = agent?.epoch ?? 0;
    expect(first).toBe(EPOCHS_PER_GENERATION + 1);
    bench.command({ kind: 'stopAgent', agentId, wait: false });
    bench.frame(links[0] ?? '', {
      t: 'stopped',
      agentId,
      epoch: first,
      query: bench.query(agentId) ?? '',
      state: null,
      stateError: null,
    });
    bench.command({ kind: 'startAgent', agentId, wait: false });
    expect(agent?.epoch).toBe(first + 1);
  });

  it('never issues an epoch at or below one a machine says it has run', () => {
    const { bench, ids } = fleet(1);
    const agentId = bench.agent();
    const agent = bench.machine.facts.agents.get(agentId);
    bench.open(ids[0] ?? '', 'again');
    bench.report(ids[0] ?? '', 'again', [], { [agentId]: (agent?.epoch ?? 0) + 7 });
    expect(agent?.epoch).toBe(EPOCHS_PER_GENERATION + 8);
  });

  it('moves with the state, and leaves the agent alone when the new place refuses', () => {
    const { bench, ids, links } = fleet(2);
    const agentId = bench.agent({ preferredContainer: ids[0] ?? null });
    const agent = bench.machine.facts.agents.get(agentId);
    const epoch = agent?.epoch ?? 0;
    bench.command({ kind: 'drain', orchestratorId: ids[1] ?? '', draining: true, reason: 'test' });
    expect(
      bench.command({
        kind: 'migrateAgent',
        agentId,
        to: ids[1] ?? null,
        reason: 'manual',
        preserveState: true,
      }),
    ).toMatchObject({ ok: false, code: 'nothing-fits' });
    expect(agent?.placement?.phase).toBe('OPEN');
    bench.command({ kind: 'drain', orchestratorId: ids[1] ?? '', draining: false, reason: '' });
    expect(
      bench.command({
        kind: 'migrateAgent',
        agentId,
        to: ids[1] ?? null,
        reason: 'manual',
        preserveState: true,
      }),
    ).toBeUndefined();
    const state = { digest: 'a'.repeat(64), bytes: 3 };
    bench.frame(links[0] ?? '', {
      t: 'stopped',
      agentId,
      epoch,
      query: bench.query(agentId) ?? '',
      state,
      stateError: null,
    });
    expect(bench.replies()).toMatchObject([
      { ok: true, value: { from: ids[0], to: ids[1], complete: true } },
    ]);
    expect(agent?.placement).toMatchObject({ orchestratorId: ids[1], epoch: epoch + 1 });
    expect(
      bench.machine.facts.orchestrators.get(ids[1] ?? '')?.target.entries.get(agentId)?.initialState,
    ).toEqual(state);
  });

  it('starts a pinned agent that was moved where it was moved to, also when its first place is gone', () => {
    const { bench, ids, links } = fleet(2);
    const agentId = bench.agent({ preferredContainer: ids[0] ?? null });
    const agent = bench.machine.facts.agents.get(agentId);
    const confirmStop = (link: string): void => {
      const query = bench.query(agentId) ?? '';
      const epoch = agent?.epoch ?? 0;
      bench.frame(link, { t: 'stopped', agentId, epoch, query, state: null, stateError: null });
    };
    const to = ids[1] ?? '';
    bench.command({ kind: 'migrateAgent', agentId, to, reason: 'manual', preserveState: true });
    confirmStop(links[0] ?? '');
    expect(agent?.placement?.orchestratorId).toBe(to);
    bench.command({ kind: 'deregister', orchestratorId: ids[0] ?? '', force: true });
    bench.command({ kind: 'stopAgent', agentId, wait: false });
    confirmStop(links[1] ?? '');
    expect(agent?.placement).toBeNull();
    expect(bench.command({ kind: 'startAgent', agentId, wait: false })).toMatchObject({ ok: true });
    expect(agent?.placement?.orchestratorId).toBe(to);
  });

  it('starts an agent whose state could not be taken along where that state lies, or nowhere', () => {
    const { bench, ids, links } = fleet(2);
    const agentId = bench.agent();
    const agent = bench.machine.facts.agents.get(agentId);
    const [home, other] = agent?.placement?.orchestratorId === ids[0] ? [0, 1] : [1, 0];
    bench.command({ kind: 'stopAgent', agentId, wait: false });
    const query = bench.query(agentId) ?? '';
    const epoch = agent?.epoch ?? 0;
    bench.frame(links[home] ?? '', {
      t: 'stopped',
      agentId,
      epoch,
      query,
      state: null,
      stateError: 'too large',
    });
    bench.input({ kind: 'linkClosed', link: links[home] ?? '' });
    for (let index = 0; index < 4; index += 1) bench.pass(2_000);
    const refused = bench.command({ kind: 'startAgent', agentId, wait: false });
    expect(refused).toMatchObject({
      code: 'nothing-fits',
      detail: expect.stringContaining('does not hold the latest state'),
    });
    bench.command({ kind: 'deregister', orchestratorId: ids[home] ?? '', force: true });
    expect(bench.command({ kind: 'startAgent', agentId, wait: false })).toMatchObject({ ok: true });
    expect(agent?.placement?.orchestratorId).toBe(ids[other]);
  });

  it('refuses to move to where the agent is, and from a machine that is out of reach', () => {
    const { bench, ids, links } = fleet(2);
    const agentId = bench.agent({ preferredContainer: ids[0] ?? null });
    const move = (to: string | null) =>
      bench.command({ kind: 'migrateAgent', agentId, to, reason: 'manual', preserveState: true });
    expect(move(ids[0] ?? null)).toMatchObject({ code: 'already-there' });
    bench.input({ kind: 'linkClosed', link: links[0] ?? '' });
    expect(move(ids[1] ?? null)).toMatchObject({ code: 'link-out-of-reach' });
  });

  it('frees the places of a machine that a person declares dead, and leaves a standing stop for its return', () => {
    const { bench, ids, links } = fleet(2);
    const agentId = bench.agent({ preferredContainer: ids[0] ?? null });
    const epoch = bench.machine.facts.agents.get(agentId)?.epoch ?? 0;
    bench.input({ kind: 'linkClosed', link: links[0] ?? '' });
    expect(bench.command({ kind: 'deregister', orchestratorId: ids[0] ?? '', force: false })).toMatchObject({
      code: 'agents-remain',
      extra: { agents: [agentId] },
    });
    expect(bench.command({ kind: 'deregister', orchestratorId: ids[0] ?? '', force: true })).toMatchObject({
      ok: true,
    });
    // Pinned to the dead machine: it waits with the reason instead of going where nobody asked for it.
    expect(bench.machine.facts.agents.get(agentId)).toMatchObject({
      placement: null,
      unplacedReason: expect.stringContaining('is not the orchestrator asked for'),
    });
    bench.open(ids[0] ?? '', 'back');
    bench.report(ids[0] ?? '', 'back', [agentReport(agentId, epoch)]);
    expect(bench.orders()).toMatchObject([
      {
        kind: 'target',
        target: { kind: 'complete', entries: [], tombstones: [{ agentId, epoch, purge: false }] },
      },
    ]);
  });
});

describe('the journal', () => {
  it('replays to the same state, with and without a snapshot in between', () => {
    const { bench, ids, links } = fleet(3);
    const agents = [bench.agent(), bench.agent({ replicas: 3 }), bench.agent({ agentType: 'trader' })];
    const cut = bench.journal.length;
    const snapshot = snapshotOf(bench.machine.facts);
    bench.command({ kind: 'restartAgent', agentId: agents[0] ?? '', wait: false });
    bench.command({ kind: 'stopAgent', agentId: agents[1] ?? '', wait: false });
    const stopped = bench.machine.facts.agents.get(agents[1] ?? '');
    const link = links[ids.indexOf(stopped?.placement?.orchestratorId ?? '')] ?? '';
    bench.frame(link, {
      t: 'stopped',
      agentId: agents[1] ?? '',
      epoch: stopped?.epoch ?? 0,
      query: bench.query(agents[1] ?? '') ?? '',
      state: null,
      stateError: null,
    });
    bench.command({ kind: 'removeAgent', agentId: agents[1] ?? '', wait: false }, admin);
    const want = canonicalJson(bench.machine.snapshot());
    const rebuilt = (options: object) =>
      canonicalJson(
        new ManagerMachine({
          random: countingRandom(),
          digest: toyDigest,
          validateConfig: (_type, config) => ({ config, errors: [], warnings: [] }),
          beatIntervalMs: 1,
          software: '',
          ...options,
        }).snapshot(),
      );
    expect(rebuilt({ records: bench.journal })).toBe(want);
    expect(rebuilt({ snapshot, records: bench.journal.slice(cut) })).toBe(want);
  });
});
