/**
 * The control verbs that change something: pause, resume, halt, release, flatten, cancel-orders.
 *
 * Each is idempotent by command id, also across a restart: the id is journaled with the effect. Latches survive restarts
 * and moves. A halt denies everything but cancels; its release needs a reason and a named operator.
 */
import { type AgentCommand, CommandRefused } from '@muster/agent-sdk';
import type { LatchState } from './records.ts';
import type { ReplaySession } from './replay.ts';

export type ControlAnswer = Readonly<Record<string, unknown>>;

export class TradingControl {
  readonly #session: ReplaySession;
  readonly #killFilePresent: () => boolean;

  constructor(session: ReplaySession, killFilePresent: () => boolean) {
    this.#session = session;
    this.#killFilePresent = killFilePresent;
  }

  /** No order that raises exposure; exits go on. */
  pause(command: AgentCommand): Promise<ControlAnswer> {
    return this.#once(command, async () => {
      if (this.#state !== 'halted') this.#latch('reducing', command);
      return {};
    });
  }

  resume(command: AgentCommand): Promise<ControlAnswer> {
    return this.#once(command, async () => {
      if (this.#state === 'halted')
        throw new CommandRefused('halted', 'Trading is halted; use "release" with a reason and an operator.');
      this.#latch('running', command);
      return {};
    });
  }

  halt(command: AgentCommand): Promise<ControlAnswer> {
    return this.#once(command, () =>
      this.haltFor(textOf(command, 'reason') ?? 'halt', textOf(command, 'operator') ?? 'command'),
    );
  }

  /** Cancels all own open orders and latches the halt; used by the verb and by the kill file. */
  async haltFor(reason: string, by: string): Promise<ControlAnswer> {
    if (this.#state !== 'halted') this.#record('halted', reason, by);
    const cancelled = await this.#session.engine.cancelOrders();
    return { cancelled_orders: cancelled };
  }

  release(command: AgentCommand): Promise<ControlAnswer> {
    return this.#once(command, async () => {
      const reason = textOf(command, 'reason');
      const operator = textOf(command, 'operator');
      if (reason === undefined || operator === undefined) {
        throw new CommandRefused('bad-arguments', 'A release needs "reason" and "operator".');
      }
      if (this.#killFilePresent()) {
        throw new CommandRefused(
          'kill-file',
          'The file "kill" is in the state directory of this agent; remove it first.',
        );
      }
      this.#record('running', reason, operator);
      return {};
    });
  }

  /** Closes positions with reduce-only orders, then lets nothing raise exposure until "resume". */
  flatten(command: AgentCommand): Promise<ControlAnswer> {
    return this.#once(command, async () => {
      if (this.#state === 'halted')
        throw new CommandRefused('halted', 'Trading is halted; release it before flattening.');
      const symbol = textOf(command, 'symbol') ?? textOf(command, 'id');
      this.#latch('reducing', command, 'flatten');
      const one = symbol === undefined || symbol === 'all' ? undefined : symbol;
      const cancelled = await this.#session.engine.cancelOrders(one);
      const orders = await this.#session.engine.flatten(`flatten:${command.id}`, one);
      return { cancelled_orders: cancelled, orders };
    });
  }

  cancelOrders(command: AgentCommand): Promise<ControlAnswer> {
    return this.#once(command, async () => ({
      cancelled_orders: await this.#session.engine.cancelOrders(textOf(command, 'symbol')),
    }));
  }

  get #state(): LatchState {
    return this.#session.account.latch.state;
  }

  #latch(state: LatchState, command: AgentCommand, fallback = command.verb): void {
    this.#record(state, textOf(command, 'reason') ?? fallback, textOf(command, 'operator') ?? 'command');
  }

  #record(state: LatchState, reason: string, by: string): void {
    this.#session.book.record({ k: 'latched', state, reason, by, at: this.#session.engine.now });
    this.#session.book.commit();
  }

  async #once(command: AgentCommand, act: () => Promise<ControlAnswer>): Promise<ControlAnswer> {
    const { book, account } = this.#session;
    if (account.commands.has(command.id)) return { state: this.#state, repeated: true };
    const answer = await act();
    book.record({ k: 'command', id: command.id });
    book.commit();
    return { state: this.#state, ...answer };
  }
}

function textOf(command: AgentCommand, key: string): string | undefined {
  const value = command.args[key];
  return typeof value === 'string' && value !== '' ? value.slice(0, 200) : undefined;
}
