/** The parts of `muster up` that need no process: settings, picture, screen, lines, environments. */

import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { exitCode } from '../exit-codes.ts';
import { CommandFailure } from '../failure.ts';
import { plainPaint } from '../terminal/paint.ts';
import { displayWidth } from '../terminal/text.ts';
import { environmentOfManager, environmentOfOrchestrator } from './child-environments.ts';
import { withoutTime } from './child-log.ts';
import { demoAgents } from './demo.ts';
import { type FleetView, isSettled } from './fleet-view.ts';
import { LiveScreen } from './live-screen.ts';
import { PlainLines } from './plain-lines.ts';
import { checkPorts } from './ports.ts';
import { renderView, type ViewFrame } from './render.ts';
import { readUpSettings } from './settings.ts';

const process1 = { name: 'orchestrator-1', state: 'running', pid: 12, port: 8001 } as const;
const view: FleetView = {
  manager: { name: 'manager', state: 'running', pid: 11, port: 8000 },
  nodes: [
    {
      name: 'orchestrator-1',
      process: process1,
      connection: 'connected',
      sync: 'in-sync',
      agents: 1,
      maxAgents: 10,
    },
  ],
  agents: [
    {
      id: 'agt_1',
      name: 'momentum-1',
      type: 'trading_agent',
      status: 'healthy',
      detail: '',
      node: 'orchestrator-1',
      pid: 13,
      equity: 101_234.5,
      initialCash: 100_000,
      barTimeMs: Date.UTC(2013, 3, 2),
    },
  ],
  fresh: true,
};
const frame: ViewFrame = {
  view,
  url: 'http://127.0.0.1:8000',
  upMs: 125_000,
  hints: [['data', '.muster']],
  notices: ['12:00:00  something happened'],
  stopping: false,
};
const screen = { columns: 100, rows: 40, paint: plainPaint };

describe('the picture', () => {
  it('shows manager, orchestrators, agents with equity, and what to do', () => {
    expect(renderView(frame, screen)).toEqual([
      'Muster  http://127.0.0.1:8000  up 2 min',
      '  manager  ● running  pid 11',
      '',
      '  ORCHESTRATOR    CONNECTION   SYNC       AGENTS  PORT  PID',
      '  orchestrator-1  ● connected  ✔ in-sync    1/10  8001   12',
      '',
      '  AGENT       STATUS     ON              PID      EQUITY   CHANGE  LAST BAR',
      '  momentum-1  ● healthy  orchestrator-1   13  101,234.50  +1.23 %  2013-04-02',
      '',
      '  data  .muster',
      '',
      '  12:00:00  something happened',
      '',
      '  Ctrl-C stops everything; the next start goes on here.',
    ]);
  });

  it('never shows old news as good', () => {
    const text = renderView({ ...frame, view: { ...view, fresh: false } }, screen).join('\n');
    expect(text).toContain('? was healthy');
    expect(text).toContain('? was connected');
    expect(text).not.toContain('● healthy');
  });

  it('says that a process is down before anything that was heard of it', () => {
    const nodes = [
      { ...view.nodes[0], process: { ...process1, state: 'waiting', pid: null } },
    ] as FleetView['nodes'];
    expect(renderView({ ...frame, view: { ...view, nodes } }, screen).join('\n')).toContain(
      '✖ ended, starts again soon',
    );
  });

  it('fits any terminal', () => {
    const agents = Array.from({ length: 50 }, (_each, index) => ({
      ...view.agents[0],
      id: `a${index}`,
    })) as FleetView['agents'];
    for (const [columns, rows] of [
      [40, 12],
      [20, 24],
      [100, 20],
      [1, 2],
    ] as const) {
      const lines = renderView({ ...frame, view: { ...view, agents } }, { ...screen, columns, rows });
      expect(lines.length).toBeLessThan(rows);
      expect(Math.max(...lines.map(displayWidth))).toBeLessThanOrEqual(columns);
    }
    const low = renderView({ ...frame, view: { ...view, agents } }, { ...screen, rows: 24 }).join('\n');
    expect(low).toMatch(/… and \d+ more: muster ps/);
    expect(low).toContain('Ctrl-C');
  });
});

describe('the live screen', () => {
  const open = (): { written: string[]; live: LiveScreen; stream: { columns: number } } => {
    const written: string[] = [];
    const stream = { columns: 20, rows: 10, isTTY: true, write: (text: string) => written.push(text) };
    return { written, live: new LiveScreen(stream), stream };
  };

  it('redraws in place, in one write, and only what changed', () => {
    const { written, live } = open();
    live.draw(['a', 'b']);
    live.draw(['a', 'b']);
    live.draw(['a', 'c']);
    expect(written).toHaveLength(2);
    expect(written[1]).toContain('\r\u001b[2A');
    live.close();
    expect(written.at(-1)).toBe('\u001b[?25h');
  });

  it('counts the lines that a narrower terminal has wrapped', () => {
    const { written, live, stream } = open();
    live.draw(['0123456789abcdefghij', 'x']);
    stream.columns = 10;
    live.draw(['0123456789', 'y']);
    expect(written.at(-1)).toContain('\u001b[3A');
  });

  it('prints lasting lines above itself', () => {
    const { written, live } = open();
    live.draw(['picture']);
    live.print('stays');
    expect(written.at(-1)).toMatch(/stays.*\n.*picture\n/s);
  });
});

