/** The daemon with a real keeper and real agents against a small manager that does the real hand-shake. */
import { existsSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentPlaces } from './agent-places.ts';
import { readStat } from './keeper/process-table.ts';
import {
  closeBench,
  command,
  Daemon,
  directory,
  entry,
  healthy,
  lastReport,
  manager,
  openBench,
  startedWith,
  until,
} from './testing/daemon-bench.ts';
import { fixtureSpec } from './testing/fixture-types.ts';

beforeEach(openBench);
afterEach(closeBench);

describe('a daemon with its manager', () => {
  it('joins once, connects, starts what it is ordered, and signs the receipt', async () => {
    const daemon = await startedWith(entry());
    const receipts = await manager.next('receipts');
    expect(receipts.receipts[0]?.doc).toMatchObject({
      orderId: 'order-1',
      outcome: 'succeeded',
      orchestratorId: 'orc_1',
    });
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
    const keeper =
      /"msg":"keeper connected"/.exec(daemon.log) && /"pid":(\d+)[^}]*"started":true/.exec(daemon.log);
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
    const born = manager.frames
      .slice(from)
      .flatMap((frame) => (frame.t === 'status' ? frame.agents : []))
      .map((agent) => agent.sub);
    expect(Math.max(...born)).toBe(2);
  });

  it.each([
    [
      'a broken signature',
      (frame: { sig: string }) => {
        frame.sig = `${frame.sig.slice(0, -4)}AAAA`;
      },
    ],
    [
      'another orchestrator',
      (frame: { doc: { orchestratorId: string } }) => {
        frame.doc.orchestratorId = 'orc_2';
      },
    ],
  ])('refuses an order with %s, drops the link, and comes back', async (_what, spoil) => {
    const daemon = new Daemon();
    await manager.next('report');
    const body = {
      kind: 'complete' as const,
      generation: 1,
      revision: 9,
      digest: 'd',
      entries: [entry()],
      tombstones: [],
    };
    manager.order({ kind: 'target', target: body }, spoil as never);
    await until('the next link', () => manager.links >= 2);
    const report = await until(
      'the second report',
      () => manager.frames.filter((frame) => frame.t === 'report')[1],
    );
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
    const answers = manager.frames.filter((frame) => frame.t === 'stopped' && frame.query === 'q1');
    expect(answers).toHaveLength(1);
  });

  it('sends nothing of its secret to a manager whose root key is not the one in the token', async () => {
    const daemon = new Daemon({ JOIN_TOKEN: manager.token('ab'.repeat(32)) });
    await until('the refusal', () => daemon.log.includes('nothing secret was sent'));
    expect(manager.received).toBe('');
    expect(manager.joins).toBe(0);
    const health = await fetch(`${await daemon.api()}/health`);
    expect(health.status).toBe(200);
    expect(await health.json()).toMatchObject({
      status: 'healthy',
      agent_id: 'edge-1',
      manager: { state: 'waiting' },
    });
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
    expect(
      await until('the agent to answer', () => command('a', 'echo', { x: 1 }).catch(() => null)),
    ).toEqual({ x: 1 });
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

  it('takes an agent that ends at once for dead every time, and calls it crash-looping', async () => {
    const daemon = new Daemon();
    await manager.next('report');
    manager.target([entry({ agentId: 'dies-young' })]);
    const report = await until('the crash loop', () => {
      const last = lastReport('dies-young');
      return last?.status === 'crash-looping' && last;
    });
    expect(report).toMatchObject({ pid: null, lastExit: { code: 3, signal: null } });
    expect(report.crashes).toBeGreaterThanOrEqual(3);
    manager.order({ kind: 'stopQuery', stopQuery: { agentId: 'dies-young', epoch: 1, query: 'q' } });
    expect(await manager.next('stopped')).toMatchObject({ epoch: 1, state: null, stateError: null });
    expect(daemon.log).not.toContain('unexpectedly');
  });

  it('refuses a type it does not have, and says so in the receipt', async () => {
    new Daemon();
    await manager.next('report');
    manager.target([entry({ spec: fixtureSpec({ typeVersion: '9.9.9' }) })]);
    const { receipts } = await manager.next('receipts');
    expect(receipts[0]?.doc).toMatchObject({ orderId: 'order-1', outcome: 'refused' });
    expect(receipts[0]?.doc.detail).toContain('in version 1.0.0, not 9.9.9');
  });

  it('removes an agent with its files at a tombstone', async () => {
    await startedWith(entry());
    const { directory: files } = new AgentPlaces(join(directory, 'data')).of('a');
    expect(existsSync(files)).toBe(true);
    manager.target([], [{ agentId: 'a', epoch: 1, orderId: 'order-9', purge: true }]);
    const done = await manager.next('receipts', (frame) =>
      frame.receipts.some(({ doc }) => doc.orderId === 'order-9'),
    );
    expect(done.receipts.find(({ doc }) => doc.orderId === 'order-9')?.doc.outcome).toBe('succeeded');
    expect(existsSync(files)).toBe(false);
  });

  it('shows output by tail and by following it', async () => {
    await startedWith(entry());
    manager.send({ t: 'call', id: 'tail', op: 'logs', args: { agentId: 'a', tail: 1 } });
    const tail = await manager.next('answer', (frame) => frame.id === 'tail');
    expect(tail.value).toEqual({
      lines: [{ stream: 'stdout', text: 'welcomed a 1.1 {"greeting":"hello"}' }],
    });
    manager.send({ t: 'call', id: 'follow', op: 'logs', args: { agentId: 'a', tail: 0, follow: true } });
    await command('a', 'print', { lines: 3 });
    const chunk = await manager.next('chunk', (frame) => frame.id === 'follow' && frame.lines.length > 0);
    expect(chunk.lines[0]).toEqual({ stream: 'stdout', text: 'line 1' });
    manager.send({ t: 'call', id: 'end', op: 'cancel', args: { id: 'follow' } });
    await manager.next('chunk', (frame) => frame.id === 'follow' && frame.done);
    manager.send({ t: 'call', id: 'wrong', op: 'logs', args: { agentId: 'nobody' } });
    expect(await manager.next('answer', (frame) => frame.id === 'wrong')).toMatchObject({
      ok: false,
      error: { code: 'not-found' },
    });
  });

  it('says once why it waits, keeps its agents when it was removed, and retries slowly', async () => {
    const daemon = await startedWith(entry());
    const before = await healthy('a');
    manager.reject = {
      code: 'orchestrator-revoked',
      message: 'Removed.',
      next: 'Join again with a new token.',
      retryAfterMs: 0,
    };
    manager.cut();
    await until('the reason', () => daemon.log.includes('orchestrator-revoked'));
    expect(existsSync(`/proc/${before.pid}`)).toBe(true);
    expect(daemon.log).toContain('Join again with a new token.');
  });
});
