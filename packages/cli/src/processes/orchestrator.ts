/**
 * `muster orchestrator`: one orchestrator in the foreground.
 *
 * By itself it leaves the agents to the keeper when it stops, so that an upgrade does not interrupt them; `--stop-agents`
 * and STOP_AGENTS_ON_EXIT=true end them too, and under `muster up` nothing ever stays. Where its local API listens is kept
 * in the data directory for `muster local`.
 */
import { join } from 'node:path';
import { startOrchestrator } from '@muster/orchestrator';
import { atomicWriteFile, readBoolean } from '@muster/runtime';
import type { Services } from '../services.ts';
import { type OrchestratorFlags, orchestratorEnvironment } from './flags.ts';
import { runProcess } from './run-process.ts';

/** For all of an orderly stop, ms: agents have their own grace within it. */
const stopLimitMs = 35_000;

export async function runOrchestrator(services: Services, flags: OrchestratorFlags): Promise<void> {
  const environment = orchestratorEnvironment(services.environment, flags);
  await runProcess('orchestrator', environment, stopLimitMs, async ({ log, shutdown, underUp }) => {
    const stopAgents =
      underUp || flags.stopAgents === true || (readBoolean(environment, 'STOP_AGENTS_ON_EXIT') ?? false);
    const running = await startOrchestrator({ environment, log, onFatal: (error) => shutdown.fatal(error) });
    const url = `http://${hostOf(environment['BIND'])}:${running.apiPort}`;
    atomicWriteFile(join(running.dataDir, 'local-api.json'), `${JSON.stringify({ url })}\n`, 0o600);
    return {
      listening: { kind: 'listening', port: running.apiPort, url },
      close: () => running.close({ keepAgents: !stopAgents }),
    };
  });
}

/** Where this machine reaches an address that is listened on. */
function hostOf(bind: string | undefined): string {
  const address = bind?.trim() ?? '';
  if (address === '' || address === '0.0.0.0' || address === '::') return '127.0.0.1';
  return address.includes(':') ? `[${address}]` : address;
}
