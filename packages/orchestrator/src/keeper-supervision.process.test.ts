/** A keeper that hangs with real agents: found out, replaced, and its agents told of. */
import type { KeeperAgent } from '@muster/contract';
import { createLog } from '@muster/runtime';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { KeeperBench, pidsByCommandLine, uniqueSeconds, until } from './keeper/keeper.fixture.ts';
import { KeeperSupervision } from './keeper-supervision.ts';

let bench: KeeperBench;
let told: string[];
let listed: readonly KeeperAgent[];
let supervision: KeeperSupervision;

beforeEach(() => {
  bench = new KeeperBench('auto');
  told = [];
  listed = [];
  supervision = new KeeperSupervision(
    { dataDir: bench.dataDir, unreachableAfterMs: 300 },
    createLog({ name: 'test', level: 'silent' }),
    {
      up: (_client, agents) => {
        listed = agents;
        told.push('up');
      },
      down: () => void told.push('down'),
      exited: (agent) => void told.push(`exited ${agent}`),
    },
    20,
  );
});
afterEach(async () => {
  await supervision.close(true, 0);
  await bench.cleanUp();
});

it('gives up a keeper that hangs, and is told by the next one that nothing runs', async () => {
  await supervision.start();
  const seconds = uniqueSeconds();
  await supervision.client?.spawn(bench.agent('a', 1, `exec sleep ${seconds}`));
  await until('the agent to run', () => pidsByCommandLine(seconds).length === 1);
  process.kill(supervision.client?.keeperPid ?? 0, 'SIGSTOP');
  await until('the next keeper', () => told.join() === 'up,down,up');
  expect(pidsByCommandLine(seconds)).toEqual([]);
  expect(listed).toMatchObject([{ agent: 'a', ranEpoch: 1, running: null }]);
});

it('leaves a keeper alone that was only halted for a moment', async () => {
  await supervision.start();
  const seconds = uniqueSeconds();
  await supervision.client?.spawn(bench.agent('a', 1, `exec sleep ${seconds}`));
  const [pid] = await until('the agent to run', () => {
    const pids = pidsByCommandLine(seconds);
    return pids.length === 1 && pids;
  });
  const keeper = supervision.client;
  process.kill(keeper?.keeperPid ?? 0, 'SIGSTOP');
  const late = keeper?.ping(20);
  await expect(late).rejects.toMatchObject({ code: 'timeout' });
  process.kill(keeper?.keeperPid ?? 0, 'SIGCONT');
  await keeper?.ping(10_000);
  expect(supervision.client).toBe(keeper);
  expect(pidsByCommandLine(seconds)).toEqual([pid]);
});

it('leaves a keeper with agents when the daemon goes, and ends one that has none', async () => {
  await supervision.start();
  const seconds = uniqueSeconds();
  await supervision.client?.spawn(bench.agent('a', 1, `exec sleep ${seconds}`));
  await until('the agent to run', () => pidsByCommandLine(seconds).length === 1);
  await supervision.close(true, 100);
  expect(pidsByCommandLine(seconds)).toHaveLength(1);
  expect(pidsByCommandLine(`--directory=${bench.dataDir}`)).not.toEqual([]);
  const next = new KeeperSupervision(
    { dataDir: bench.dataDir },
    createLog({ name: 'test', level: 'silent' }),
    { up: () => undefined, down: () => undefined, exited: () => undefined },
  );
  await next.start();
  await next.client?.stop({ agent: 'a', graceMs: 100 });
  await until('the agent to end', () => pidsByCommandLine(seconds).length === 0);
  await next.close(true, 100);
  await until('the keeper to end', () => pidsByCommandLine(`--directory=${bench.dataDir}`).length === 0);
});
