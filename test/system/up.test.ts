/**
 * `muster up` as a person starts it: real processes, real ports, a data directory of its own; nothing may stay behind.
 *
 * Processes are found by the data directory in their environment, which every child of `up` carries, so that a process that has
 * lost its parent is found too.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { repositoryRoot } from '../tidy/sources.ts';

interface Agent {
  readonly agent_id: string;
  readonly name: string;
  readonly status: string;
  readonly pid: number | null;
  readonly container_name: string | null;
  readonly epoch: number;
}

interface Up {
  readonly process: ChildProcess;
  output(): string;
  readonly ended: Promise<number | string>;
}

const launcher = join(repositoryRoot, 'bin', 'muster.mjs');
const scratch: string[] = [];
const started: ChildProcess[] = [];

function dataDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'muster-up-'));
  scratch.push(path);
  return path;
}

function startUp(data: string, ...flags: string[]): Up {
  const { ADMIN_PASSWORD: _password, PORT: _port, DATA_DIR: _data, ...environment } = process.env;
  const child = spawn(
    process.execPath,
    [launcher, 'up', '--port', '0', '--agent-ports', '0,0', '--data', data, ...flags],
    { stdio: ['ignore', 'pipe', 'pipe'], env: environment },
  );
  started.push(child);
  let text = '';
  const collect = (piece: Buffer): void => void (text += piece.toString());
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const ended = new Promise<number | string>((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown'));
  });
  return { process: child, output: () => text, ended };
}

/** Waits for a condition; the limit only ends a hang. */
async function until<Value>(
  what: string,
  look: () => Promise<Value | undefined> | Value | undefined,
): Promise<Value> {
  const giveUpAt = Date.now() + 90_000;
  for (;;) {
    const value = await look();
    if (value !== undefined) return value;
    if (Date.now() > giveUpAt) throw new Error(`Waited in vain: ${what}`);
    await delay(100);
  }
}

