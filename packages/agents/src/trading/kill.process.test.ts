import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { AgentBench } from '../testing/agent-bench.ts';

/** Plays to the end of history and returns everything that must not depend on crashes. */
async function finish(bench: AgentBench, stateName: string): Promise<unknown> {
  const { orchestrator } = bench;
  const from = orchestrator.frames.length;
  const child = bench.start(stateName);
  await orchestrator.next('health', ({ detail }) => detail?.startsWith('history ended') === true, from);
  const answers: unknown[] = [];
  for (const verb of ['balance', 'positions', 'performance', 'risk'])
    answers.push((await orchestrator.command(verb)).value);
  for (const verb of ['orders', 'trades'])
    answers.push((await orchestrator.command(verb, { limit: 500 })).value);
  expect(await bench.stop(child)).toEqual([0, null]);
  return answers;
}

function journalBytes(bench: AgentBench, stateName: string): number {
  return statSync(join(bench.stateDir(stateName), 'journal.log'), { throwIfNoEntry: false })?.size ?? 0;
}

describe('a trading agent killed with SIGKILL', () => {
  test('at twenty random points ends with the same orders, trades and money as an undisturbed one', async () => {
    await using bench = await AgentBench.open('trading', { replay: { bars_per_second: 0 } });
    const undisturbed = await finish(bench, 'undisturbed');
    let before = 0;
    for (let round = 0; round < 20; round += 1) {
      const from = bench.orchestrator.frames.length;
      const child = bench.start('killed');
      const target = before + Math.floor(Math.random() * 20_000);
      const ended = (): boolean =>
        bench.orchestrator.frames
          .slice(from)
          .some((frame) => frame.t === 'health' && frame.detail !== undefined);
      const under = (bytes: number): boolean => bytes >= before && bytes < target;
      while (!ended() && under(journalBytes(bench, 'killed'))) await turn();
      await bench.kill(child);
      before = journalBytes(bench, 'killed');
    }
    expect(await finish(bench, 'killed')).toEqual(undisturbed);
  });
});

describe('a trading agent', () => {
  test('goes on trading while the orchestrator is away and reports when it is back', async () => {
    await using bench = await AgentBench.open('trading', { replay: { bars_per_second: 0 } });
    const { orchestrator } = bench;
    bench.start();
    await orchestrator.next('ready');
    await orchestrator.close();
    const from = orchestrator.frames.length;
    await orchestrator.listen();
    await orchestrator.next('ready', () => true, from);
    await orchestrator.next('health', ({ detail }) => detail?.startsWith('history ended') === true, from);
    expect(orchestrator.all('hello')).toHaveLength(2);
  });

  test('reports its account as numbers at the pace it is given', async () => {
    await using bench = await AgentBench.open('trading', { replay: { bars_per_second: 200 } });
    bench.start();
    const { values } = await bench.orchestrator.next(
      'metrics',
      (frame) => (frame.values['fills_total'] ?? 0) > 0,
    );
    const names = [
      'equity',
      'cash',
      'gross_exposure',
      'net_exposure',
      'drawdown',
      'max_drawdown',
      'orders_total',
      'fills_total',
    ];
    names.push(
      'fees_total',
      'realized_pnl',
      'unrealized_pnl',
      'positions',
      'bar_time',
      'bars_seen',
      'journal_seq',
    );
    for (const name of names) expect(values[name]).toBeTypeOf('number');
    expect(values['bars_seen']).toBeLessThan(1_762);
  });

  test('is halted by a kill file, and is still halted after a restart', async () => {
    await using bench = await AgentBench.open('trading', { replay: { bars_per_second: 5 } });
    const { orchestrator } = bench;
    const child = bench.start();
    await orchestrator.next('ready');
    writeFileSync(join(bench.stateDir(), 'kill'), '');
    await orchestrator.next('health', ({ state }) => state === 'halted');
    await bench.kill(child);
    const from = orchestrator.frames.length;
    bench.start();
    await orchestrator.next('ready', () => true, from);
    expect(await orchestrator.next('health', ({ state }) => state === 'halted', from)).toMatchObject({
      ok: true,
    });
    expect(await orchestrator.command('release', { reason: 'x', operator: 'ana' })).toMatchObject({
      ok: false,
      error: { code: 'kill-file' },
    });
  });

  test.each([
    ['a configuration it must refuse', { mode: 'live' }, 'live trading is not available'],
    ['a symbol that is not there', { universe: ['NONE'] }, 'has no symbol "NONE"'],
    ['data that is not there', { data: { source: 'path' } }, 'MUSTER_MARKET_DATA'],
  ])('with %s stays, failed, and says why', async (_name, config, words) => {
    await using bench = await AgentBench.open('trading', config);
    bench.start();
    const { ok, detail } = await bench.orchestrator.next('health', ({ state }) => state === 'failed');
    expect([ok, detail]).toEqual([false, expect.stringContaining(words)]);
    expect(await bench.orchestrator.command('status')).toMatchObject({
      ok: true,
      value: { state: 'failed' },
    });
  });

  test('with a damaged journal refuses to trade on it', async () => {
    await using bench = await AgentBench.open('trading', { replay: { bars_per_second: 0 } });
    await finish(bench, 'state');
    writeFileSync(join(bench.stateDir(), 'snapshot.json'), 'damaged');
    bench.start();
    const { detail } = await bench.orchestrator.next('health', ({ state }) => state === 'failed');
    expect(detail).toContain('snapshot.json is damaged');
  });
});

describe('an analysis agent', () => {
  test('answers with the values of the last bar and goes on after a stop', async () => {
    await using bench = await AgentBench.open('analysis', {
      symbols: ['SPY'],
      replay: { bars_per_second: 0 },
    });
    const { orchestrator } = bench;
    const child = bench.start();
    await orchestrator.next('health', ({ detail }) => detail === 'history ended at 2016-12-30');
    const first = await orchestrator.command('indicators');
    expect(first.value).toMatchObject({ indicators: [{ symbol: 'SPY', n_bars: 1_762, warm: true }] });
    expect(await orchestrator.command('indicators', { symbol: 'NONE' })).toMatchObject({
      ok: false,
      error: { code: 'unknown-symbol' },
    });
    expect(await bench.stop(child)).toEqual([0, null]);
    const from = orchestrator.frames.length;
    bench.start();
    await orchestrator.next('ready', () => true, from);
    expect((await orchestrator.command('indicators')).value).toEqual(first.value);
  });
});
