/**
 * `muster up`: a manager and its orchestrators on this machine, kept running, shown, and stopped without a trace.
 *
 * `up` holds a lock on the data directory for as long as it lives. It speaks to its manager through the public API alone. The
 * first signal stops in order: orchestrators with their agents and keepers, then the manager. A second one only says how
 * long that may still take, because an end without order would leave agents behind.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { openDataDirectory } from '@muster/runtime';
import { exitCode } from '../exit-codes.ts';
import { CommandFailure } from '../failure.ts';
import { startFailure } from '../processes/run-process.ts';
import type { Services } from '../services.ts';
import { openDisplay } from './display.ts';
import { waitForEarlierStart } from './earlier-start.ts';
import { localMachines } from './enrolment.ts';
import { checkPorts } from './ports.ts';
import { UpSession } from './session.ts';
import { readUpSettings, type UpFlags } from './settings.ts';

/** Runs until it is stopped. Returns the exit code. @throws CommandFailure when the start fails. */
export async function up(services: Services, flags: UpFlags): Promise<number> {
  const interruption = new Interruption();
  try {
    const settings = readUpSettings(services.environment, flags);
    using directory = openDataDirectory(settings.dataDirectory);
    const managerDirectory = directory.file('manager');
    const machines = localMachines(directory.path, settings.agentPorts.length);
    const directories = [managerDirectory, ...machines.map(({ dataDirectory }) => dataDirectory)];
    const display = openDisplay(services);
    try {
      await waitForEarlierStart(
        directories,
        () => display.say('Waiting for the processes of an earlier start to end …'),
        interruption.signal,
      );
      await checkPorts(settings);
      if (interruption.signal.aborted) return exitCode.ok;
      mkdirSync(join(directory.path, 'logs'), { recursive: true, mode: 0o700 });
      const session = new UpSession({ services, settings, managerDirectory, machines, display });
      return await session.run(interruption);
    } finally {
      display.close();
    }
  } catch (error) {
    throw upFailure(error);
  } finally {
    interruption.release();
  }
}

/** The message of a shared error, with the flag of `up` that helps. */
function upFailure(error: unknown): unknown {
  const failure = startFailure(error);
  if (!(failure instanceof CommandFailure) || failure === error) return failure;
  const what = failure.what.replace(/choose another directory/i, (found) => `${found} with --data DIR`);
  return new CommandFailure({ what, code: failure.code }, error);
}

const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The wish to stop, mostly by signal: the first aborts `signal`, each later one calls `again`. */
export class Interruption {
  readonly #controller = new AbortController();
  readonly signal = this.#controller.signal;
  again: () => void = () => {};
  readonly #onSignal = (): void => {
    if (this.signal.aborted) this.again();
    else this.stop();
  };

  constructor() {
    for (const signal of stopSignals) process.on(signal, this.#onSignal);
  }

  stop(): void {
    this.#controller.abort();
  }

  release(): void {
    for (const signal of stopSignals) process.off(signal, this.#onSignal);
  }
}
