import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SocketOrchestrator } from './testing/socket-orchestrator.ts';

let directory: string;
let orchestrator: SocketOrchestrator;

const path = (): string => join(directory, 'agent.sock');

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'muster-sdk-'));
  orchestrator = new SocketOrchestrator({ path: path() });
  await orchestrator.listen();
});
afterEach(async () => {
  await orchestrator.close();
  rmSync(directory, { recursive: true, force: true });
});

describe('a real process', () => {
  const script = `import { runAgent } from ${JSON.stringify(join(import.meta.dirname, 'index.ts'))};
    runAgent({ setup: (context) => { context.ready(); context.log.info('up', { n: 1 }); return { stop: ({ reason }) => context.log.info('bye', { reason }) }; } });`;
  const start = (env: Record<string, string>): ReturnType<typeof spawn> =>
    spawn(process.execPath, ['--input-type=module', '-e', script], {
      env: { PATH: process.env['PATH'], ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });

  test('SIGTERM stops it in order', async () => {
    const child = start({ MUSTER_SOCKET: path(), MUSTER_AGENT_ID: 'agt_2', MUSTER_EPOCH: '1.1' });
    const output: string[] = [];
    child.stdout?.on('data', (chunk: Buffer) => output.push(chunk.toString()));
    await orchestrator.next('ready');
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await gone).toEqual([0, null]);
    const logged = output
      .join('')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { msg: string; reason?: string });
    expect(logged).toMatchObject([
      { msg: 'up', level: 'info', n: 1 },
      { msg: 'bye', reason: 'SIGTERM' },
    ]);
  });

  test('a reader of its log that went away does not end it', async () => {
    const child = start({ MUSTER_SOCKET: path(), MUSTER_AGENT_ID: 'agt_2', MUSTER_EPOCH: '1.1' });
    child.stdout?.destroy();
    await orchestrator.next('ready');
    orchestrator.send({ t: 'ping', id: 'alive' });
    await orchestrator.next('pong');
    const gone = once(child, 'exit');
    orchestrator.send({ t: 'stop', graceMs: 1_000, reason: 'over' });
    expect(await gone).toEqual([0, null]);
  });

  test('without a socket it says what is missing and exits 64', async () => {
    const child = start({});
    const output: string[] = [];
    child.stdout?.on('data', (chunk: Buffer) => output.push(chunk.toString()));
    expect(await once(child, 'close')).toEqual([64, null]);
    expect(output.join('')).toContain('MUSTER_SOCKET');
  });
});
