/**
 * The engine: the manager machine, its driver and its journal, and the promises of those who asked for something.
 *
 * A command resolves when its answer leaves the machine, which is after everything it decided is durable. A full queue, a
 * stopping and a failed manager refuse at once; nothing waits for an answer that cannot come.
 */
import { createHash, randomUUID } from 'node:crypto';
import { agentTypes, validateConfig } from '@muster/agents/catalogue';
import { type ErrorCode, type FieldError, MusterError } from '@muster/contract';
import type { Note } from '@muster/core';
import {
  type Actor,
  type CommandResult,
  type ManagerCommand,
  type ManagerEffect,
  type ManagerInput,
  ManagerMachine,
  type ManagerSnapshot,
  type PublicEvent,
  type ValidateConfig,
} from '@muster/core/manager';
import { type Clock, Driver, type Journal, type Logger, noteToLog, systemRandom } from '@muster/runtime';
import type { Measures } from './measures.ts';

/** What carries the machine's words outside. */
export interface Outlets {
  send(effect: Extract<ManagerEffect, { kind: 'send' }>): void;
  order(effect: Extract<ManagerEffect, { kind: 'order' }>): void;
  closeLink(link: string, code: ErrorCode, detail: string, retryAfterMs: number): void;
  publish(event: PublicEvent): void;
}

export interface EngineOptions {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: Logger;
  readonly measures: Measures;
  readonly software: string;
  readonly beatIntervalMs: number;
  readonly outlets: Outlets;
  readonly queueLimit?: number;
  /** Called after the start is recorded and before anything of this run is said. */
  readonly onStarted: (incarnation: number) => void;
  readonly onFatal: (error: Error) => void;
}

interface Asker {
  readonly command: string;
  readonly resolve: (value: Readonly<Record<string, unknown>>) => void;
  readonly reject: (error: MusterError) => void;
}

/** The actor of what the manager does on its own account. */
export const systemActor: Actor = { id: 'system', role: 'admin', customerId: null };

export class Engine {
  readonly machine: ManagerMachine;
  readonly clock: Clock;
  readonly #driver: Driver<ManagerInput, ManagerEffect, ManagerSnapshot>;
  readonly #askers = new Map<string, Asker>();
  readonly #options: EngineOptions;
  #state: 'running' | 'stopping' | 'failed' = 'running';

  /** Load the journal and begin to step. Rejects with the journal's error when it cannot be read. */
  static async start(options: EngineOptions): Promise<Engine> {
    const contents = await options.journal.load();
    const machine = new ManagerMachine({
      random: systemRandom(),
      digest: (text) => createHash('sha256').update(text).digest('hex'),
      validateConfig: checkedConfig,
      beatIntervalMs: options.beatIntervalMs,
      software: options.software,
      ...(contents.snapshot === null ? {} : { snapshot: contents.snapshot.state as ManagerSnapshot }),
      records: contents.records,
    });
    const engine = new Engine(options, machine, contents.records.length);
    engine.submit({ kind: 'start', agentTypes });
    return engine;
  }

