/** What the daemon believes of its processes when the keeper is slow, silent, or tells two things at once. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentExit, KeeperAgent } from '@muster/contract';
import type { OrchestratorInput } from '@muster/core/orchestrator';
import { createLog } from '@muster/runtime';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { AgentCatalogue } from './agent-catalogue.ts';
import { AgentPlaces } from './agent-places.ts';
import { AgentProcesses } from './agent-processes.ts';
import { type KeeperClient, KeeperError } from './keeper/index.ts';
import { fixtureSpec, fixtureTypes } from './testing/fixture-types.ts';

const running = (agent: string): KeeperAgent => ({
  agent,
  ranEpoch: 1,
  releasedEpoch: 0,
  sub: 1,
  note: 'r0',
  running: { pid: 7, hostPid: 7, startedUptimeMs: 0, stopping: false },
  lastExit: null,
});
const exit: AgentExit = {
  epoch: 1,
  sub: 1,
  code: 1,
  signal: null,
  at: 1,
  requested: false,
  memoryExceeded: false,
};

let directory: string;
let inputs: OrchestratorInput[];
let processes: AgentProcesses;
let client: {
  spawn: () => Promise<never>;
  list: () => Promise<readonly KeeperAgent[]>;
  release?: () => Promise<{ releasedEpoch: number }>;
} | null;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'processes-test-'));
  inputs = [];
  processes = new AgentProcesses({
    catalogue: new AgentCatalogue(fixtureTypes),
    places: new AgentPlaces(directory),
    keeper: () => ({ client: client as unknown as KeeperClient }) as never,
    submit: (input) => void inputs.push(input),
    specOf: () => fixtureSpec(),
    events: {} as never,
    environment: {},
    log: createLog({ name: 'test', level: 'silent' }),
    onStarting: async () => undefined,
  });
});
afterEach(async () => {
  client = null;
  await processes.close();
  rmSync(directory, { recursive: true, force: true });
});

it('goes on asking a keeper that answers neither a spawn nor the list, until it says what runs', async () => {
  let asked = 0;
  client = {
    spawn: () => Promise.reject(new KeeperError('timeout', 'no answer')),
    list: async () => {
      asked += 1;
      if (asked < 2) throw new KeeperError('timeout', 'no answer');
      return [running('a')];
    },
  };
  processes.spawn({ agentId: 'a', epoch: 1, spec: fixtureSpec(), note: 'r0' });
  await vi.waitFor(() => expect(inputs).toMatchObject([{ kind: 'keeperUp' }]), { timeout: 10_000 });
  expect(processes.runningIds).toEqual(['a']);
});

it('does not take an agent for running when its end was told before an older list was', async () => {
  let answer: (agents: readonly KeeperAgent[]) => void = () => undefined;
  client = {
    spawn: () => Promise.reject(new KeeperError('timeout', 'no answer')),
    list: () =>
      new Promise((resolve) => {
        answer = resolve;
      }),
  };
  processes.keeperUp([running('b')]);
  processes.spawn({ agentId: 'a', epoch: 1, spec: fixtureSpec(), note: 'r0' });
  await vi.waitFor(() => expect(answer).not.toBe(undefined));
  // The list and the exit come in one piece: the exit is told at once, the list one turn later.
  processes.exited('b', exit);
  await vi.waitFor(() => {
    answer([running('b')]);
    expect(inputs.at(-1)).toMatchObject({ kind: 'keeperUp' });
    expect(inputs.map((input) => input.kind)).toEqual(['keeperUp', 'exited', 'keeperUp']);
  });
  expect(processes.runningIds).toEqual([]);
});

it('takes the answer to a release as proof for the epoch it asked about, and for no higher one', async () => {
  client = {
    spawn: () => Promise.reject(new KeeperError('timeout', 'no answer')),
    list: async () => [],
    // Epoch 6 is noted as released, but its process may still be dying.
    release: async () => ({ releasedEpoch: 6 }),
  };
  await processes.release('a', 5, 0, 0);
  expect(inputs).toEqual([{ kind: 'released', agentId: 'a', epoch: 5 }]);
});
