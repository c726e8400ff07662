import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AGENT_LINE_MAX_BYTES } from '@muster/contract';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AgentEvents, AgentSocket, type AgentWelcome } from './agent-socket.ts';
import { LineSplitter } from './line-splitter.ts';

let directory: string;
let socket: AgentSocket;
let heard: string[];
let current: AgentWelcome | null | 'unknown';
const clients: Socket[] = [];

const events: AgentEvents = {
  current: async () => current,
  ready: (_agent, { epoch, sub }) => void heard.push(`ready ${epoch}.${sub}`),
  health: (_agent, _of, { state, ok }) => void heard.push(`health ${state} ${ok}`),
  metrics: (_agent, values) => void heard.push(`metrics ${JSON.stringify(values)}`),
  state: async (_agent, frame) => (frame.t === 'state.get' ? { stored: frame.key } : null),
  refused: (_agent, reason) => void heard.push(`refused ${reason}`),
};
const path = (): string => join(directory, 'a.s');
const hello = (epoch: string, agent = 'a'): string =>
  `${JSON.stringify({ t: 'hello', v: 1, agent, epoch, sdk: 'test', pid: 1 })}\n`;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'socket-test-'));
  heard = [];
  current = { epoch: 3, sub: 2, agentType: 'fixture', config: { x: 1 } };
  socket = new AgentSocket('a', path(), events, 1000);
  await socket.listen();
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await socket.close();
  rmSync(directory, { recursive: true });
});

/** A client that keeps the lines it was sent and knows when it was closed. */
function client(...lines: (string | Buffer)[]): {
  send(line: string): void;
  line(): Promise<Record<string, unknown>>;
  closed: Promise<void>;
} {
  const connection = createConnection(path());
  clients.push(connection);
  const received: string[] = [];
  const waiting: ((line: string) => void)[] = [];
  let rest = '';
  connection.setEncoding('utf8');
  connection.on('error', () => undefined);
  connection.on('data', (text) => {
    const parts = (rest + String(text)).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) (waiting.shift() ?? ((line: string) => void received.push(line)))(part);
  });
  const closed = new Promise<void>((resolve) => connection.once('close', () => resolve()));
  for (const line of lines) connection.write(line);
  return {
    send: (line) => void connection.write(line),
    line: async () =>
      JSON.parse(
        received.shift() ?? (await new Promise<string>((resolve) => waiting.push(resolve))),
      ) as Record<string, unknown>,
    closed,
  };
}