describe('plain lines', () => {
  it('tell each change once, and equity once a minute', () => {
    const lines = new PlainLines();
    expect(lines.changes(view, 0)).toEqual([
      'orchestrator-1: connected, in-sync',
      'momentum-1: healthy on orchestrator-1, pid 13',
      'momentum-1: equity 101,234.50 (+1.23 %), last bar 2013-04-02',
    ]);
    expect(lines.changes(view, 1000)).toEqual([]);
    const richer = { ...view, agents: view.agents.map((agent) => ({ ...agent, equity: 102_000 })) };
    expect(lines.changes(richer, 59_000)).toEqual([]);
    expect(lines.changes(richer, 60_000)).toEqual([
      'momentum-1: equity 102,000.00 (+2.00 %), last bar 2013-04-02',
    ]);
    expect(lines.changes({ ...view, fresh: false }, 61_000)).toEqual(['the manager does not answer']);
    expect(lines.changes({ ...view, agents: [] }, 62_000)).toEqual([
      'the manager answers again',
      'agent agt_1 is removed',
    ]);
  });
});

describe('settings', () => {
  const none = { demo: true };
  const failureOf = (act: () => unknown): unknown => {
    try {
      return act();
    } catch (error) {
      return error;
    }
  };

  it('come from flags, then the environment, then the defaults', () => {
    expect(readUpSettings({}, none)).toMatchObject({
      port: 8000,
      agentPorts: [8001, 8002],
      bind: '127.0.0.1',
    });
    expect(readUpSettings({ PORT: '9000', ORCHESTRATORS: '1' }, none)).toMatchObject({
      port: 9000,
      agentPorts: [8001],
    });
    expect(readUpSettings({ PORT: '9000' }, { ...none, port: 1, agentPorts: '5,6,7' })).toMatchObject({
      port: 1,
      agentPorts: [5, 6, 7],
    });
    expect(readUpSettings({ AGENT_PORTS: '5,6,7' }, { ...none, orchestrators: 2 }).agentPorts).toEqual([
      5, 6,
    ]);
  });

  it('that make no sense are refused', () => {
    expect(
      failureOf(() => readUpSettings({}, { ...none, agentPorts: '1', orchestrators: 2 })),
    ).toBeInstanceOf(CommandFailure);
    expect(failureOf(() => readUpSettings({}, { ...none, agentPorts: 'x' }))).toBeInstanceOf(CommandFailure);
    expect(failureOf(() => readUpSettings({}, { ...none, port: 8002 }))).toMatchObject({
      what: 'Port 8002 is meant for two processes',
    });
    expect(failureOf(() => readUpSettings({ PORT: 'x' }, none))).toMatchObject({ variable: 'PORT' });
  });

  it('a port that is taken is named with the flag that chooses another', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const settings = { ...readUpSettings({}, none), port: 0, agentPorts: [0, port] };
    await expect(checkPorts(settings)).rejects.toMatchObject({
      code: exitCode.unavailable,
      what: `Port ${port} (orchestrator-2) is taken by another program: stop that, or choose another port with --agent-ports P,P,….`,
    });
    await new Promise((resolve) => server.close(resolve));
    await checkPorts(settings);
  });
});

describe('the children', () => {
  const secrets = {
    ADMIN_PASSWORD: 'p',
    JWT_SECRET_FILE: 'f',
    MASTER_SECRET_KEY: 'k',
    LOG_LEVEL: 'debug',
    HOME: '/h',
  };

  it('see no secret that is not theirs', () => {
    const place = {
      number: 2,
      name: 'orchestrator-2',
      port: 8002,
      dataDirectory: '/d',
      managerUrl: 'http://m',
      joinTokenFile: undefined,
    };
    const environment = environmentOfOrchestrator({ ...secrets, JOIN_TOKEN: 't', PORT: '1' }, place);
    expect(environment).toEqual({
      HOME: '/h',
      LOG_LEVEL: 'debug',
      LOG_FORMAT: 'text',
      MUSTER_PARENT: 'up',
      AGENT_ID: 'orchestrator-2',
      CONTAINER_NAME: 'orchestrator-2',
      ORCHESTRATOR_ID: '2',
      AGENT_CONFIG: '{"capabilities":["agent_runner","orchestrator_cluster"],"orchestrator_id":2}',
      AGENT_PORT: '8002',
      DATA_DIR: '/d',
      CENTRAL_MANAGER_URL: 'http://m',
    });
    const manager = environmentOfManager(
      { ...secrets, JOIN_TOKEN: 't', DIRECT_CALLBACK_ALLOW: '10.0.0.0/8' },
      { port: 8000, dataDirectory: '/m' },
    );
    expect(manager).toMatchObject({
      ADMIN_PASSWORD: 'p',
      DIRECT_CALLBACK_ALLOW: '10.0.0.0/8',
      PORT: '8000',
      DATA_DIR: '/m',
    });
    expect(manager).not.toHaveProperty('JOIN_TOKEN');
  });

  it('speak through the last line of their log, whatever its format', () => {
    expect(withoutTime('2026-01-01T00:00:00.000Z ERROR manager: no room port=1')).toBe('no room port=1');
    expect(withoutTime('{"level":"error","msg":"no room"}')).toBe('no room');
    expect(withoutTime('muster: PORT must be\u001b[2J')).toBe('muster: PORT must be [2J');
  });
});

describe('the first agents', () => {
  it('are spread over the machines that are there', () => {
    const places = (count: number): unknown[] =>
      demoAgents(count).map(({ agent_config: config }) => config?.['orchestrator_id']);
    expect(places(2)).toEqual([1, 2, undefined]);
    expect(places(1)).toEqual([1, 1, undefined]);
    expect(demoAgents(2).map(({ deployment_strategy: strategy }) => strategy)).toEqual([
      undefined,
      undefined,
      'least_loaded',
    ]);
  });

  it('count as settled when all run where they should', () => {
    expect(isSettled(view)).toBe(true);
    expect(isSettled({ ...view, fresh: false })).toBe(false);
    expect(isSettled({ ...view, agents: view.agents.map((agent) => ({ ...agent, pid: null })) })).toBe(false);
  });
});