  private constructor(options: EngineOptions, machine: ManagerMachine, replayed: number) {
    this.#options = options;
    this.machine = machine;
    this.clock = options.clock;
    const { outlets, measures } = options;
    this.#driver = new Driver<ManagerInput, ManagerEffect, ManagerSnapshot>({
      machine,
      journal: timed(options.journal, measures),
      clock: options.clock,
      execute: {
        note: (effect) => this.note(effect.note),
        reply: (effect) => this.#reply(effect.request, effect.result),
        send: (effect) => outlets.send(effect),
        order: (effect) => outlets.order(effect),
        closeLink: (effect) =>
          outlets.closeLink(effect.link, effect.code, effect.detail, effect.retryAfterMs),
        publish: (effect) => outlets.publish(effect.event),
      },
      onFatal: (error) => this.#fail(error),
      onStep: (_now, input, durationMs) => {
        if (input.kind === 'start') options.onStarted(machine.facts.incarnation);
        measures.steps.observe(durationMs / 1000, { input: input.kind });
      },
      ...(options.queueLimit === undefined ? {} : { queueLimit: options.queueLimit }),
    });
    this.#driver.start(replayed);
  }

  get isAble(): boolean {
    return this.#state === 'running';
  }
  get queueLength(): number {
    return this.#driver.stats.queueLength;
  }
  get journalRecords(): number {
    return this.#options.journal.head.seq;
  }

  /** Hand in what a link brought; false when the machine takes no more. */
  submit(input: ManagerInput): boolean {
    return this.#driver.submit(input);
  }

  /** Ask for something; the value of the answer, or a `MusterError`. */
  command(actor: Actor, command: ManagerCommand): Promise<Readonly<Record<string, unknown>>> {
    if (this.#state !== 'running') return Promise.reject(notReady());
    const request = randomUUID();
    return new Promise((resolve, reject) => {
      this.#askers.set(request, { command: command.kind, resolve, reject });
      if (this.submit({ kind: 'command', request, actor, command })) return;
      this.#askers.delete(request);
      this.#options.measures.commands.add(1, { command: command.kind, outcome: 'overloaded' });
      reject(new MusterError('overloaded', 'Too much is waiting already. Try again in a few seconds.'));
    });
  }

  note(note: Note): void {
    this.#options.measures.notes.add(1, { event: note.event, level: note.level });
    noteToLog(this.#options.log, note);
  }

  /** Take no more commands; those already taken are answered, or refused after `graceMs`. */
  async stop(graceMs = 500): Promise<void> {
    if (this.#state === 'running') this.#state = 'stopping';
    const timer = setTimeout(() => this.#refuseAll(), graceMs);
    await this.#driver.stop();
    clearTimeout(timer);
    this.#refuseAll();
  }

  #reply(request: string, result: CommandResult): void {
    const asker = this.#askers.get(request);
    if (asker === undefined) return;
    this.#askers.delete(request);
    this.#options.measures.commands.add(1, {
      command: asker.command,
      outcome: result.ok ? 'done' : result.code,
    });
    if (result.ok) asker.resolve(result.value);
    else asker.reject(MusterError.from(result));
  }

  #refuseAll(): void {
    const askers = [...this.#askers.values()];
    this.#askers.clear();
    for (const asker of askers) asker.reject(notReady());
  }

  #fail(error: Error): void {
    this.#state = 'failed';
    this.#refuseAll();
    this.#options.onFatal(error);
  }
}

const notReady = (): MusterError =>
  new MusterError(
    'not-ready',
    'The manager is stopping. Look at the present state once it is back: the order may have been taken.',
  );

function timed(journal: Journal, measures: Measures): Journal {
  return {
    get head() {
      return journal.head;
    },
    async append(records) {
      const startedMs = performance.now();
      await journal.append(records);
      if (records.length > 0) measures.commits.observe((performance.now() - startedMs) / 1000);
    },
    load: () => journal.load(),
    writeSnapshot: (seq, state) => journal.writeSnapshot(seq, state),
    readRecords: (afterSeq, limit) => journal.readRecords(afterSeq, limit),
    verify: () => journal.verify(),
    close: () => journal.close(),
  };
}

/** A configuration with its type's defaults, the errors of its schema, and a warning for each key the schema does not know. */
const checkedConfig: ValidateConfig = (type, config) => {
  const recipe = agentTypes.find((each) => each.type === type);
  if (recipe === undefined) return { config, errors: [], warnings: [] };
  const complete = { ...recipe.defaults, ...config };
  const errors: FieldError[] = validateConfig(type, complete).map(({ path, message }) => ({ path, message }));
  const properties = recipe.configSchema['properties'];
  const known = typeof properties === 'object' && properties !== null ? properties : {};
  const warnings = Object.keys(config)
    .filter((key) => !Object.hasOwn(known, key))
    .map(
      (key) => `agent_config.${key} is not known to ${type} ${recipe.version}; it is passed on unchanged.`,
    );
  return { config: complete, errors, warnings };
};
