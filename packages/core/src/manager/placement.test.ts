import type { Strategy } from '@muster/contract';
import { describe, expect, it } from 'vitest';
import { type Candidate, place, type Wish } from './placement.ts';

const candidate = (
  id: string,
  more: Partial<Omit<Candidate, 'orchestrator'>> & { orchestrator?: Record<string, unknown> } = {},
): Candidate => {
  const { orchestrator, ...rest } = more;
  return {
    orchestrator: {
      id,
      name: id,
      customerId: 'default',
      link: 'channel',
      registeredAt: 1,
      deregisteredAt: null,
      draining: false,
      maxAgents: 4,
      capabilities: [],
      lastPlacedSeq: 0,
      ...orchestrator,
    } as unknown as Candidate['orchestrator'],
    eligible: true,
    ineligibleReason: '',
    resources: {},
    placed: 0,
    placedMemoryBytes: 0,
    placedCpuCores: 0,
    agentTypes: new Map(),
    deployments: new Map(),
    ...rest,
  };
};
const wish = (strategy: Strategy, more: Partial<Wish> = {}): Wish => ({
  customerId: 'default',
  deploymentId: 'dep',
  spec: { type: 'worker', resources: { memoryBytes: 100, cpuCores: 1 } } as never,
  strategy,
  constraints: {},
  pinnedTo: null,
  ...more,
});
const chosen = (strategy: Strategy, candidates: Candidate[], more: Partial<Wish> = {}): string => {
  const answer = place(wish(strategy, more), candidates);
  return answer.ok
    ? answer.orchestratorId
    : answer.reasons.map((item) => `${item.id}: ${item.reason}`).join(' | ');
};

describe('strategies', () => {
  it('takes turns by the last placement', () => {
    const candidates = [
      candidate('a', { orchestrator: { lastPlacedSeq: 3 } }),
      candidate('b', { orchestrator: { lastPlacedSeq: 1 } }),
    ];
    expect(chosen('round_robin', candidates)).toBe('b');
  });
  it('takes the least loaded by share of its own ceiling', () => {
    const candidates = [
      candidate('a', { placed: 2, orchestrator: { maxAgents: 4 } }),
      candidate('b', { placed: 3, orchestrator: { maxAgents: 10 } }),
    ];
    expect(chosen('least_loaded', candidates)).toBe('b');
  });
  it('takes the machine with the largest free share left', () => {
    const resources = { memory_limit: 1000, cpu_count: 4 };
    const candidates = [
      candidate('a', { resources, placedMemoryBytes: 700, placedCpuCores: 1 }),
      candidate('b', { resources, placedMemoryBytes: 100, placedCpuCores: 2 }),
    ];
    expect(chosen('resource_based', candidates)).toBe('b');
  });
  it('prefers the specialist among machines that can do it', () => {
    const candidates = [
      candidate('a', { orchestrator: { capabilities: ['gpu', 'x', 'y'] } }),
      candidate('b', { orchestrator: { capabilities: ['gpu'] } }),
    ];
    expect(chosen('capability_based', candidates, { constraints: { required_capabilities: ['gpu'] } })).toBe(
      'b',
    );
  });
  it('goes where its like already runs', () => {
    const candidates = [candidate('a'), candidate('b', { placed: 1, agentTypes: new Map([['worker', 1]]) })];
    expect(chosen('affinity_based', candidates)).toBe('b');
  });
  it('breaks ties by registration, then id, whatever the order of the list', () => {
    const [a, b, c] = [candidate('a', { orchestrator: { registeredAt: 2 } }), candidate('b'), candidate('c')];
    expect(chosen('least_loaded', [c, a, b] as Candidate[])).toBe('b');
    expect(chosen('least_loaded', [a, b, c] as Candidate[])).toBe('b');
  });
});

describe('filters say why not', () => {
  const why = (more: Parameters<typeof candidate>[1], wished: Partial<Wish> = {}) =>
    chosen('least_loaded', [candidate('a', more)], wished);
  it.each([
    [{ orchestrator: { draining: true } }, {}, 'draining'],
    [{ placed: 4 }, {}, 'full: 4 of 4'],
    [{ eligible: false, ineligibleReason: 'is not connected' }, {}, 'not connected'],
    [{}, { constraints: { require_capability: 'gpu' } }, 'lacks capability gpu'],
    [{}, { constraints: { min_memory: 5 } }, 'unknown memory'],
    [{ resources: { memory_limit: 4 } }, { constraints: { min_memory: 5 } }, '4 bytes of memory'],
    [{ resources: { cpu_count: 1 } }, { constraints: { min_cpu: 2 } }, 'has 1 cores'],
    [{ resources: { memory_limit: 150 }, placedMemoryBytes: 100 }, {}, 'lacks memory'],
    [{ resources: { cpu_count: 1 }, placedCpuCores: 0.5 }, {}, 'lacks cpu'],
    [{ agentTypes: new Map([['worker', 1]]) }, { constraints: { anti_affinity: 'worker' } }, 'anti_affinity'],
    [{ orchestrator: { link: 'direct' } }, {}, 'direct link'],
    [{}, { pinnedTo: 'z' }, 'not the orchestrator asked for'],
    [{}, { exclude: ['a'] }, 'comes from'],
  ])('%o %o', (more, wished, reason) => {
    expect(why(more as never, wished as never)).toContain(reason);
  });
  it('does not name the machines of other customers', () => {
    expect(why({ orchestrator: { customerId: 'acme' } })).toBe('');
  });
  it('ignores a null capability', () => {
    expect(why({}, { constraints: { require_capability: null } })).toBe('a');
  });
});