async function signedIn(up: Up, data: string): Promise<{ url: string; agents: () => Promise<Agent[]> }> {
  const url = await until(
    `the URL in: ${up.output()}`,
    () => /Manager at (http:\S+?)\. /.exec(up.output())?.[1],
  );
  const password = readFileSync(join(data, 'manager', 'secrets', 'admin-password'), 'utf8').trim();
  const answer = await fetch(`${url}/api/v1/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: 'admin', password }),
  });
  const { access_token: token } = (await answer.json()) as { access_token: string };
  const agents = async (): Promise<Agent[]> => {
    const list = await fetch(`${url}/api/v1/cluster/agents`, {
      headers: { authorization: `Bearer ${token}` },
    });
    return (await list.json()) as Agent[];
  };
  return { url, agents };
}

/** The agents once all three run. */
function threeRunning(agents: () => Promise<Agent[]>): Promise<Agent[]> {
  return until('three running agents', async () => {
    const list = await agents();
    const run = list.filter(({ status, pid }) => ['running', 'healthy'].includes(status) && pid !== null);
    return list.length === 3 && run.length === 3 ? list : undefined;
  });
}

/** Ids of the processes that name `data` in their arguments or environment. */
function processesOf(data: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return ['cmdline', 'environ'].some((file) => readFileSync(`/proc/${pid}/${file}`).includes(data));
      } catch {
        return false;
      }
    })
    .map(Number);
}

function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

afterEach(async () => {
  for (const child of started.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
  for (const data of scratch.splice(0)) {
    await until(`the processes of ${data} to end`, () => (processesOf(data).length === 0 ? true : undefined));
    rmSync(data, { recursive: true, force: true });
  }
});

describe('muster up', () => {
  it('brings three agents up, leaves nothing behind, and resumes the same fleet', async () => {
    const data = dataDirectory();
    const first = startUp(data);
    const { url, agents } = await signedIn(first, data);
    const before = await threeRunning(agents);
    expect(before.map(({ name }) => name).sort()).toEqual(['analysis-1', 'momentum-1', 'momentum-2']);
    const placeOf = (name: string): string | null | undefined =>
      before.find((agent) => agent.name === name)?.container_name;
    expect([placeOf('momentum-1'), placeOf('momentum-2')]).toEqual(['orchestrator-1', 'orchestrator-2']);
    const pids = before.map(({ pid }) => pid as number);
    for (const pid of pids) expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toContain('packages/agents');
    const password = readFileSync(join(data, 'manager', 'secrets', 'admin-password'), 'utf8').trim();
    expect(first.output()).toContain(password);
    expect(existsSync(join(data, 'orchestrator-1', 'join-token'))).toBe(false);
    for (const pid of processesOf(data)) {
      if (isAlive(pid)) expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).not.toContain(password);
    }
    for (const log of readdirSync(join(data, 'logs'))) {
      expect(readFileSync(join(data, 'logs', log), 'utf8')).not.toContain(password);
      expect(statSync(join(data, 'logs', log)).mode & 0o077).toBe(0);
    }

    first.process.kill('SIGINT');
    expect(await first.ended).toBe(0);
    expect(pids.filter(isAlive)).toEqual([]);
    expect(processesOf(data)).toEqual([]);
    expect(await accepts(Number(new URL(url).port))).toBe(false);

    const second = startUp(data);
    const after = await threeRunning((await signedIn(second, data)).agents);
    const identity = ({ agent_id, name, container_name }: Agent): string =>
      `${agent_id} ${name} ${container_name}`;
    expect(after.map(identity).sort()).toEqual(before.map(identity).sort());
    expect(after.every(({ pid }) => !pids.includes(pid as number))).toBe(true);
    expect(second.output()).not.toContain(password);
    second.process.kill('SIGTERM');
    expect(await second.ended).toBe(0);
    expect(processesOf(data)).toEqual([]);
  });

  it('killed without warning takes its children along, and the next start works at once', async () => {
    const data = dataDirectory();
    const first = startUp(data);
    const before = await threeRunning((await signedIn(first, data)).agents);
    first.process.kill('SIGKILL');
    await first.ended;
    const second = startUp(data);
    const after = await threeRunning((await signedIn(second, data)).agents);
    expect(after.map(({ agent_id }) => agent_id).sort()).toEqual(
      before.map(({ agent_id }) => agent_id).sort(),
    );
    expect(before.filter(({ pid }) => isAlive(pid as number))).toEqual([]);
    second.process.kill('SIGKILL');
    await second.ended;
    await until('no process', () => (processesOf(data).length === 0 ? true : undefined));
    expect(after.filter(({ pid }) => isAlive(pid as number))).toEqual([]);
  });

  it('starts a killed manager and a killed orchestrator again, and the agents go on', async () => {
    const data = dataDirectory();
    const up = startUp(data);
    const { agents } = await signedIn(up, data);
    const before = await threeRunning(agents);
    const pidOf = (name: string): number => Number(readFileSync(join(data, name, 'lock.pid'), 'utf8'));
    for (const name of ['manager', 'orchestrator-1']) {
      const killed = pidOf(name);
      process.kill(killed, 'SIGKILL');
      await until(`${name} to run again`, () =>
        up.output().includes(`${name} runs again`) && pidOf(name) !== killed ? true : undefined,
      );
    }
    const after = await threeRunning(agents);
    expect(new Set(after.map(({ pid }) => pid))).toEqual(new Set(before.map(({ pid }) => pid)));
    // An orchestrator that is dead at the moment of the stop has its agents ended all the same.
    process.kill(pidOf('orchestrator-2'), 'SIGKILL');
    up.process.kill('SIGINT');
    expect(await up.ended).toBe(0);
    expect(processesOf(data)).toEqual([]);
  });

  it('refuses a data directory that is in use, in one line', async () => {
    const data = dataDirectory();
    const first = startUp(data, '--no-demo');
    await signedIn(first, data);
    const second = startUp(data);
    expect(await second.ended).toBe(69);
    expect(second.output().trim().split('\n')).toEqual([
      `muster: The data directory ${data} is in use by process ${first.process.pid}. Stop it, or choose another directory with --data DIR.`,
    ]);
    first.process.kill('SIGINT');
    expect(await first.ended).toBe(0);
  });
});
