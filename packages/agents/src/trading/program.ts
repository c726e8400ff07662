/**
 * The trading agent's program: life cycle, replay, verbs and reports around one replay session.
 *
 * initializing → reconciling → warming_up → running; paused and halted follow the journaled latch, degraded means the
 * account and the venue disagree, failed waits for a person (bad configuration, absent data, damaged journal). Verbs
 * and bars never interleave: everything that touches the session goes through `exclusive`.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type AgentCommand, type AgentContext, type AgentProgram, CommandRefused } from '@muster/agent-sdk';
import { validateConfig } from '../config/validate-config.ts';
import { JournalDamaged } from '../journal/record-log.ts';
import { dateOf } from '../market-data/calendar.ts';
import { DataMissing } from '../market-data/market-data.ts';
import { barsNeeded } from '../momentum/params.ts';
import { Pace } from '../replay/pace.ts';
import { waitFailed } from '../replay/wait-failed.ts';
import { resolveTradingConfig, type TradingConfig } from './config.ts';
import { type ControlAnswer, TradingControl } from './control.ts';
import { openReplay, type ReplaySession } from './replay.ts';
import {
  balanceOf,
  metricsOf,
  ordersOf,
  performanceOf,
  positionsOf,
  riskOf,
  statusOf,
  tradesOf,
} from './views.ts';

/** Starts trading in this process. Resolves once the agent is ready (or waits, failed, for a person). */
export async function startTrading(context: AgentContext): Promise<AgentProgram> {
  context.health('initializing');
  const issues = validateConfig('trading_agent', context.config);
  if (issues.length > 0)
    return waitFailed(context, issues.map(({ path, message }) => `${path || '/'} ${message}`).join('; '));
  const config = resolveTradingConfig(context.config);
  let session: ReplaySession;
  try {
    session = openReplay(config, context, context.stateDir, {
      marketDirectory: process.env['MUSTER_MARKET_DATA'],
      canTrade: () => context.fence.canTrade(),
      note: (level, message, fields) =>
        context.log[level](message, { ...fields, epoch: context.fence.epoch }),
    });
  } catch (error) {
    if (error instanceof DataMissing || error instanceof JournalDamaged)
      return waitFailed(context, error.message);
    throw error;
  }
  const program = new TradingProgram(context, config, session);
  await program.start();
  return program;
}

