import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CommandRefused } from './commands.ts';
import { LineSplitter, lineMaxBytes } from './connection.ts';
import { type AgentContext, type AgentDefinition, AgentRunner } from './run-agent.ts';
import { SocketOrchestrator, type SocketOrchestratorOptions } from './testing/socket-orchestrator.ts';

let directory: string;
let orchestrator: SocketOrchestrator;
let runner: AgentRunner | undefined;
let lines: string[];
let exits: number[];
let exited: () => void;
let exit: Promise<void>;

const path = (): string => join(directory, 'agent.sock');

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'muster-sdk-'));
  lines = [];
  exits = [];
  exit = new Promise((resolve) => {
    exited = resolve;
  });
});
afterEach(async () => {
  if (exits.length === 0) await runner?.stop({ reason: 'test over', graceMs: 0 });
  runner = undefined;
  await orchestrator.close();
  rmSync(directory, { recursive: true, force: true });
});

async function orchestrate(options: Partial<SocketOrchestratorOptions> = {}): Promise<void> {
  orchestrator = new SocketOrchestrator({ path: path(), ...options });
  await orchestrator.listen();
}

function run(definition: AgentDefinition): AgentRunner {
  runner = new AgentRunner(
    definition,
    {
      environment: { MUSTER_AGENT_ID: 'agt_1', MUSTER_EPOCH: '7.3', MUSTER_STATE_DIR: directory },
      write: (line) => lines.push(line),
      exit: (code) => {
        exits.push(code);
        exited();
      },
      backoffMinMs: 1,
      backoffMaxMs: 20,
    },
    path(),
  );
  runner.start();
  return runner;
}

/** Runs an agent and resolves with its context once `setup` was called. */
function contextOf(
  program: (context: AgentContext) => ReturnType<AgentDefinition['setup']> = () => undefined,
): Promise<AgentContext> {
  return new Promise((resolve) => {
    run({
      setup: (context) => {
        resolve(context);
        return program(context);
      },
    });
  });
}

describe('hand-shake', () => {
  test('hello names the agent and its incarnation; the welcome hands over configuration and fence', async () => {
    await orchestrate({ config: { speed: 3 }, epoch: 7, sub: 3, agentType: 'demo' });
    const context = await contextOf();
    expect(await orchestrator.next('hello')).toMatchObject({
      v: 1,
      agent: 'agt_1',
      epoch: '7.3',
      pid: process.pid,
    });
    expect(context).toMatchObject({
      agentId: 'agt_1',
      agentType: 'demo',
      deploymentId: 'agt_1',
      config: { speed: 3 },
      stateDir: directory,
    });
    expect(context.fence).toMatchObject({ epoch: 7, sub: 3, orderIdPrefix: 'e7', deadlineUptimeMs: null });
    expect(context.fence.canTrade()).toBe(true);
  });

  test('a lease that ran out forbids trading, and a renewed one allows it again', async () => {
    await orchestrate();
    const context = await contextOf();
    const welcome = { t: 'welcome', v: 1, agentType: 'demo', config: {}, reportIntervalMs: 1_000 } as const;
    orchestrator.send({ ...welcome, fence: { epoch: 1, sub: 1, deadlineUptimeMs: 0 } });
    await vi.waitFor(() => expect(context.fence.canTrade()).toBe(false));
    orchestrator.send({ ...welcome, fence: { epoch: 1, sub: 1, deadlineUptimeMs: Number.MAX_SAFE_INTEGER } });
    await vi.waitFor(() => expect(context.fence.canTrade()).toBe(true));
  });

  test('a refused process ends at once with 78 and does not run its stop', async () => {
    await orchestrate({ refuse: { code: 'stale', message: 'a newer incarnation runs' } });
    let stopped = false;
    run({ setup: () => ({ stop: () => void (stopped = true) }) });
    await exit;
    expect(exits).toEqual([78]);
    expect(stopped).toBe(false);
  });

  test('a setup that throws ends the process with 70 and says why', async () => {
    await orchestrate();
    run({ setup: () => Promise.reject(new Error('no prices')) });
    await exit;
    expect(exits).toEqual([70]);
    expect(lines.join('')).toContain('no prices');
    expect(await orchestrator.next('health', ({ state }) => state === 'failed')).toMatchObject({ ok: false });
  });

  test('frames of a newer orchestrator are ignored; a line that is no frame ends the connection, not the agent', async () => {
    await orchestrate();
    await contextOf();
    orchestrator.sendText('{"t":"from-the-future"}\n');
    orchestrator.send({ t: 'ping', id: 'p1' });
    expect(await orchestrator.next('pong')).toMatchObject({ id: 'p1' });
    const from = orchestrator.frames.length;
    orchestrator.sendText('no json\n');
    await orchestrator.next('hello', () => true, from);
    expect(exits).toEqual([]);
  });
});

