/**
 * The analysis agent's program: computes indicators at each bar close, serves the last values, trades nothing.
 * Life cycle and pace are those of the trading agent without an account.
 */
import {
  type AgentCommand,
  type AgentContext,
  type AgentProgram,
  type CommandHandler,
  CommandRefused,
} from '@muster/agent-sdk';
import { validateConfig } from '../config/validate-config.ts';
import { JournalDamaged, RecordLog } from '../journal/record-log.ts';
import { dateOf, instantText } from '../market-data/calendar.ts';
import { DataMissing, loadMarketData } from '../market-data/market-data.ts';
import { Pace } from '../replay/pace.ts';
import { waitFailed } from '../replay/wait-failed.ts';
import type { AnalysisView } from './analyst.ts';
import { type AnalysisConfig, barsUntilWarm, resolveAnalysisConfig } from './config.ts';
import { AnalysisSession } from './session.ts';

/** Symbols whose RSI is published as a metric of its own. */
const metricSymbolsMax = 50;

/** Starts analysing in this process. Resolves once the agent is ready (or waits, failed, for a person). */
export function startAnalysis(context: AgentContext): AgentProgram {
  context.health('initializing');
  const issues = validateConfig('analysis_agent', context.config);
  if (issues.length > 0)
    return waitFailed(context, issues.map(({ path, message }) => `${path || '/'} ${message}`).join('; '));
  const config = resolveAnalysisConfig(context.config);
  let session: AnalysisSession;
  try {
    const directory = process.env['MUSTER_MARKET_DATA'];
    const { maxBarMove, confirmedMoves, symbols: universe } = config;
    const data = loadMarketData({ ...config.data, directory, universe, maxBarMove, confirmedMoves });
    session = new AnalysisSession(config, data, new RecordLog(context.stateDir));
  } catch (error) {
    if (error instanceof DataMissing || error instanceof JournalDamaged)
      return waitFailed(context, error.message);
    throw error;
  }
  const program = new AnalysisProgram(context, config, session);
  program.start();
  return program;
}

class AnalysisProgram implements AgentProgram {
  readonly #context: AgentContext;
  readonly #config: AnalysisConfig;
  readonly #session: AnalysisSession;
  readonly #pace: Pace;
  #detail: string | undefined;
  #closed = false;

  constructor(context: AgentContext, config: AnalysisConfig, session: AnalysisSession) {
    this.#context = context;
    this.#config = config;
    this.#session = session;
    this.#pace = new Pace(config.replay.barsPerSecond, {
      step: () => Promise.resolve(this.#step()),
      onEnd: () => this.#historyEnded(),
      onError: (error) => {
        throw error;
      },
    });
    this.#registerVerbs();
  }

  start(): void {
    this.#context.health('warming_up');
    const warm = Math.min(barsUntilWarm(this.#config), this.#session.length);
    while (this.#session.position < warm) this.#session.step();
    this.#context.health('running');
    this.#context.ready();
    this.#context.log.info('analysing', { position: this.#session.position, of: this.#session.length });
    this.#pace.start();
  }

  report(): void {
    if (!this.#closed) this.#context.metrics(this.#metrics());
  }

  async stop(): Promise<void> {
    await this.#pace.stop();
    this.#closed = true;
    this.#session.close();
  }

  #step(): boolean {
    if (this.#session.step()) return true;
    if (!this.#config.replay.loop) return false;
    this.#session.restart();
    return this.#session.step();
  }

  #historyEnded(): void {
    this.#detail =
      this.#session.length === 0
        ? 'there is no history'
        : `history ended at ${dateOf(this.#session.barTime)}`;
    this.#context.log.info('history ended');
    this.#context.health('running', this.#detail);
    this.report();
  }

  #views(command?: AgentCommand): AnalysisView[] {
    const symbol = command?.args['symbol'];
    const views = this.#session.analysts.map(({ view }) => view);
    if (symbol === undefined) return views;
    const found = views.filter((view) => view.symbol === symbol);
    if (found.length === 0)
      throw new CommandRefused('unknown-symbol', `This agent does not analyse ${JSON.stringify(symbol)}.`);
    return found;
  }

  #metrics(): Record<string, number> {
    const views = this.#views();
    const metrics: Record<string, number> = {
      bar_time: this.#session.barTime,
      bars_seen: this.#session.position,
      symbols: views.length,
      warm_symbols: views.filter(({ warm }) => warm).length,
      signals_total: this.#session.signalsTotal,
      bad_bars_total: views.reduce((sum, view) => sum + view.bad_bars, 0),
      missing_bars_total: views.reduce((sum, view) => sum + view.missing_bars, 0),
    };
    for (const { symbol, values } of views.slice(0, metricSymbolsMax)) {
      const rsi = values[`rsi_${this.#config.periods.rsi}`];
      if (typeof rsi === 'number') metrics[`rsi_${symbol.toLowerCase().replace(/[^a-z0-9]/g, '_')}`] = rsi;
    }
    return metrics;
  }

  #registerVerbs(): void {
    const command = (verb: string, handler: CommandHandler): void => this.#context.command(verb, handler);
    const timed = (view: AnalysisView): unknown => ({
      ...view,
      bar_time: view.bar_time === null ? null : instantText(view.bar_time),
    });
    const status = (): unknown => ({
      state: 'running',
      detail: this.#detail ?? null,
      analysis_type: this.#config.analysisType,
      data_set: this.#config.data.set,
      symbols: this.#views().map(({ symbol }) => symbol),
      indicators: this.#config.indicators,
      bar_time: this.#session.barTime === 0 ? null : instantText(this.#session.barTime),
      replay: {
        position: this.#session.position,
        length: this.#session.length,
        bars_per_second: this.#config.replay.barsPerSecond,
        ended: this.#session.position >= this.#session.length,
      },
    });
    command('status', status);
    command('health', status);
    command('indicators', (asked) => ({ indicators: this.#views(asked).map(timed) }));
    command('signals', (asked) => ({
      signals: this.#views(asked)
        .filter(({ signals }) => signals.length > 0)
        .map(({ symbol, bar_time: at, close, signals }) => ({
          symbol,
          bar_time: at === null ? null : instantText(at),
          close,
          signals,
        })),
    }));
    command('config', () => ({ config: this.#context.config, hash: this.#config.hash }));
  }
}