class TradingProgram implements AgentProgram {
  readonly #context: AgentContext;
  readonly #config: TradingConfig;
  readonly #session: ReplaySession;
  readonly #control: TradingControl;
  readonly #pace: Pace;
  readonly #killFile: string;
  #phase: 'reconciling' | 'warming_up' | 'running' | 'degraded' = 'reconciling';
  #detail: string | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(context: AgentContext, config: TradingConfig, session: ReplaySession) {
    this.#context = context;
    this.#config = config;
    this.#session = session;
    this.#killFile = join(context.stateDir, 'kill');
    this.#control = new TradingControl(session, () => existsSync(this.#killFile));
    this.#pace = new Pace(config.replay.barsPerSecond, {
      step: () => this.#exclusive(() => this.#step()),
      onEnd: () => this.#historyEnded(),
      onError: (error) => {
        throw error;
      },
    });
    this.#registerVerbs();
  }

  async start(): Promise<void> {
    this.#showHealth();
    this.#noteDataFaults();
    const differences = await this.#exclusive(() => this.#session.begin());
    if (differences.length > 0) {
      this.#phase = 'degraded';
      this.#detail = `positions differ from the venue: ${JSON.stringify(differences)}`;
      this.#showHealth();
      this.#context.ready();
      return;
    }
    this.#phase = 'warming_up';
    this.#showHealth();
    await this.#exclusive(() => this.#warmUp());
    this.#phase = 'running';
    this.#showHealth();
    this.#context.ready();
    this.#context.log.info('trading', {
      position: this.#session.position,
      of: this.#session.length,
      run: this.#session.account.run,
    });
    this.#pace.start();
  }

  report(): void {
    if (this.#closed) return;
    this.#context.metrics(metricsOf(this.#session));
    if (this.#session.account.latch.state !== 'halted' && existsSync(this.#killFile))
      void this.#exclusive(() => this.#haltByFile());
    this.#showHealth();
  }

  /** Paper orders rest in the journal, not at a venue outside, so a stopped agent leaves nothing working anywhere. */
  async stop(): Promise<void> {
    await this.#pace.stop();
    await this.#exclusive(async () => {
      this.#context.metrics(metricsOf(this.#session));
      this.#session.book.close();
      this.#closed = true;
    });
  }

  /** The bars that only build history are played at once. They pass through the same steps as all others. */
  async #warmUp(): Promise<void> {
    const slots = Math.min(barsNeeded(this.#config.params), this.#session.length);
    while (this.#session.position < slots && (await this.#session.step())) {
      if (existsSync(this.#killFile)) await this.#haltByFile();
    }
  }

  async #step(): Promise<boolean> {
    if (existsSync(this.#killFile)) await this.#haltByFile();
    if (await this.#session.step()) return true;
    if (!this.#config.replay.loop) return false;
    this.#session.restart();
    this.#context.log.info('history starts over with a fresh account', { run: this.#session.account.run });
    return this.#session.step();
  }

  async #haltByFile(): Promise<void> {
    if (this.#closed || this.#session.account.latch.state === 'halted') return;
    await this.#control.haltFor('the file "kill" is in the state directory', 'kill file');
    this.#context.log.error('trading halted by the kill file');
    this.#showHealth();
  }

  #historyEnded(): void {
    const { lastBar } = this.#session.account;
    this.#detail = lastBar === null ? 'there is no history' : `history ended at ${dateOf(lastBar.openAt)}`;
    this.#context.log.info('history ended', { equity: this.#session.account.performance.equity });
    this.report();
  }

  #showHealth(): void {
    const { latch } = this.#session.account;
    if (latch.state === 'halted') return this.#context.health('halted', `by ${latch.by}: ${latch.reason}`);
    if (latch.state === 'reducing' && this.#phase === 'running')
      return this.#context.health('paused', `by ${latch.by}: ${latch.reason}`);
    this.#context.health(this.#phase, this.#detail);
  }

  #noteDataFaults(): void {
    for (const gap of this.#session.gaps()) this.#context.log.info('gaps in the price history', gap);
    for (const { id, openAt, reason } of this.#session.badBars()) {
      this.#context.log.warn('bad bar: its symbol is quarantined while it is in the score window', {
        symbol: id,
        at: openAt,
        reason,
      });
    }
  }

  /** One thing at a time, in order of arrival; a failure is the caller's and does not stop the next. */
  #exclusive<T>(act: () => Promise<T>): Promise<T> {
    const result = this.#last.then(act, act);
    this.#last = result.catch(() => {});
    return result;
  }

  #registerVerbs(): void {
    const context = this.#context;
    const session = this.#session;
    const config = this.#config;
    const read = (verb: string, view: (command: AgentCommand) => unknown): void =>
      context.command(verb, view);
    read('status', () => ({
      state: this.#phase,
      detail: this.#detail ?? null,
      ...statusOf(session, config),
    }));
    read('balance', () => balanceOf(session));
    read('positions', () => positionsOf(session));
    read('orders', (command) => ordersOf(session, command));
    read('trades', (command) => tradesOf(session, command));
    read('performance', () => performanceOf(session, config.calendar === 'exchange' ? 252 : 365));
    read('risk', () => riskOf(session, config));
    read('config', (command) => this.#configView(command));
    read('health', () => ({
      state: this.#phase,
      detail: this.#detail ?? null,
      latch: session.account.latch,
      last_bar_close: session.account.lastBar?.closeAt ?? null,
      journal_seq: session.book.seq,
      connected: context.connected(),
    }));
    const change = (verb: string, act: (command: AgentCommand) => Promise<ControlAnswer>): void =>
      context.command(verb, (command) => this.#carryOut(command, act));
    const control = this.#control;
    change('pause', (command) => control.pause(command));
    change('resume', (command) => control.resume(command));
    change('halt', (command) => control.halt(command));
    change('release', (command) => control.release(command));
    change('flatten', (command) => control.flatten(command));
    change('cancel-orders', (command) => control.cancelOrders(command));
    change('reconcile', async () => ({ differences: await session.engine.reconcile() }));
  }

  /** A refusal is an answer; anything else (a disk that refuses the journal) ends the process, whose memory is ahead of its journal. */
  async #carryOut(
    command: AgentCommand,
    act: (command: AgentCommand) => Promise<ControlAnswer>,
  ): Promise<ControlAnswer> {
    try {
      const answer = await this.#exclusive(() => act(command));
      this.#context.log.info('command carried out', { command: command.id, verb: command.verb });
      this.#showHealth();
      return answer;
    } catch (error) {
      if (!(error instanceof CommandRefused)) {
        setImmediate(() => {
          throw error;
        });
      }
      throw error;
    }
  }

  #configView(command: AgentCommand): unknown {
    const action = command.args['action'] ?? 'get';
    if (action !== 'get')
      throw new CommandRefused(
        'unsupported',
        'The configuration changes with a new deployment; only "get" is answered here.',
      );
    return { config: this.#context.config, hash: this.#config.hash };
  }
}