describe('while the orchestrator is away', () => {
  test('the agent keeps its process, connects again, and says again what it is', async () => {
    await orchestrate();
    const context = await contextOf();
    context.health('running', 'fine');
    context.ready();
    await orchestrator.next('ready');
    await orchestrator.close();
    await vi.waitFor(() => expect(context.connected()).toBe(false));
    context.health('paused', 'while alone');
    const from = orchestrator.frames.length;
    await orchestrator.listen();
    await orchestrator.next('ready', () => true, from);
    expect(await orchestrator.next('health', () => true, from)).toMatchObject({
      state: 'paused',
      detail: 'while alone',
    });
  });

  test('setup runs once, however often it is welcomed', async () => {
    await orchestrate();
    let setups = 0;
    await contextOf(() => void (setups += 1));
    for (let round = 0; round < 3; round += 1) {
      await orchestrator.close();
      const from = orchestrator.frames.length;
      await orchestrator.listen();
      await orchestrator.next('health', () => true, from);
    }
    expect(setups).toBe(1);
  });

  test('the agent may be started before the orchestrator listens', async () => {
    orchestrator = new SocketOrchestrator({ path: path() });
    const context = contextOf();
    await orchestrator.listen();
    expect((await context).agentId).toBe('agt_1');
  });
});

describe('state', () => {
  test('a put resolves when it is answered, and get and delete see it', async () => {
    await orchestrate();
    const { state } = await contextOf();
    expect(await state.get('position')).toBe(null);
    await state.put('position', { slot: 4 });
    expect(await state.get('position')).toEqual({ slot: 4 });
    await state.delete('position');
    expect(orchestrator.state.has('position')).toBe(false);
  });

  test('requests without an answer are sent again, in order, under their ids, after a reconnect', async () => {
    await orchestrate({ holdState: true });
    const { state } = await contextOf();
    const value = { n: 1 };
    const first = state.put('a', value);
    value.n = 99;
    const second = state.put('a', { n: 2 });
    await orchestrator.next('state.put', ({ value: sent }) => JSON.stringify(sent) === '{"n":2}');
    await orchestrator.close();
    const third = state.get('a');
    orchestrator.options = { ...orchestrator.options, holdState: false };
    await orchestrator.listen();
    await Promise.all([first, second]);
    expect(await third).toEqual({ n: 2 });
    const puts = orchestrator.all('state.put').map(({ id, value: sent }) => [id, sent]);
    expect(puts).toEqual([
      ['s1', { n: 1 }],
      ['s2', { n: 2 }],
      ['s1', { n: 1 }],
      ['s2', { n: 2 }],
    ]);
  });

  test('an unusable key or value is refused before anything is sent', async () => {
    await orchestrate();
    const { state } = await contextOf();
    await expect(state.put('k', undefined)).rejects.toThrow(TypeError);
    await expect(state.put('k', 'x'.repeat(262_145))).rejects.toThrow(RangeError);
    await expect(state.put('', 1)).rejects.toThrow(TypeError);
    expect(orchestrator.all('state.put')).toEqual([]);
  });

  test('a refusal rejects with its code', async () => {
    await orchestrate({ holdState: true });
    const { state } = await contextOf();
    const put = state.put('k', 1);
    const { id } = await orchestrator.next('state.put');
    orchestrator.send({
      t: 'result',
      id,
      ok: false,
      error: { code: 'state-full', message: 'Too much state.' },
    });
    await expect(put).rejects.toMatchObject({ name: 'StateRefused', code: 'state-full' });
  });
});

