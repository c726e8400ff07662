/**
 * One process that `muster up` keeps running.
 *
 * The child has a session of its own, so that Ctrl-C at the terminal reaches `up` alone, and an IPC channel whose end tells
 * it to stop, so that it never outlives `up`. States: `planned` before the first start, `starting` until it says where it listens, `running`, `waiting`
 * between an unexpected end and the next start, `stopping`, `stopped`. A child that ends before it has ever listened is not
 * started again: its start has failed, and `listening` says why.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import type { Environment } from '@muster/runtime';
import { isListening, type Listening } from '../processes/parent-channel.ts';
import { ChildLog } from './child-log.ts';

export type ChildState = 'planned' | 'starting' | 'running' | 'waiting' | 'stopping' | 'stopped';

export interface ChildOptions {
  readonly name: string;
  /** Arguments of `muster`, for example `['manager']`. */
  readonly arguments: readonly string[];
  /** Asked at each start: a restart keeps the port that the first start found. */
  readonly environment: () => Environment;
  readonly logPath: string;
  /** How long an orderly stop may take before it is forced, ms. */
  readonly stopLimitMs: number;
  /** Something for a person to read. */
  readonly notice: (line: string) => void;
  /** The script that the children run; the `muster` command itself unless a test says otherwise. */
  readonly script: string;
}

/** The child ended before it listened. */
export class ChildFailed extends Error {
  override readonly name = 'ChildFailed';
  readonly exitCode: number | null;
  /** The last line of its log; undefined when it wrote none. */
  readonly lastLine: string | undefined;
  constructor(child: string, how: string, exitCode: number | null, lastLine: string | undefined) {
    super(`${child} did not start (${how})`);
    this.exitCode = exitCode;
    this.lastLine = lastLine;
  }
}

const backoffFirstMs = 500;
const backoffMostMs = 30_000;
/** A child that ran this long counts as healthy again, ms. */
const stableAfterMs = 60_000;

export class Child {
  readonly name: string;
  readonly log: ChildLog;
  readonly #options: ChildOptions;
  #listening = Promise.withResolvers<Listening>();
  #state: ChildState = 'planned';
  #process: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #told: Listening | undefined;
  #failures = 0;
  #endedBadly = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ChildOptions) {
    this.#options = options;
    this.name = options.name;
    this.log = new ChildLog(options.logPath);
    this.#listening.promise.catch(() => {});
  }

  get state(): ChildState {
    return this.#state;
  }

  /** Host pid while it lives. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** What it told when it last began to listen. */
  get told(): Listening | undefined {
    return this.#told;
  }

  /** Whether it listened and then ended in another way than in order, so that what it had started may still run. */
  get mayHaveLeftAgents(): boolean {
    return this.#endedBadly && this.#told !== undefined;
  }

  /** Starts it. Resolves when it listens for the first time. @throws ChildFailed */
  start(): Promise<Listening> {
    this.#launch();
    return this.#listening.promise;
  }

  /** Stops it for good: in order first, by force after the limit. Resolves when it is gone. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    const child = this.#process;
    if (child === undefined) {
      this.#state = 'stopped';
      return;
    }
    this.#state = 'stopping';
    child.kill('SIGTERM');
    const force = setTimeout(() => {
      this.#options.notice(
        `${this.name} did not stop within ${this.#options.stopLimitMs / 1000} s and was killed`,
      );
      child.kill('SIGKILL');
    }, this.#options.stopLimitMs);
    await this.#ended;
    clearTimeout(force);
  }

  /** Starts a stopped child once more. Resolves when it listens. @throws ChildFailed */
  async restartForStop(): Promise<void> {
    this.#told = undefined;
    this.#listening = Promise.withResolvers<Listening>();
    this.#listening.promise.catch(() => {});
    await this.start();
  }

  #launch(): void {
    this.#state = 'starting';
    const output = this.log.open();
    const startedAtMs = performance.now();
    try {
      this.#process = spawn(process.execPath, [this.#options.script, ...this.#options.arguments], {
        detached: true,
        stdio: ['ignore', output, output, 'ipc'],
        env: this.#options.environment(),
      });
    } finally {
      closeSync(output);
    }
    const child = this.#process;
    const ended = Promise.withResolvers<void>();
    this.#ended = ended.promise;
    let over = false;
    const end = (code: number | null, signal: NodeJS.Signals | null, problem?: string): void => {
      if (over) return;
      over = true;
      this.#process = undefined;
      this.#onEnd(problem ?? howItEnded(code, signal), code, performance.now() - startedAtMs);
      ended.resolve();
    };
    child.on('message', (message) => {
      if (isListening(message)) this.#onListening(message);
    });
    child.on('error', (error) => {
      if (child.pid === undefined) end(null, null, error.message);
    });
    child.on('exit', (code, signal) => end(code, signal));
  }

  #onListening(message: Listening): void {
    const again = this.#told !== undefined;
    this.#told = message;
    if (this.#state !== 'starting') return;
    this.#state = 'running';
    if (again) this.#options.notice(`${this.name} runs again (pid ${this.pid})`);
    this.#listening.resolve(message);
  }

  #onEnd(how: string, code: number | null, ranMs: number): void {
    this.#endedBadly = code !== 0;
    if (this.#state === 'stopping') {
      this.#state = 'stopped';
      this.#listening.reject(new ChildFailed(this.name, how, code, undefined));
      return;
    }
    const lastLine = this.log.lastLine();
    if (this.#told === undefined) {
      this.#state = 'stopped';
      this.#listening.reject(new ChildFailed(this.name, how, code, lastLine));
      return;
    }
    this.#failures = ranMs >= stableAfterMs ? 0 : this.#failures + 1;
    const waitMs = Math.min(backoffMostMs, backoffFirstMs * 2 ** Math.max(0, this.#failures - 1));
    this.#state = 'waiting';
    const said = code === null || lastLine === undefined ? '' : `: ${lastLine}`;
    this.#options.notice(
      `${this.name} ended unexpectedly (${how})${said}; starting it again in ${waitMs / 1000} s`,
    );
    this.#timer = setTimeout(() => this.#launch(), waitMs);
  }
}

function howItEnded(code: number | null, signal: NodeJS.Signals | null): string {
  return signal === null ? `exit code ${code}` : `signal ${signal}`;
}
