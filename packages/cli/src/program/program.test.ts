/** The command line as a whole, against a small manager that answers what each test says. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exitCode } from '../exit-codes.ts';
import type { Services } from '../services.ts';
import { buildProgram, run } from './program.ts';

let folder: string;
let server: Server;
let url: string;
let answers: Record<string, { status?: number; body: unknown }>;
let requests: { method: string; path: string; body: unknown }[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'muster-program-'));
  writeFileSync(join(folder, 'token'), 't0ken');
  answers = {};
  requests = [];
  server = createServer((request, response) => {
    let text = '';
    request.on('data', (piece) => (text += String(piece)));
    request.on('end', () => {
      const key = `${request.method} ${request.url?.split('?')[0]}`;
      requests.push({
        method: request.method ?? '',
        path: request.url ?? '',
        body: text === '' ? null : JSON.parse(text),
      });
      const { status = 200, body } = answers[key] ?? {
        status: 404,
        body: { title: 'Not found', status: 404 },
      };
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

async function muster(...words: string[]): Promise<{ code: number; out: string; error: string }> {
  return musterWith('', ...words);
}

async function musterWith(
  input: string,
  ...words: string[]
): Promise<{ code: number; out: string; error: string }> {
  let out = '';
  let error = '';
  const services: Services = {
    environment: { XDG_CONFIG_HOME: folder, MUSTER_URL: url, MUSTER_TOKEN_FILE: join(folder, 'token') },
    stdout: { write: (text) => void (out += text) },
    stderr: { write: (text) => void (error += text) },
    stdin: Object.assign(Readable.from([input]), { isTTY: false }) as unknown as Services['stdin'],
    now: () => Date.UTC(2026, 0, 1),
  };
  return { code: await run(services, '0.1.0', words), out, error };
}

const agent = {
  agent_id: 'agt_1abc',
  name: 'alpha',
  agent_type: 'trading_agent',
  status: 'healthy',
  container_name: 'orchestrator-1',
  pid: 42,
  since: '2025-12-31T23:59:00Z',
  crashes: 0,
  detail: '',
  metrics: { equity: 100 },
};
const agents = 'GET /api/v1/cluster/agents';

describe('help', () => {
  it('is there for every command, with an example', async () => {
    const services: Services = {
      environment: {},
      stdout: process.stdout,
      stderr: process.stderr,
      stdin: process.stdin,
      now: Date.now,
    };
    const collect = (command: Command, path: string[]): string[][] =>
      command.commands.flatMap((each) => {
        const own = [...path, each.name()];
        return each.commands.length > 0 ? collect(each, own) : [own];
      });
    const paths = collect(buildProgram(services, '0.1.0'), []);
    expect(paths.length).toBeGreaterThan(30);
    for (const path of paths) {
      const { code, out } = await muster(...path, '--help');
      expect(code, path.join(' ')).toBe(exitCode.ok);
      expect(out, path.join(' ')).toContain('Examples:');
    }
  });

  it('lists the exit codes and every environment variable of the processes', async () => {
    expect((await muster('--help')).out).toMatch(/\n +6 {2}the other side cannot be reached/);
    expect((await muster('manager', '--help')).out).toContain('ADMIN_PASSWORD');
    expect((await muster('orchestrator', '--help')).out).toContain('JOIN_TOKEN');
  });

  it.each([
    [['nope']],
    [['ps', '--nope']],
    [['logs']],
    [['deploy', 'x', '--replicas', '0']],
    [['ps', '-o', 'xml']],
    [[]],
  ])('wrong usage %j ends with 2', async (words) => {
    expect((await muster(...words)).code).toBe(exitCode.usage);
  });
});

describe('commands', () => {
  it('print a table for people and the answer itself for programs', async () => {
    answers[agents] = { body: [agent] };
    const { code, out } = await muster('ps');
    expect(code).toBe(0);
    expect(out.split('\n').slice(0, 2)).toEqual([
      'NAME   TYPE           STATUS     ORCHESTRATOR    PID  SINCE      CRASHES  EQUITY  ID',
      'alpha  trading_agent  ● healthy  orchestrator-1   42  1 min ago        0  100.00  agt_1abc',
    ]);
    expect(JSON.parse((await muster('ps', '-o', 'json')).out)).toEqual([agent]);
  });

  it('clean what came over the wire before it reaches a terminal', async () => {
    answers[agents] = { body: [{ ...agent, name: 'evil\u001b]0;x\u0007\u001b[2J' }] };
    expect((await muster('ps')).out).not.toMatch(/[\u0007\u001b]/);
  });

  it('find agents by prefix and act on each of them', async () => {
    answers[agents] = { body: [agent, { ...agent, agent_id: 'agt_2def', name: 'beta' }] };
    const done = { success: true, status: 'stopping', connected: true, confirmed: true };
    answers['POST /api/v1/cluster/agents/agt_1abc/stop'] = { body: done };
    answers['POST /api/v1/cluster/agents/agt_2def/stop'] = { body: { ...done, connected: false } };
    const { code, out } = await muster('stop', 'alp', '2d');
    expect([code, out]).toEqual([
      0,
      'alpha: stopping\nbeta: stopping; its orchestrator is not connected, the order waits for it\n',
    ]);
  });

  it('deploy with a configuration from standard input, single values on top', async () => {
    answers['POST /api/v1/cluster/agents/deploy'] = {
      body: {
        agents: [{ agent_id: 'agt_9', container_name: 'o', status: 'starting' }],
        deployment_details: { warnings: ['unknown key x'], confirmed: null },
      },
    };
    const { code, error } = await musterWith(
      '{"a":1,"replay":{"loop":true}}',
      'deploy',
      'trading_agent',
      '--config',
      '-',
      '--set',
      'replay.bars_per_second=5',
      '--set',
      'strategy=distributed_momentum',
    );
    expect([code, error]).toEqual([0, 'warning: unknown key x\n']);
    expect(requests[0]?.body).toEqual({
      agent_type: 'trading_agent',
      agent_config: { a: 1, replay: { loop: true, bars_per_second: 5 }, strategy: 'distributed_momentum' },
    });
  });

  it.each(['a', '=1', 'a..b=1', '__proto__.x=1'])('refuse --set %s', async (assignment) => {
    expect((await muster('deploy', 'x', '--set', assignment)).code).toBe(exitCode.usage);
    expect(requests).toEqual([]);
  });

  it('ask before they destroy, and never hang where nobody can answer', async () => {
    answers[agents] = { body: [agent] };
    const { code, error } = await muster('rm', 'alpha');
    expect([code, requests.some(({ method }) => method === 'DELETE')]).toEqual([exitCode.usage, false]);
    expect(error).toContain('--yes');
  });
});

describe('failures', () => {
  const problem = {
    title: 'No orchestrator can take this agent',
    status: 409,
    code: 'nothing-fits',
    detail: 'Nothing fits.',
    next: 'See "orchestrators" in the answer: each one says why not.',
    orchestrators: [{ container_name: 'o-1', reason: 'is full' }],
  };

  it('say what, why and what next, with their exit code', async () => {
    answers['POST /api/v1/cluster/agents/deploy'] = { status: 409, body: problem };
    const { code, error } = await muster('deploy', 'x');
    expect([code, error]).toEqual([
      exitCode.refused,
      'muster: No orchestrator can take this agent\n  why   Nothing fits.\n  why   o-1: is full\n',
    ]);
  });

  it('are the problem itself with -o json', async () => {
    answers['POST /api/v1/cluster/agents/deploy'] = { status: 409, body: problem };
    const { out, error } = await muster('deploy', 'x', '-o', 'json');
    expect([out, JSON.parse(error)]).toEqual(['', problem]);
  });

  it('never repeat a password, nor does signing in', async () => {
    answers['POST /api/v1/auth/login'] = {
      status: 401,
      body: { title: 'Name or password is wrong', code: 'bad-credentials', next: 'Check.' },
    };
    const failed = await musterWith('hunter2-hunter2\n', 'login', '--password-stdin');
    expect([failed.code, failed.out + failed.error]).toEqual([
      exitCode.notAllowed,
      expect.not.stringContaining('hunter2'),
    ]);
    answers['POST /api/v1/auth/login'] = { body: { access_token: 'fresh-token' } };
    answers['GET /api/v1/auth/me'] = {
      body: { name: 'admin', role: 'admin', expires_at: '2026-01-02T00:00:00Z' },
    };
    const good = await musterWith('hunter2-hunter2\n', 'login', '--password-stdin');
    expect([good.code, good.out]).toEqual([0, `Signed in at ${url} as admin (admin); expires in 1 d.\n`]);
    expect(requests[0]?.body).toEqual({ username: 'admin', password: 'hunter2-hunter2' });
  });
});
