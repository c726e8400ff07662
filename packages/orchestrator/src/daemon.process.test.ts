/** The daemon with a real keeper and real agents against a small manager that does the real hand-shake. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { AgentReport, OrchestratorFrame, TargetEntry } from '@muster/contract';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentPlaces } from './agent-places.ts';
import { endKeeper } from './keeper/index.ts';
import { readStat } from './keeper/process-table.ts';
import { FakeManager } from './testing/fake-manager.ts';
import { fixtureSpec } from './testing/fixture-types.ts';

const program = fileURLToPath(new URL('testing/daemon-process.ts', import.meta.url));

let manager: FakeManager;
let directory: string;
let daemons: Daemon[];

class Daemon {
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
    const line = await until('the local API to listen', () => this.#out.split('\n')[0] !== '' && this.#out.includes('\n') && this.#out);
    return `http://127.0.0.1:${(JSON.parse(line) as { apiPort: number }).apiPort}`;
  }

  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    this.process.kill(signal);
    await this.ended;
  }
}

async function until<T>(what: string, ask: () => T | Promise<T>): Promise<NonNullable<Exclude<T, false>>> {
  for (const startedAt = performance.now(); performance.now() - startedAt < 30_000; await delay(10)) {
    const answer = await ask();
    if (answer !== null && answer !== undefined && answer !== false) return answer as NonNullable<Exclude<T, false>>;
  }
  throw new Error(`never happened: ${what}\n${daemons.map((daemon) => daemon.log).join('\n---\n')}`);
}

const entry = (changes: Partial<TargetEntry> = {}): TargetEntry => ({
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
function lastReport(agentId: string, frames: readonly OrchestratorFrame[] = manager.frames): AgentReport | undefined {
  return frames.flatMap((frame) => (frame.t === 'report' || frame.t === 'status' ? frame.agents : [])).findLast((agent) => agent.agentId === agentId);
}
const healthy = (agentId: string, from = 0): Promise<AgentReport> =>
  until(`${agentId} to be healthy`, () => {
    const report = lastReport(agentId, manager.frames.slice(from));
    return report?.status === 'healthy' && report;
  });

async function command(agentId: string, verb: string, args: Record<string, unknown> = {}): Promise<unknown> {
  const id = `call-${manager.frames.length}-${verb}`;
  manager.send({ t: 'call', id, op: 'command', args: { agentId, verb, args } });
  const answer = await manager.next('answer', (frame) => frame.id === id);
  if (!answer.ok) throw new Error(`${answer.error?.code}: ${answer.error?.message}`);
  return answer.value;
}

async function startedWith(...entries: TargetEntry[]): Promise<Daemon> {
  const daemon = new Daemon();
  await manager.next('report');
  manager.target(entries);
  await manager.next('targetAck');
  for (const { agentId } of entries) await healthy(agentId);
  return daemon;
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'orchestrator-test-'));
  manager = await FakeManager.start();
  daemons = [];
});

afterEach(async () => {
  for (const daemon of daemons) if (daemon.process.exitCode === null && daemon.process.signalCode === null) await daemon.kill();
  await endKeeper(join(directory, 'data'));
  await manager.close();
  rmSync(directory, { recursive: true, force: true });
});

describe('a daemon with its manager', () => {
  it('joins once, connects, starts what it is ordered, and signs the receipt', async () => {
    const daemon = await startedWith(entry());
    const receipts = await manager.next('receipts');
    expect(receipts.receipts[0]?.doc).toMatchObject({ orderId: 'order-1', outcome: 'succeeded', orchestratorId: 'orc_1' });
    expect(manager.received).not.toContain(manager.secret.reveal());
    const report = await manager.next('report');
    expect(report.host).toMatchObject({ maxAgents: 10, name: 'edge-1' });
    expect(existsSync(`/proc/${(await healthy('a')).pid}`)).toBe(true);
    const beat = await manager.next('beat', (frame) => frame.metrics['a'] !== undefined);
    expect(beat.metrics['a']).toEqual({ answer: 42 });
    expect(daemon.log).not.toContain(manager.secret.reveal());
    await daemon.kill();
    const from = manager.frames.length;
    new Daemon({ JOIN_TOKEN: '' });
    await manager.next('report', () => true, from);
    expect(manager.joins).toBe(1);
  });

  it('is killed and started again: the same process is found and reported, and its state goes on', async () => {
    const first = await startedWith(entry());
    const before = await healthy('a');
    expect(await command('a', 'count')).toBe(1);
    await first.kill('SIGKILL');
    expect(existsSync(`/proc/${before.pid}`)).toBe(true);
    const from = manager.frames.length;
    new Daemon();
    const report = await manager.next('report', () => true, from);
    expect(report.agents).toMatchObject([{ agentId: 'a', epoch: 1, sub: 1, pid: before.pid, crashes: 0 }]);
    await healthy('a', from);
    expect(await command('a', 'count')).toBe(2);
  });

  it('brings an agent back once when the keeper is killed, under the next sub-epoch', async () => {
    const daemon = await startedWith(entry());
    const before = await healthy('a');
    const keeper = /"msg":"keeper connected"/.exec(daemon.log) && /"pid":(\d+)[^}]*"started":true/.exec(daemon.log);
    const from = manager.frames.length;
    process.kill(Number(keeper?.[1]), 'SIGKILL');
    const after = await until('the agent to be back', () => {
      const report = lastReport('a', manager.frames.slice(from));
      return report?.status === 'healthy' && report.sub === 2 && report;
    });
    expect(after.pid).not.toBe(before.pid);
    // Nobody may have collected it yet, but it cannot run any more.
    expect(['Z', undefined]).toContain(readStat(before.pid ?? 0)?.state);
    expect(existsSync(`/proc/${after.pid}`)).toBe(true);
    const born = manager.frames.slice(from).flatMap((frame) => (frame.t === 'status' ? frame.agents : [])).map((agent) => agent.sub);
    expect(Math.max(...born)).toBe(2);
  });

  it.each([
    ['a broken signature', (frame: { sig: string }) => { frame.sig = `${frame.sig.slice(0, -4)}AAAA`; }],
    ['another orchestrator', (frame: { doc: { orchestratorId: string } }) => { frame.doc.orchestratorId = 'orc_2'; }],
  ])('refuses an order with %s, drops the link, and comes back', async (_what, spoil) => {
    const daemon = new Daemon();
    await manager.next('report');
    const body = { kind: 'complete' as const, generation: 1, revision: 9, digest: 'd', entries: [entry()], tombstones: [] };
    manager.order({ kind: 'target', target: body }, spoil as never);
    await until('the next link', () => manager.links >= 2);
    const report = await until('the second report', () => manager.frames.filter((frame) => frame.t === 'report')[1]);
    expect(report).toMatchObject({ revision: 0, agents: [] });
    expect(daemon.log).toContain('an order that does not verify');
    expect(existsSync(join(directory, 'data', 'agents', 'a'))).toBe(false);
  });

  it('refuses a replayed order', async () => {
    new Daemon();
    await manager.next('report');
    let kept: unknown = null;
    manager.order({ kind: 'stopQuery', stopQuery: { agentId: 'nobody', epoch: 1, query: 'q1' } }, (frame) => {
      kept = structuredClone(frame);
    });
    await manager.next('stopped', (frame) => frame.query === 'q1');
    manager.send(kept as never);
    await until('the next link', () => manager.links >= 2);
  });

  it('sends nothing of its secret to a manager whose root key is not the one in the token', async () => {
    const daemon = new Daemon({ JOIN_TOKEN: manager.token('ab'.repeat(32)) });
    await until('the refusal', () => daemon.log.includes('nothing secret was sent'));
    expect(manager.received).toBe('');
    expect(manager.joins).toBe(0);
    const health = await fetch(`${await daemon.api()}/health`);
    expect(health.status).toBe(200);
    expect(await health.json()).toMatchObject({ status: 'healthy', agent_id: 'edge-1', manager: { state: 'waiting' } });
  });

  it('survives garbage from the agent and from the manager', async () => {
    const daemon = await startedWith(entry());
    const before = await healthy('a');
    await command('a', 'garbage').catch(() => undefined);
    await until('the refusal', () => daemon.log.includes('refused what came from an agent'));
    const socket = createConnection(new AgentPlaces(join(directory, 'data')).of('a').socketPath);
    socket.on('error', () => undefined);
    socket.write(Buffer.alloc(2 * 1_048_576, 0x41));
    await new Promise((resolve) => socket.once('close', resolve));
    expect(await until('the agent to answer', () => command('a', 'echo', { x: 1 }).catch(() => null))).toEqual({ x: 1 });
    manager.sendText('{"t":"order","doc":');
    await until('the next link', () => manager.links >= 2);
    await until('the report', () => manager.frames.filter((frame) => frame.t === 'report').length >= 2);
    expect(lastReport('a')?.pid).toBe(before.pid);
  });

  it('stops for good on a challenge, hands the state over first, and starts from it under a new epoch', async () => {
    await startedWith(entry());
    expect(await command('a', 'count')).toBe(1);
    manager.target([entry({ want: 'closing', orderId: 'order-2' })]);
    manager.order({ kind: 'stopQuery', stopQuery: { agentId: 'a', epoch: 1, query: 'q' } });
    const stopped = await manager.next('stopped');
    expect(stopped).toMatchObject({ agentId: 'a', epoch: 1, stateError: null });
    const digest = stopped.state?.digest ?? '';
    const order = manager.frames.map((frame) => frame.t);
    expect(order.indexOf('blob')).toBeGreaterThan(-1);
    expect(order.indexOf('blob')).toBeLessThan(order.indexOf('stopped'));
    expect(manager.blobs.has(digest)).toBe(true);
    const from = manager.frames.length;
    manager.target([entry({ epoch: 2, orderId: 'order-3', initialState: stopped.state })]);
    expect(await healthy('a', from)).toMatchObject({ epoch: 2, sub: 1 });
    expect(await command('a', 'count')).toBe(2);
  });

  it('shows output by tail and by following it', async () => {
    await startedWith(entry());
    manager.send({ t: 'call', id: 'tail', op: 'logs', args: { agentId: 'a', tail: 1 } });
    const tail = await manager.next('answer', (frame) => frame.id === 'tail');
    expect(tail.value).toEqual({ lines: [{ stream: 'stdout', text: 'welcomed a 1.1 {"greeting":"hello"}' }] });
    manager.send({ t: 'call', id: 'follow', op: 'logs', args: { agentId: 'a', tail: 0, follow: true } });
    await command('a', 'print', { lines: 3 });
    const chunk = await manager.next('chunk', (frame) => frame.id === 'follow' && frame.lines.length > 0);
    expect(chunk.lines[0]).toEqual({ stream: 'stdout', text: 'line 1' });
    manager.send({ t: 'call', id: 'end', op: 'cancel', args: { id: 'follow' } });
    await manager.next('chunk', (frame) => frame.id === 'follow' && frame.done);
    manager.send({ t: 'call', id: 'wrong', op: 'logs', args: { agentId: 'nobody' } });
    expect(await manager.next('answer', (frame) => frame.id === 'wrong')).toMatchObject({ ok: false, error: { code: 'not-found' } });
  });

  it('says once why it waits, keeps its agents when it was removed, and retries slowly', async () => {
    const daemon = await startedWith(entry());
    const before = await healthy('a');
    manager.reject = { code: 'orchestrator-revoked', message: 'Removed.', next: 'Join again with a new token.', retryAfterMs: 0 };
    manager.cut();
    await until('the reason', () => daemon.log.includes('orchestrator-revoked'));
    expect(existsSync(`/proc/${before.pid}`)).toBe(true);
    expect(daemon.log).toContain('Join again with a new token.');
  });
});

describe('a daemon without a manager', () => {
  it('deploys, holds and resumes for its operator, across a restart', async () => {
    const first = new Daemon({ CENTRAL_MANAGER_URL: '' });
    const call = async (api: string, method: string, path: string, body?: unknown): Promise<{ status: number; value: never }> => {
      const token = readFileSync(join(directory, 'data', 'local-token'), 'utf8').trim();
      const answer = await fetch(`${api}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: answer.status, value: (await answer.json()) as never };
    };
    let api = await first.api();
    expect((await fetch(`${api}/agents`)).status).toBe(401);
    const deploy = { agent_id: 'mine', agent_type: 'fixture_agent', agent_config: { colour: 'blue' } };
    expect(await call(api, 'POST', '/agents/deploy', { ...deploy, agent_config: { bad: 1 } })).toMatchObject({ status: 422, value: { errors: [{ path: '/agent_config/bad' }] } });
    expect(await call(api, 'POST', '/agents/deploy', { ...deploy, agent_type: 'nonsense' })).toMatchObject({ status: 422, value: { code: 'unknown-agent-type' } });
    expect(await call(api, 'POST', '/agents/deploy', deploy)).toMatchObject({ status: 200, value: { success: true, agent_id: 'mine' } });
    expect((await call(api, 'POST', '/agents/deploy', deploy)).status).toBe(409);
    const status = async (): Promise<Record<string, unknown> | undefined> => ((await call(api, 'GET', '/agents')).value as Record<string, unknown>[])[0];
    await until('it to be healthy', async () => (await status())?.['status'] === 'healthy');
    expect((await call(api, 'GET', '/agents/mine/state')).value).toMatchObject({ state: { files: { born: 'MS4xCg==' } } });
    expect((await call(api, 'POST', '/stop', { reason: 'maintenance' })).status).toBe(200);
    await until('it to be stopped', async () => (await status())?.['status'] === 'stopped-by-customer');
    await first.kill('SIGKILL');
    const second = new Daemon({ CENTRAL_MANAGER_URL: '' });
    api = await second.api();
    await until('the keeper', async () => ((await call(api, 'GET', '/status')).value as Record<string, unknown>)['status'] === 'running');
    expect(await status()).toMatchObject({ status: 'stopped-by-customer', pid: null, held: { reason: 'maintenance' } });
    expect((await call(api, 'POST', '/agents/mine/resume')).status).toBe(409);
    expect((await call(api, 'POST', '/resume')).status).toBe(200);
    await until('it to run again', async () => (await status())?.['status'] === 'healthy');
    expect(JSON.stringify((await call(api, 'GET', '/status')).value)).not.toContain(manager.secret.reveal());
    await second.kill('SIGTERM');
  });
});
