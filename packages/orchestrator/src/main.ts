/**
 * The orchestrator daemon as a process: settings from the environment, one clear line for what stops a start, and signals.
 *
 * SIGTERM and SIGINT stop the daemon and leave the agents to the keeper, so that a restart or an upgrade does not interrupt
 * them; with `STOP_AGENTS_ON_EXIT=true` they are ended too (for programs that start a fleet and clean up after themselves).
 * Exit codes: 0 stopped, 64 a setting is wrong, 65 stored data is damaged, 73 data directory or port not to be had, 70 a bug.
 */
import {
  createLog,
  DataDirectoryInUse,
  DataDirectoryUnwritable,
  installShutdown,
  JournalDamaged,
  KeyFileRefused,
  readBoolean,
  readLogFormat,
  readLogLevel,
  VariableInvalid,
} from '@muster/runtime';
import { type RunningOrchestrator, startOrchestrator } from './daemon.ts';
import { IdentityDamaged } from './identity.ts';

export { startOrchestrator } from './daemon.ts';

const SHUTDOWN_LIMIT_MS = 30_000;

/** Runs the daemon in this process until it is told to stop. Never returns before it has started or failed. */
export async function runOrchestrator(): Promise<void> {
  const environment = process.env;
  try {
    const stopAgents = readBoolean(environment, 'STOP_AGENTS_ON_EXIT') ?? false;
    const format = readLogFormat(environment, process.stdout.isTTY === true);
    const log = createLog({ name: 'orchestrator', level: readLogLevel(environment), format });
    const shutdown = installShutdown({
      process,
      limitMs: SHUTDOWN_LIMIT_MS,
      log: (level, message, error) =>
        error === undefined ? log[level](message) : log[level]({ err: error }, message),
    });
    const running: RunningOrchestrator = await startOrchestrator({
      environment,
      log,
      onFatal: shutdown.fatal,
    });
    shutdown.onShutdown('the daemon', () => running.close({ keepAgents: !stopAgents }));
  } catch (error) {
    const { code, sentence } = describe(error as Error & { code?: string });
    process.stderr.write(`${sentence}\n`);
    process.exit(code);
  }
}

function describe(error: Error & { code?: string }): { readonly code: number; readonly sentence: string } {
  if (error instanceof VariableInvalid) return { code: 64, sentence: error.message };
  if (error instanceof JournalDamaged || error instanceof IdentityDamaged || error instanceof KeyFileRefused)
    return { code: 65, sentence: error.message };
  if (error instanceof DataDirectoryInUse || error instanceof DataDirectoryUnwritable)
    return { code: 73, sentence: error.message };
  if (error.code === 'EADDRINUSE')
    return {
      code: 73,
      sentence:
        'The port of AGENT_PORT is taken. Stop the program that listens there, or choose another port.',
    };
  if (error.code === 'EACCES' || error.code === 'EADDRNOTAVAIL')
    return { code: 73, sentence: `The local API cannot listen: ${error.message}` };
  return { code: 70, sentence: error.stack ?? error.message };
}

if (import.meta.main) await runOrchestrator();
