/**
 * Real daemon processes with a real keeper against the small manager, for tests that kill them.
 *
 * `manager` and `directory` belong to the test that runs now: `openBench` before each, `closeBench` after each.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { AgentReport, OrchestratorFrame, TargetEntry } from '@muster/contract';
import { endKeeper } from '../keeper/index.ts';
import { FakeManager } from './fake-manager.ts';
import { fixtureSpec } from './fixture-types.ts';

const program = fileURLToPath(new URL('daemon-process.ts', import.meta.url));

export let manager: FakeManager;
export let directory: string;
let daemons: Daemon[] = [];

export class Daemon {
  readonly process: ChildProcess;
  readonly ended: Promise<number | null>;
  log = '';
  #out = '';

  constructor(environment: Record<string, string> = {}) {
    this.process = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program], {
      env: {
        PATH: process.env['PATH'],
        DATA_DIR: join(directory, 'data'),
        AGENT_ID: 'edge-1',
        AGENT_PORT: '0',
        CENTRAL_MANAGER_URL: manager.url,
        JOIN_TOKEN: manager.token(),
        ...environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.process.stdout?.on('data', (chunk: Buffer) => {
      this.#out += chunk.toString();
    });
    this.process.stderr?.on('data', (chunk: Buffer) => {
      this.log += chunk.toString();
    });
    this.ended = new Promise((resolve) => this.process.once('close', (code) => resolve(code)));
    daemons.push(this);
  }

  async api(): Promise<string> {
    const line = await until(
      'the local API to listen',
      () => this.#out.split('\n')[0] !== '' && this.#out.includes('\n') && this.#out,
    );
    return `http://127.0.0.1:${(JSON.parse(line) as { apiPort: number }).apiPort}`;
  }

  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    this.process.kill(signal);
    await this.ended;
  }
}

export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
): Promise<NonNullable<Exclude<T, false>>> {
  for (const startedAt = performance.now(); performance.now() - startedAt < 30_000; await delay(10)) {
    const answer = await ask();
    if (answer !== null && answer !== undefined && answer !== false)
      return answer as NonNullable<Exclude<T, false>>;
  }
  throw new Error(`never happened: ${what}\n${daemons.map((daemon) => daemon.log).join('\n---\n')}`);
}

export const entry = (changes: Partial<TargetEntry> = {}): TargetEntry => ({
  agentId: 'a',
  epoch: 1,
  orderId: 'order-1',
  want: 'run',
  restarts: 0,
  spec: fixtureSpec(),
  initialState: null,
  ...changes,
});

/** The last report of an agent, from full reports and changes alike. */
export function lastReport(
  agentId: string,
  frames: readonly OrchestratorFrame[] = manager.frames,
): AgentReport | undefined {
  return frames
    .flatMap((frame) => (frame.t === 'report' || frame.t === 'status' ? frame.agents : []))
    .findLast((agent) => agent.agentId === agentId);
}
export const healthy = (agentId: string, from = 0): Promise<AgentReport> =>
  until(`${agentId} to be healthy`, () => {
    const report = lastReport(agentId, manager.frames.slice(from));
    return report?.status === 'healthy' && report;
  });

export async function command(
  agentId: string,
  verb: string,
  args: Record<string, unknown> = {},
): Promise<unknown> {
  const id = `call-${manager.frames.length}-${verb}`;
  manager.send({ t: 'call', id, op: 'command', args: { agentId, verb, args } });
  const answer = await manager.next('answer', (frame) => frame.id === id);
  if (!answer.ok) throw new Error(`${answer.error?.code}: ${answer.error?.message}`);
  return answer.value;
}

export async function startedWith(...entries: TargetEntry[]): Promise<Daemon> {
  const daemon = new Daemon();
  await manager.next('report');
  manager.target(entries);
  await manager.next('targetAck');
  for (const { agentId } of entries) await healthy(agentId);
  return daemon;
}

/** A fresh data directory and manager. */
export async function openBench(): Promise<void> {
  directory = mkdtempSync(join(tmpdir(), 'orchestrator-test-'));
  manager = await FakeManager.start();
  daemons = [];
}

/** Ends every daemon, keeper and agent of the test. */
export async function closeBench(): Promise<void> {
  for (const daemon of daemons)
    if (daemon.process.exitCode === null && daemon.process.signalCode === null) await daemon.kill();
  await endKeeper(join(directory, 'data'));
  await manager.close();
  rmSync(directory, { recursive: true, force: true });
}
