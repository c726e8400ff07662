/**
 * How long from a deploy request to the agent's process, against a bare `child_process.spawn` of the same program?
 *
 * Real processes: one manager, one orchestrator with keeper, one agent at a time; deploys and bare spawns take turns, so a
 * slow moment of the machine hits both. Measured per deploy: the durable acknowledgement, the process (its pid reported back to
 * the manager's event stream) and readiness; per bare spawn: the process and readiness, over the same agent protocol.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Fleet } from '../test/e2e/support/fleet.ts';

interface FleetEvent {
  readonly type: string;
  readonly data: Record<string, unknown>;
}

/** Follow the event stream; `on` sees every event. */
async function follow(fleet: Fleet, on: (event: FleetEvent) => void, signal: AbortSignal): Promise<void> {
  const answer = await fetch(`${fleet.url}/api/v1/cluster/events/stream`, {
    headers: { authorization: `Bearer ${fleet.token}` },
    signal,
  });
  let text = '';
  for await (const chunk of answer.body ?? []) {
    text += Buffer.from(chunk).toString();
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const block = text.slice(0, end);
      text = text.slice(end + 2);
      const type = /^event: (.*)$/m.exec(block)?.[1];
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (type !== undefined && data !== undefined)
        on({ type, data: JSON.parse(data) as Record<string, unknown> });
    }
  }
}

interface Times {
  readonly acknowledgedMs?: number;
  readonly processMs: number;
  readonly readyMs: number;
}

async function deployOnce(fleet: Fleet, waiters: Set<(event: FleetEvent) => void>): Promise<Times> {
  const from = performance.now();
  let processMs = 0;
  let readyMs = 0;
  let agentId = '';
  const early: { event: FleetEvent; at: number }[] = [];
  const ready = new Promise<void>((done) => {
    const look = (event: FleetEvent, at: number): void => {
      if (event.type !== 'agent.status' || event.data['agent_id'] !== agentId) return;
      if (processMs === 0 && typeof event.data['pid'] === 'number') processMs = at - from;
      if (event.data['status'] === 'running' || event.data['status'] === 'healthy') {
        readyMs = at - from;
        waiters.delete(waiter);
        done();
      }
    };
    const waiter = (event: FleetEvent): void => {
      const at = performance.now();
      if (agentId === '') early.push({ event, at });
      else {
        for (const item of early.splice(0)) look(item.event, item.at);
        look(event, at);
      }
    };
    waiters.add(waiter);
  });
  const answer = (await fleet.api('POST', '/api/v1/cluster/agents/deploy', {
    agent_type: 'analysis_agent',
  })) as { agent_id: string };
  const acknowledgedMs = performance.now() - from;
  agentId = answer.agent_id;
  await ready;
  await fleet.api('DELETE', `/api/v1/cluster/agents/${agentId}?wait=true`);
  return { acknowledgedMs, processMs, readyMs };
}

/** The same program without Muster: spawned bare, welcomed over the agent protocol by this script. */
async function spawnOnce(entry: string, folder: string): Promise<Times> {
  const socketPath = join(folder, 's.sock');
  let readyMs = 0;
  const from = performance.now();
  const server = createServer((socket) => {
    createInterface({ input: socket }).on('line', (line) => {
      const frame = JSON.parse(line) as { t: string };
      if (frame.t === 'hello') {
        const welcome = {
          t: 'welcome',
          v: 1,
          agentType: 'analysis_agent',
          config: {},
          fence: { epoch: 1, sub: 1, deadlineUptimeMs: null },
          reportIntervalMs: 5000,
        };
        socket.write(`${JSON.stringify(welcome)}\n`);
      }
      if (frame.t === 'state.get')
        socket.write(
          `${JSON.stringify({ t: 'result', id: (frame as { id?: string }).id, ok: true, value: null })}\n`,
        );
      if (frame.t === 'ready') {
        readyMs = performance.now() - from;
        child.kill('SIGKILL');
      }
    });
  });
  await new Promise<void>((done) => server.listen(socketPath, done));
  const began = performance.now();
  const child = spawn(process.execPath, [entry], {
    stdio: 'ignore',
    env: {
      PATH: process.env['PATH'],
      MUSTER_SOCKET: socketPath,
      MUSTER_AGENT_ID: 'bare',
      MUSTER_EPOCH: '1.1',
      MUSTER_STATE_DIR: mkdtempSync(join(folder, 'state-')),
    },
  });
  const processMs = await new Promise<number>((done) =>
    child.once('spawn', () => done(performance.now() - began)),
  );
  await new Promise((done) => child.once('exit', done));
  await new Promise((done) => server.close(done));
  return { processMs, readyMs: readyMs - (began - from) };
}

const quantile = (values: readonly number[], q: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(q * values.length))] ?? 0;

/** Run `count` pairs; prints a table of p50 and p99 and the ratios. */
export async function benchDeploy(count: number): Promise<Record<string, number>> {
  const fleet = await Fleet.start(1);
  const folder = mkdtempSync(join(tmpdir(), 'muster-bench-'));
  const abort = new AbortController();
  const waiters = new Set<(event: FleetEvent) => void>();
  const following = follow(fleet, (event) => waiters.forEach((waiter) => waiter(event)), abort.signal).catch(
    () => undefined,
  );
  const entry = new URL(import.meta.resolve('@muster/agents/analysis')).pathname;
  const deploys: Times[] = [];
  const bare: Times[] = [];
  try {
    for (let index = -2; index < count; index += 1) {
      const pair = [await deployOnce(fleet, waiters), await spawnOnce(entry, folder)] as const;
      // The first two warm caches on both sides.
      if (index < 0) continue;
      deploys.push(pair[0]);
      bare.push(pair[1]);
    }
  } finally {
    abort.abort();
    await following;
    await fleet.close();
    rmSync(folder, { recursive: true, force: true });
    fleet.remove();
  }
  const figures: Record<string, number> = {};
  const row = (name: string, a: readonly number[], b: readonly number[]): void => {
    for (const [label, q] of [
      ['p50', 0.5],
      ['p99', 0.99],
    ] as const) {
      const [left, right] = [quantile(a, q), quantile(b, q)];
      figures[`${name}_${label}_ratio`] = Number((left / right).toFixed(2));
      console.log(
        `${name.padEnd(22)} ${label}  muster ${left.toFixed(1).padStart(7)} ms   bare spawn ${right.toFixed(1).padStart(7)} ms   ratio ${(left / right).toFixed(2)}`,
      );
    }
  };
  const acknowledged = deploys.map((item) => item.acknowledgedMs ?? 0);
  console.log(
    `deploy, ${count} pairs in turn; acknowledged durably: p50 ${quantile(acknowledged, 0.5).toFixed(1)} ms, p99 ${quantile(acknowledged, 0.99).toFixed(1)} ms`,
  );
  row(
    'request → process',
    deploys.map((item) => item.processMs),
    bare.map((item) => item.processMs),
  );
  row(
    'request → ready',
    deploys.map((item) => item.readyMs),
    bare.map((item) => item.readyMs),
  );
  return figures;
}