describe('commands', () => {
  test('an answer carries the value, a refusal its code, a failure its message', async () => {
    await orchestrate();
    await contextOf((context) => {
      context.command('double', ({ args }) => Number(args['n']) * 2);
      context.command('refuse', () => {
        throw new CommandRefused('halted', 'Trading is halted.');
      });
      context.command('break', () => {
        throw new Error('disk full');
      });
    });
    expect(await orchestrator.command('double', { n: 4 })).toMatchObject({ ok: true, value: 8 });
    expect(await orchestrator.command('refuse')).toMatchObject({ ok: false, error: { code: 'halted' } });
    expect(await orchestrator.command('break')).toMatchObject({
      ok: false,
      error: { code: 'failed', message: 'disk full' },
    });
    expect(await orchestrator.command('unheard-of')).toMatchObject({
      ok: false,
      error: { code: 'unknown-verb' },
    });
  });

  test('the same command id is carried out once and answered the same again, also over a reconnect', async () => {
    await orchestrate();
    let runs = 0;
    await contextOf((context) => context.command('count', () => (runs += 1)));
    const first = await orchestrator.command('count', {}, 'c-1');
    await orchestrator.close();
    const from = orchestrator.frames.length;
    await orchestrator.listen();
    await orchestrator.next('health', () => true, from);
    expect(await orchestrator.command('count', {}, 'c-1')).toEqual(first);
    expect(runs).toBe(1);
  });

  test('a command that arrives during setup waits for it', async () => {
    await orchestrate();
    let finish = (): void => {};
    await contextOf(async (context) => {
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      context.command('late', () => 'here');
    });
    const answer = orchestrator.command('late');
    finish();
    expect(await answer).toMatchObject({ ok: true, value: 'here' });
  });

  test('an answer too large for a line becomes an error', async () => {
    await orchestrate();
    await contextOf((context) => context.command('dump', () => 'x'.repeat(lineMaxBytes)));
    expect(await orchestrator.command('dump')).toMatchObject({
      ok: false,
      error: { code: 'answer-too-large' },
    });
  });
});

describe('reports and stop', () => {
  test('metrics are sent at the interval of the welcome, refreshed by report, without what is not finite', async () => {
    await orchestrate({ reportIntervalMs: 100 });
    let reports = 0;
    await contextOf((context) => ({
      report: () => context.metrics({ reports: (reports += 1), nothing: Number.NaN }),
    }));
    expect(
      (await orchestrator.next('metrics', ({ values }) => (values['reports'] ?? 0) >= 3)).values,
    ).not.toHaveProperty('nothing');
  });

  test('a stop frame runs stop once, reports stopping and exits 0', async () => {
    await orchestrate();
    const stops: unknown[] = [];
    const context = await contextOf(() => ({ stop: (request) => void stops.push(request) }));
    context.ready();
    await orchestrator.next('ready');
    orchestrator.send({ t: 'stop', graceMs: 1_234, reason: 'moved' });
    orchestrator.send({ t: 'stop', graceMs: 1_234, reason: 'again' });
    await exit;
    expect(stops).toEqual([{ reason: 'moved', graceMs: 1_234 }]);
    expect(exits).toEqual([0]);
    expect(await orchestrator.next('health', ({ state }) => state === 'stopping')).toMatchObject({
      detail: 'moved',
    });
  });

  test('a stop that throws still ends the process, with 70', async () => {
    await orchestrate();
    const context = await contextOf(() => ({ stop: () => Promise.reject(new Error('cannot')) }));
    context.stop('over');
    await exit;
    expect(exits).toEqual([70]);
  });
});

describe('lines', () => {
  test('come out whole however the bytes are cut, also within a character', () => {
    const text = '{"a":"é"}\n\n{"b":"日本"}\nrest';
    const bytes = Buffer.from(text);
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const splitter = new LineSplitter();
      expect([...splitter.push(bytes.subarray(0, cut)), ...splitter.push(bytes.subarray(cut))]).toEqual([
        '{"a":"é"}',
        '',
        '{"b":"日本"}',
      ]);
    }
  });

  test('longer than the limit are refused', () => {
    const splitter = new LineSplitter();
    splitter.push(Buffer.alloc(lineMaxBytes, 97));
    expect(() => splitter.push(Buffer.from('a'))).toThrow(RangeError);
  });
});
