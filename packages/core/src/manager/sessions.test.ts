import { describe, expect, it } from 'vitest';
import { fleet, ManagerBench } from '../testing/manager-bench.ts';
import { connectionWord, orchestratorStatus } from './index.ts';

describe('sessions and liveness', () => {
  it('gives no work before the target is acknowledged, and keeps a deploy waiting for it', () => {
    const bench = new ManagerBench();
    const id = bench.enrol('a');
    expect(bench.deploy()).toBeUndefined();
    bench.open(id, 'l');
    bench.report(id, 'l');
    expect(bench.replies()).toEqual([]);
    expect(bench.machine.facts.agents.size).toBe(0);
    bench.acknowledge(id, 'l');
    expect(bench.replies()).toMatchObject([{ ok: true }]);
  });

  it('answers a waiting deploy with the reason when the orchestrator does not get ready in time', () => {
    const bench = new ManagerBench();
    const id = bench.enrol('a');
    bench.open(id, 'l');
    expect(bench.deploy()).toBeUndefined();
    bench.pass(5_000);
    expect(bench.replies()).toMatchObject([
      { code: 'nothing-fits', detail: expect.stringContaining('being reconciled') },
    ]);
  });

  it('counts one, two and three missed beats as late, disconnected and lost, and moves nothing', () => {
    const { bench, ids } = fleet(2);
    const agentId = bench.agent({ preferredContainer: ids[0] ?? null });
    const orchestrator = bench.machine.facts.orchestrators.get(ids[0] ?? '');
    const words: string[] = [];
    for (let index = 0; index < 4; index += 1) {
      bench.pass(4_900);
      words.push(
        `${orchestratorStatus(bench.machine.presence, orchestrator as never)}/${connectionWord(bench.machine.presence, orchestrator as never)}`,
      );
    }
    expect(words).toEqual(['active/connected', 'active/late', 'disconnected/offline', 'lost/offline']);
    expect(bench.machine.facts.agents.get(agentId)?.placement?.phase).toBe('OPEN');
  });

  it('tells never connected from offline, also after a restart of the manager', () => {
    const bench = new ManagerBench();
    const word = (on: ManagerBench, id: string) =>
      connectionWord(on.machine.presence, on.machine.facts.orchestrators.get(id) as never);
    const [seen, unseen] = [bench.enrol('seen'), bench.enrol('unseen')];
    bench.connect(seen);
    expect([word(bench, seen), word(bench, unseen)]).toEqual(['connected', 'never-connected']);
    const later = new ManagerBench({ records: bench.journal });
    for (let index = 0; index < 4; index += 1) later.pass(5_000);
    expect([word(later, seen), word(later, unseen)]).toEqual(['offline', 'never-connected']);
  });

  it('counts a closed socket as late at once', () => {
    const { bench, ids, links } = fleet(1);
    bench.input({ kind: 'linkClosed', link: links[0] ?? '' });
    expect(
      connectionWord(bench.machine.presence, bench.machine.facts.orchestrators.get(ids[0] ?? '') as never),
    ).toBe('late');
  });

  it('refuses a second daemon with the same identity and takes the same daemon back', () => {
    const { bench, ids, links } = fleet(1);
    bench.open(ids[0] ?? '', 'clone', 'another-instance');
    expect(bench.closed()).toEqual([{ link: 'clone', code: 'session-live' }]);
    bench.open(ids[0] ?? '', 'again');
    expect(bench.closed()).toEqual([{ link: links[0], code: 'session-replaced' }]);
    expect(bench.sent()).toMatchObject([{ t: 'welcome' }]);
  });

  it('answers a gap with the complete target', () => {
    const { bench, links } = fleet(1);
    bench.agent();
    expect(bench.orders()).toMatchObject([{ kind: 'target', target: { kind: 'incremental', base: 0 } }]);
    bench.frame(links[0] ?? '', { t: 'targetGap', revision: 0, reason: 'test' });
    expect(bench.orders()).toMatchObject([
      { kind: 'target', target: { kind: 'complete', entries: [expect.anything()] } },
    ]);
  });
});

describe('enrolling', () => {
  it('uses a token once, whoever is faster', () => {
    const bench = new ManagerBench();
    bench.token('t');
    const enrol = (agentId: string) =>
      bench.command({
        kind: 'enrol',
        method: 'token',
        tokenId: 't',
        secretHash: 'hash-t',
        agentId,
        publicKey: `key-${agentId}`,
        fields: {
          name: agentId,
          hostAddress: '',
          apiPort: 1,
          apiEndpoint: null,
          capabilities: [],
          maxAgents: 1,
          resources: {},
          metadata: {},
        },
      });
    expect([enrol('a'), enrol('b')].map((result) => (result?.ok === true ? 'ok' : result?.code))).toEqual([
      'ok',
      'join-token-used',
    ]);
  });

  it('refuses another key until the old machine is lost, then keeps the id and gives its agents new epochs', () => {
    const { bench, ids, links } = fleet(1);
    const agentId = bench.agent();
    const epoch = bench.machine.facts.agents.get(agentId)?.epoch ?? 0;
    expect(() => bench.enrol('node-1', { key: 'other' })).toThrow('identity-taken');
    bench.input({ kind: 'linkClosed', link: links[0] ?? '' });
    for (let index = 0; index < 4; index += 1) bench.pass(5_000);
    expect(bench.enrol('node-1', { key: 'other' })).toBe(ids[0]);
    bench.connect(ids[0] ?? '', 'anew');
    expect(bench.machine.facts.agents.get(agentId)?.placement).toMatchObject({
      orchestratorId: ids[0],
      epoch: epoch + 1,
    });
  });
});