describe('the socket of an agent', () => {
  it('says that an agent is not well when it hangs, and lets it come back', async () => {
    await socket.close();
    socket = new AgentSocket('a', path(), events, 1000, 20);
    await socket.listen();
    const hangs = client(hello('3.2'), '{"t":"health","state":"running","ok":true}\n');
    await hangs.closed;
    expect(heard).toEqual([
      'health running true',
      'health degraded false',
      'refused it did not answer a ping',
    ]);
    expect(await client(hello('3.2')).line()).toMatchObject({ t: 'welcome' });
  });

  it('is open to its owner alone', () => {
    expect(statSync(path()).mode & 0o777).toBe(0o600);
  });

  it('welcomes the current incarnation with its configuration and fence', async () => {
    const agent = client(hello('3.2'), '{"t":"ready"}\n');
    expect(await agent.line()).toMatchObject({
      t: 'welcome',
      agentType: 'fixture',
      config: { x: 1 },
      fence: { epoch: 3, sub: 2, deadlineUptimeMs: null },
    });
    agent.send('{"t":"state.get","id":"1","key":"k"}\n');
    expect(await agent.line()).toEqual({ t: 'result', id: '1', ok: true, value: { stored: 'k' } });
    expect(heard).toEqual(['ready 3.2']);
  });

  it.each([
    ['3.1', 'a'],
    ['2.2', 'a'],
    ['3.2', 'b'],
  ])('refuses incarnation %s of %s', async (epoch, name) => {
    const agent = client(hello(epoch, name));
    expect(await agent.line()).toMatchObject({ t: 'refused', code: 'stale' });
    await agent.closed;
    expect(socket.connected).toBe(false);
  });

  it('refuses everybody when nothing runs, and leaves alone what it does not know', async () => {
    current = null;
    expect(await client(hello('3.2')).line()).toMatchObject({ t: 'refused' });
    current = 'unknown';
    await client(hello('3.2')).closed;
    expect(heard).toEqual(['refused Nothing runs under this id.']);
  });

  it('relays commands and answers, and fails those in flight when the agent goes away', async () => {
    await expect(socket.command('status', {}, 1000)).rejects.toMatchObject({ code: 'agent-not-running' });
    const agent = client(hello('3.2'));
    await agent.line();
    const answer = socket.command('echo', { y: 2 }, 10_000);
    const command = await agent.line();
    expect(command).toMatchObject({ t: 'command', verb: 'echo', args: { y: 2 } });
    agent.send(`${JSON.stringify({ t: 'answer', id: command['id'], ok: true, value: 5 })}\n`);
    expect(await answer).toBe(5);
    const refused = socket.command('no', {}, 10_000);
    agent.send(
      `${JSON.stringify({ t: 'answer', id: (await agent.line())['id'], ok: false, error: { code: 'unknown', message: 'no' } })}\n`,
    );
    await expect(refused).rejects.toMatchObject({ code: 'unknown', message: 'no' });
    const lost = socket.command('slow', {}, 10_000);
    await agent.line();
    clients.at(-1)?.destroy();
    await expect(lost).rejects.toMatchObject({ code: 'agent-not-running' });
    await expect(socket.command('slow', {}, 1)).rejects.toMatchObject({ code: 'agent-not-running' });
  });

  it('gives up on a command that is not answered', async () => {
    const agent = client(hello('3.2'));
    await agent.line();
    await expect(socket.command('slow', {}, 5)).rejects.toMatchObject({ code: 'timeout' });
  });

  it.each([
    ['no JSON', 'nonsense\n'],
    ['an unknown frame', '{"t":"launch"}\n'],
    ['an unknown key', '{"t":"ready","x":1}\n'],
    ['a number that is none', '{"t":"metrics","values":{"a":"1"}}\n'],
    ['a second hello', hello('3.2')],
    ['an endless line', Buffer.alloc(AGENT_LINE_MAX_BYTES + 2, 0x61)],
  ])('ends a connection that sends %s, and takes the next one', async (_what, garbage) => {
    const agent = client(hello('3.2'), garbage);
    await agent.closed;
    expect(heard.filter((each) => each.startsWith('refused'))).toHaveLength(1);
    expect(await client(hello('3.2')).line()).toMatchObject({ t: 'welcome' });
  });

  it('lets the newest connection of the incarnation speak', async () => {
    const first = client(hello('3.2'));
    await first.line();
    const second = client(hello('3.2'));
    await second.line();
    await first.closed;
    void socket.command('status', {}, 10_000).catch(() => undefined);
    expect(await second.line()).toMatchObject({ t: 'command' });
  });
});

describe('cutting into lines', () => {
  it('gives the same lines however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll('\n', ''))),
        fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }),
        (lines, sizes) => {
          const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
          const splitter = new LineSplitter(10_000);
          const found: string[] = [];
          for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
            const size = sizes[turn % sizes.length] ?? 1;
            found.push(...splitter.push(bytes.subarray(at, at + size)));
            at += size;
          }
          expect(found).toEqual(lines.map((line) => line.toWellFormed()));
        },
      ),
    );
  });

  it('stops at the limit', () => {
    const splitter = new LineSplitter(4);
    expect(splitter.push(Buffer.from('abcd\n'))).toEqual(['abcd']);
    expect(() => splitter.push(Buffer.from('abcde'))).toThrow('longer than 4 bytes');
  });
});
