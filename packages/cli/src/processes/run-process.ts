/**
 * What `muster manager` and `muster orchestrator` share: the log, the orderly end, and a start that failed told in one line.
 *
 * The last line of a failed start is for a person and goes to standard error; `muster up` shows it. Exit codes follow the
 * table of the command.
 */
import {
  createLog,
  type Environment,
  installShutdown,
  type Logger,
  readLogFormat,
  readLogLevel,
  type Shutdown,
} from '@muster/runtime';
import { type ExitCode, exitCode } from '../exit-codes.ts';
import { CommandFailure } from '../failure.ts';
import { type Listening, tellParent, upMark, upMarkValue, whenParentEnds } from './parent-channel.ts';

export interface RunningProcess {
  readonly listening: Listening;
  close(): Promise<void>;
}

export interface ProcessTools {
  readonly log: Logger;
  readonly shutdown: Shutdown;
  /** True: the process belongs to `muster up`, and nothing may outlive it. */
  readonly underUp: boolean;
}

/**
 * Starts what `start` starts and keeps it until a signal, or the end of `muster up`, asks to stop. Resolves never once it runs:
 * the process ends by the shutdown. @throws CommandFailure when the start fails.
 */
export async function runProcess(
  name: string,
  environment: Environment,
  stopLimitMs: number,
  start: (tools: ProcessTools) => Promise<RunningProcess>,
): Promise<void> {
  let log: Logger;
  try {
    const format = readLogFormat(environment, process.stdout.isTTY === true);
    log = createLog({ name, level: readLogLevel(environment), format });
  } catch (error) {
    throw startFailure(error);
  }
  const shutdown = installShutdown({
    process,
    limitMs: stopLimitMs,
    log: (level, message, error) => log[level](error === undefined ? {} : { err: error }, message),
  });
  process.on('SIGHUP', () => void shutdown.stop('SIGHUP'));
  const underUp = environment[upMark] === upMarkValue && process.send !== undefined;
  if (underUp) whenParentEnds(process, (reason) => void shutdown.stop(reason));
  const starting = start({ log, shutdown, underUp });
  // Also a stop that comes while it starts ends everything that was opened.
  shutdown.onShutdown(name, async () => {
    const running = await starting.catch(() => undefined);
    await running?.close();
  });
  let running: RunningProcess;
  try {
    running = await starting;
  } catch (error) {
    // A stop that is under way ends the process by itself.
    if (shutdown.isStopping) return new Promise<never>(() => {});
    throw startFailure(error);
  }
  if (underUp) tellParent(process, running.listening);
  await new Promise<never>(() => {});
}

const codes: Readonly<Record<string, ExitCode>> = {
  VariableInvalid: exitCode.configuration,
  SettingsRefused: exitCode.configuration,
  IdentityDamaged: exitCode.damaged,
  KeyFileRefused: exitCode.configuration,
  DataDirectoryInUse: exitCode.unavailable,
  DataDirectoryUnwritable: exitCode.unavailable,
  PortUnavailable: exitCode.unavailable,
  KeeperError: exitCode.unavailable,
  JournalDamaged: exitCode.damaged,
};

/** A start that failed for a reason that a person can change; anything else is an error inside muster and passes through. */
export function startFailure(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const code = codes[error.name] ?? (isPortTaken(error) ? exitCode.unavailable : undefined);
  if (code === undefined) return error;
  return new CommandFailure({ what: isPortTaken(error) ? portSentence(error) : error.message, code }, error);
}

/** Node's own words for a port ("listen EADDRINUSE: …") as a sentence with the next step. */
function portSentence(error: Error): string {
  const { code, port, address } = error as NodeJS.ErrnoException & { port?: number; address?: string };
  if (port === undefined) return error.message;
  const where = `Port ${port}${address === undefined ? '' : ` on ${address}`}`;
  if (code === 'EADDRINUSE') {
    return `${where} is taken by another program. Stop it, or choose another port with --port.`;
  }
  if (code === 'EACCES') return `${where} needs more rights. Choose one above 1023 with --port.`;
  return `${where} cannot be opened (${code ?? 'unknown'}). Set --bind to an address of this machine.`;
}

function isPortTaken(error: Error): boolean {
  return ['EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL'].includes((error as NodeJS.ErrnoException).code ?? '');
}
