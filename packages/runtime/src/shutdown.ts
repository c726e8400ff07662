/**
 * How a process ends.
 *
 * The first SIGINT or SIGTERM runs the registered steps one after the other, the last registered first (what was opened last
 * leans on what was opened before). A second signal, or the time limit, ends the process at once. An exception that nobody
 * caught ends it at once too, without the steps: its state is not to be trusted, and the journal makes that safe.
 *
 * Exit codes: 0 stopped in order, 1 a step failed or the time limit passed, 70 broken invariant or uncaught exception,
 * 128 + signal number when forced.
 */

export const exitCodes = { stopped: 0, stoppedBadly: 1, internalError: 70 } as const;

const signalNumbers = { SIGINT: 2, SIGTERM: 15 } as const;
type StopSignal = keyof typeof signalNumbers;

/** The part of `process` that is used. */
export interface ShutdownProcess {
  on(
    event: StopSignal | 'uncaughtException' | 'unhandledRejection',
    listener: (value: unknown) => void,
  ): unknown;
  exit(code: number): void;
}

export interface ShutdownOptions {
  readonly process: ShutdownProcess;
  /** One line for the log; `error` when there is one. Must write synchronously. */
  readonly log: (level: 'info' | 'warn' | 'error' | 'fatal', message: string, error?: unknown) => void;
  /** For all steps together. Default 10,000. */
  readonly limitMs?: number;
}

export interface Shutdown {
  /** Registers a step; the last registered runs first. A step registered while stopping runs as well. */
  onShutdown(name: string, step: () => void | Promise<void>): void;
  /** Begins to stop; resolves never in a real process, which exits. */
  stop(reason: string): Promise<void>;
  /** Ends the process at once with exit code 70. */
  fatal(error: unknown): void;
  readonly isStopping: boolean;
}

/** Installs the handlers on `process`. Once per process. */
export function installShutdown({ process, log, limitMs = 10_000 }: ShutdownOptions): Shutdown {
  const steps: { readonly name: string; readonly step: () => void | Promise<void> }[] = [];
  let stopping: Promise<void> | undefined;
  let running = '';
  let exited = false;
  const exit = (code: number): void => {
    if (exited) return;
    exited = true;
    process.exit(code);
  };
  const run = async (reason: string): Promise<void> => {
    log('info', `Stopping: ${reason}`);
    const timer = setTimeout(() => {
      log('error', `Stopping took longer than ${limitMs} ms, at: ${running}. Ending now.`);
      exit(exitCodes.stoppedBadly);
    }, limitMs);
    let code: number = exitCodes.stopped;
    for (let next = steps.pop(); next !== undefined && !exited; next = steps.pop()) {
      running = next.name;
      try {
        await next.step();
      } catch (error) {
        code = exitCodes.stoppedBadly;
        log('error', `Stopping failed at: ${running}`, error);
      }
    }
    clearTimeout(timer);
    exit(code);
  };
  const stop = (reason: string): Promise<void> => {
    stopping ??= run(reason);
    return stopping;
  };
  const fatal = (error: unknown): void => {
    if (exited) return;
    log('fatal', 'Ending at once after an error that cannot be carried on from', error);
    exit(exitCodes.internalError);
  };
  for (const signal of Object.keys(signalNumbers) as StopSignal[]) {
    process.on(signal, () => {
      if (stopping === undefined) return void stop(signal);
      log('warn', `${signal} again: ending at once, at: ${running}`);
      exit(128 + signalNumbers[signal]);
    });
  }
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);
  return {
    onShutdown: (name, step) => void steps.push({ name, step }),
    stop,
    fatal,
    get isStopping() {
      return stopping !== undefined;
    },
  };
}
