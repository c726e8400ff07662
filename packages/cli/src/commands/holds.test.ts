/** The customer's stop as both sides meet it at the command line, against a small server in place of manager and orchestrator. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exitCode } from '../exit-codes.ts';
import { run } from '../program/program.ts';
import type { Services } from '../services.ts';

let folder: string;
let server: Server;
let url: string;
let answers: Record<string, { status?: number; body: unknown }>;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'muster-holds-'));
  writeFileSync(join(folder, 'token'), 't0ken');
  writeFileSync(join(folder, 'local-token'), 'l0cal');
  answers = {};
  server = createServer((request, response) => {
    request.resume();
    const { status = 200, body } = answers[`${request.method} ${request.url?.split('?')[0]}`] ?? {
      status: 404,
      body: { title: 'Not found', status: 404 },
    };
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
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
  let out = '';
  let error = '';
  const services: Services = {
    environment: {
      XDG_CONFIG_HOME: folder,
      MUSTER_URL: url,
      MUSTER_LOCAL_URL: url,
      MUSTER_TOKEN_FILE: join(folder, 'token'),
    },
    stdout: { write: (text) => void (out += text) },
    stderr: { write: (text) => void (error += text) },
    stdin: Object.assign(Readable.from(['']), { isTTY: false }) as unknown as Services['stdin'],
    now: () => Date.UTC(2026, 0, 1),
  };
  return { code: await run(services, '0.1.0', words), out, error };
}

const held = {
  agent_id: 'agt_1abc',
  name: 'alpha',
  agent_type: 'trading_agent',
  status: 'stopped-by-customer',
  detail: 'local operator: Friday close',
  container_name: 'orchestrator-1',
  pid: null,
  since: '2025-12-31T23:59:00Z',
  crashes: 0,
  metrics: {},
};

describe('the vendor', () => {
  beforeEach(() => {
    answers['GET /api/v1/cluster/agents'] = { body: [held] };
    answers['GET /api/v1/cluster/agents/agt_1abc'] = { body: held };
    const answer = {
      success: true,
      agent_id: 'agt_1abc',
      status: held.status,
      connected: true,
      confirmed: false,
    };
    for (const verb of ['start', 'restart', 'stop']) {
      answers[`POST /api/v1/cluster/agents/agt_1abc/${verb}`] = { body: answer };
    }
  });

  it('sees in the usual list who stopped it and why', async () => {
    expect((await muster('ps')).out).toMatch(/stopped-by-customer .* local operator: Friday close/);
  });

  it.each(['start', 'restart'])('is told that a %s is held, by whom, and who lifts it', async (verb) => {
    const { code, error } = await muster(verb, 'alpha');
    expect(code).toBe(exitCode.refused);
    expect(error).toContain('alpha: local operator: Friday close');
    expect(error).toContain('muster local resume');
  });

  it('may stop it nevertheless', async () => {
    expect((await muster('stop', 'alpha')).code).toBe(exitCode.ok);
  });
});

describe('the customer', () => {
  it('reads commands, not routes, in what his orchestrator answers', async () => {
    answers['POST /stop'] = { body: { message: 'Everything is stopped until POST /resume here.' } };
    const all = await muster('local', 'stop', '--yes', '--data', folder);
    expect(all.out).toBe('Everything is stopped until: muster local resume.\n');
    answers['GET /agents'] = { body: [held] };
    answers['POST /agents/agt_1abc/resume'] = {
      status: 409,
      body: {
        title: 'Not possible',
        detail: 'Everything here is stopped: POST /resume first.',
        next: 'Look again.',
      },
    };
    const one = await muster('local', 'resume', 'alpha', '--data', folder);
    expect(one.code).toBe(exitCode.refused);
    expect(one.error).toContain('Everything here is stopped: muster local resume first.');
    expect(one.error).not.toContain('Look again.');
  });

  it('sees in the status what is stopped here, by whom and why', async () => {
    answers['GET /status'] = {
      body: {
        agent_id: 'vm',
        status: 'running',
        config: {},
        metrics: {},
        manager: {},
        stopped_by_customer: null,
      },
    };
    answers['GET /agents'] = {
      body: [{ ...held, held: { by: 'local operator', reason: 'Friday close', at: '2025-12-31T23:59:00Z' } }],
    };
    const { out } = await muster('local', 'status', '--data', folder);
    expect(out).toMatch(/stopped here +alpha by local operator 1 min ago: Friday close/);
  });

  it('is shown the directories that fit when he names the one above', async () => {
    mkdirSync(join(folder, 'fleet', 'orchestrator-1'), { recursive: true });
    writeFileSync(join(folder, 'fleet', 'orchestrator-1', 'local-token'), 'x');
    const { code, error } = await muster('local', 'status', '--data', join(folder, 'fleet'));
    expect(code).toBe(exitCode.notFound);
    expect(error).toContain(join(folder, 'fleet', 'orchestrator-1'));
  });
});
