/** Places promised to moves that are still on their way. */
import { expect, it } from 'vitest';
import { admin, ManagerBench } from '../testing/manager-bench.ts';

it('promises no place twice when it is asked again before the first moves have arrived', () => {
  const bench = new ManagerBench();
  bench.connect(bench.enrol('large'));
  for (let count = 0; count < 6; count += 1) bench.agent();
  const small = bench.enrol('small', { maxAgents: 2 });
  bench.connect(small);
  const promised = (): number =>
    [...bench.machine.facts.agents.values()].filter((agent) => agent.placement?.closing?.to === small).length;
  bench.command({ kind: 'rebalance' }, admin);
  expect(promised()).toBe(2);
  bench.command({ kind: 'rebalance' }, admin);
  expect(promised()).toBe(2);
});
