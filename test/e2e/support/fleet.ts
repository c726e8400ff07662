/**
 * A fleet of real processes for end-to-end runs: one manager and some orchestrators, each its own `muster` process with its
 * own data directory, driven through the public API like anybody else would. Processes may be killed and are started anew by
 * the test, not by a supervisor, so a test decides exactly what dies and what comes back.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repository = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const launcher = join(repository, 'bin/muster.mjs');
const adminPassword = 'end-to-end-admin-password';

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  await new Promise((done) => server.close(done));
  return port;
}

/** Poll until `look` gives something; throws with `what` when time is up. */
export async function until<T>(
  what: string,
  limitMs: number,
  look: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const end = Date.now() + limitMs;
  let last: unknown;
  while (Date.now() < end) {
    try {
      const found = await look();
      if (found !== undefined && found !== false) return found;
    } catch (error) {
      last = error;
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`${what}: not within ${limitMs} ms${last instanceof Error ? ` (${last.message})` : ''}`);
}

export interface AgentAnswer {
  readonly agent_id: string;
  readonly container_id: string | null;
  readonly status: string;
  readonly pid: number | null;
  readonly epoch: number;
  readonly name: string;
  readonly metrics?: Record<string, number>;
}

interface Member {
  readonly name: string;
  readonly command: readonly string[];
  readonly environment: Record<string, string>;
  child: ChildProcess | null;
}

export class Fleet {
  readonly root = mkdtempSync(join(tmpdir(), 'muster-e2e-'));
  readonly port: number;
  readonly orchestratorPorts: readonly number[];
  readonly members = new Map<string, Member>();
  #token = '';

  private constructor(port: number, ports: readonly number[]) {
    this.port = port;
    this.orchestratorPorts = ports;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }
  get token(): string {
    return this.#token;
  }

  /** Start the manager and `count` orchestrators (orchestrator_id 1…), and wait until all are active. */
  static async start(count: number): Promise<Fleet> {
    const ports: number[] = [];
    for (let index = 0; index <= count; index += 1) ports.push(await freePort());
    const [port = 0, ...rest] = ports;
    const fleet = new Fleet(port, rest);
    fleet.#add('manager', ['manager'], { PORT: String(port), ADMIN_PASSWORD: adminPassword });
    fleet.run('manager');
    await fleet.ready();
    for (let index = 1; index <= count; index += 1) {
      const name = `orchestrator-${index}`;
      const { token } = (await fleet.api('POST', '/api/v1/cluster/join-tokens', { name })) as {
        token: string;
      };
      fleet.#add(name, ['orchestrator'], {
        AGENT_ID: name,
        CONTAINER_NAME: name,
        AGENT_PORT: String(rest[index - 1]),
        STOP_AGENTS_ON_EXIT: 'true',
        CENTRAL_MANAGER_URL: fleet.url,
        ORCHESTRATOR_ID: String(index),
        JOIN_TOKEN: token,
      });
      fleet.run(name);
    }
    await until('all orchestrators active', 60_000, async () => {
      const containers = (await fleet.api('GET', '/api/v1/cluster/containers')) as { status: string }[];
      return containers.filter((container) => container.status === 'active').length === count;
    });
    return fleet;
  }

  #add(name: string, command: readonly string[], environment: Record<string, string>): void {
    const data = join(this.root, name);
    mkdirSync(data, { recursive: true, mode: 0o700 });
    this.members.set(name, {
      name,
      command,
      environment: { ...environment, DATA_DIR: data, LOG_FORMAT: 'text' },
      child: null,
    });
  }

  dataDirectory(name: string): string {
    return join(this.root, name);
  }

  /** Start (again) one member. */
  run(name: string): void {
    const member = this.#member(name);
    const { MUSTER_MARKET_DATA: _external, ...environment } = process.env;
    const log = openSync(join(this.root, `${name}.log`), 'a');
    member.child = spawn(process.execPath, [launcher, ...member.command], {
      cwd: this.root,
      env: { ...environment, ...member.environment },
      stdio: ['ignore', log, log],
    });
    closeSync(log);
  }

  #member(name: string): Member {
    const member = this.members.get(name);
    if (member === undefined) throw new Error(`no member ${name}`);
    return member;
  }

  log(name: string): string {
    return readFileSync(join(this.root, `${name}.log`), 'utf8');
  }

  /** kill -9, and wait until the process is gone. */
  async kill(name: string): Promise<void> {
    const { child } = this.#member(name);
    if (child === null || child.exitCode !== null) return;
    const gone = new Promise((done) => child.once('exit', done));
    child.kill('SIGKILL');
    await gone;
  }

  async ready(): Promise<void> {
    await until('the manager answers', 60_000, async () => (await fetch(`${this.url}/health`)).ok);
    const answer = await fetch(`${this.url}/api/v1/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username: 'admin', password: adminPassword }),
    });
    this.#token = ((await answer.json()) as { access_token: string }).access_token;
  }

  async api(method: string, path: string, body?: unknown): Promise<unknown> {
    const answer = await fetch(this.url + path, {
      method,
      headers: {
        authorization: `Bearer ${this.#token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(60_000),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text === '' ? null : (JSON.parse(text) as unknown);
  }

  async agents(): Promise<AgentAnswer[]> {
    return (await this.api('GET', '/api/v1/cluster/agents')) as AgentAnswer[];
  }

  /** Stop everything in order; what remains is killed. */
  async close(): Promise<void> {
    for (const { child } of [...this.members.values()].toReversed()) {
      if (child === null || child.exitCode !== null || child.signalCode !== null) continue;
      const gone = new Promise((done) => child.once('exit', done));
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
      await gone;
      clearTimeout(timer);
    }
  }

  /** Processes of this fleet that still live, by what /proc says of their environment or arguments. */
  leftovers(): number[] {
    return processes((text) => text.includes(this.root));
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

function processes(matches: (environmentAndArguments: string) => boolean): number[] {
  const found: number[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    try {
      const text =
        readFileSync(`/proc/${name}/environ`, 'latin1') + readFileSync(`/proc/${name}/cmdline`, 'latin1');
      const zombie = /^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${name}/stat`, 'latin1'));
      if (!zombie && matches(text)) found.push(Number(name));
    } catch {
      // Gone, or not ours to read.
    }
  }
  return found;
}

/** Live agent processes on this machine below `root`, agent id → pids. Found by environment, as `ps e` would show them. */
export function liveAgents(root: string): Map<string, number[]> {
  const live = new Map<string, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const environment = readFileSync(`/proc/${name}/environ`, 'latin1').split('\0');
      const stateDirectory = environment.find((line) => line.startsWith('MUSTER_STATE_DIR='));
      const agent = environment
        .find((line) => line.startsWith('MUSTER_AGENT_ID='))
        ?.slice('MUSTER_AGENT_ID='.length);
      if (agent === undefined || stateDirectory === undefined || !stateDirectory.includes(root)) continue;
      if (/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${name}/stat`, 'latin1'))) continue;
      // A process that is about to exec still shows its parent's program.
      if (!readlinkSync(`/proc/${name}/exe`).includes('node')) continue;
      live.set(agent, [...(live.get(agent) ?? []), Number(name)]);
    } catch {
      // Gone, or not ours to read.
    }
  }
  return live;
}

/** Host pid of the keeper of one orchestrator, from the environment mark of its agents' parent. */
export function parentOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^PPid:\s+(\d+)/m.exec(status)?.[1] ?? 0);
}

let count = 0;
export function ok(sentence: string): void {
  count += 1;
  console.log(`ok ${count} - ${sentence}`);
}
export function notOk(sentence: string, why: unknown): void {
  count += 1;
  process.exitCode = 1;
  console.log(
    `not ok ${count} - ${sentence}: ${why instanceof Error ? (why.stack ?? why.message) : String(why)}`,
  );
}
export async function step(sentence: string, work: () => Promise<void> | void): Promise<boolean> {
  try {
    await work();
    ok(sentence);
    return true;
  } catch (error) {
    notOk(sentence, error);
    return false;
  }
}
export function saveFile(path: string, text: string): void {
  writeFileSync(path, text, { mode: 0o600 });
}
