import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { SocketOrchestrator } from '@muster/agent-sdk/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const entry = join(import.meta.dirname, 'main.ts');
let directory: string;
let orchestrator: SocketOrchestrator;
const children = new Set<ChildProcess>();

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'muster-kill-'));
  orchestrator = new SocketOrchestrator({
    path: join(directory, 's'),
    agentType: 'trading_agent',
    config: { replay: { bars_per_second: 0 } },
    reportIntervalMs: 100,
  });
  await orchestrator.listen();
});
afterEach(async () => {
  await Promise.all([...children].map((child) => kill(child)));
  await orchestrator.close();
  rmSync(directory, { recursive: true, force: true });
});

function start(stateDir: string): ChildProcess {
  const env = {
    PATH: process.env['PATH'],
    MUSTER_SOCKET: join(directory, 's'),
    MUSTER_AGENT_ID: 'agt_1',
    MUSTER_EPOCH: '1.1',
    MUSTER_STATE_DIR: stateDir,
  };
  const child = spawn(process.execPath, [entry], { env, stdio: 'ignore' });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

/** Plays to the end of history and returns everything that must not depend on crashes. */
async function finish(stateDir: string): Promise<unknown> {
  const from = orchestrator.frames.length;
  const child = start(stateDir);
  await orchestrator.next('health', ({ detail }) => detail?.startsWith('history ended') === true, from);
  const answers: unknown[] = [];
  for (const verb of ['balance', 'positions', 'performance', 'risk'])
    answers.push((await orchestrator.command(verb)).value);
  for (const verb of ['orders', 'trades'])
    answers.push((await orchestrator.command(verb, { limit: 500 })).value);
  const gone = once(child, 'exit');
  orchestrator.send({ t: 'stop', graceMs: 5_000, reason: 'done' });
  expect(await gone).toEqual([0, null]);
  return answers;
}

function bytesIn(stateDir: string): number {
  try {
    return statSync(join(stateDir, 'journal.log')).size;
  } catch {
    return 0;
  }
}

describe('a trading agent killed with SIGKILL', () => {
  test('at twenty random points ends with the same orders, trades and money as an undisturbed one', async () => {
    const undisturbed = await finish(join(directory, 'undisturbed'));
    const stateDir = join(directory, 'killed');
    let kills = 0;
    let lastBytes = 0;
    for (let round = 0; round < 20; round += 1) {
      const child = start(stateDir);
      const target = lastBytes + Math.floor(Math.random() * 20_000);
      const from = orchestrator.frames.length;
      const ended = (): boolean =>
        orchestrator.frames.slice(from).some((frame) => frame.t === 'health' && frame.detail !== undefined);
      const goesOn = (bytes: number): boolean => bytes >= lastBytes && bytes < target;
      while (!ended() && goesOn(bytesIn(stateDir))) await pause(1);
      await kill(child);
      kills += 1;
      lastBytes = bytesIn(stateDir);
    }
    expect(kills).toBe(20);
    expect(await finish(stateDir)).toEqual(undisturbed);
  }, 120_000);

  test('while the orchestrator is away an agent goes on trading and reports when it is back', async () => {
    const child = start(join(directory, 'alone'));
    await orchestrator.next('hello');
    await orchestrator.next('ready');
    await orchestrator.close();
    const from = orchestrator.frames.length;
    await orchestrator.listen();
    await orchestrator.next('ready', () => true, from);
    await orchestrator.next('health', ({ detail }) => detail?.startsWith('history ended') === true, from);
    expect(orchestrator.all('hello')).toHaveLength(2);
    await kill(child);
  }, 60_000);
});
