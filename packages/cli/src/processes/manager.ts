/** `muster manager`: one manager in the foreground. */
import { startManager } from '@muster/manager/main';
import type { Services } from '../services.ts';
import { type ManagerFlags, managerEnvironment } from './flags.ts';
import { runProcess } from './run-process.ts';

/** For all of an orderly stop, ms. */
const stopLimitMs = 15_000;

export async function runManager(services: Services, flags: ManagerFlags): Promise<void> {
  const environment = managerEnvironment(services.environment, flags);
  await runProcess('manager', environment, stopLimitMs, async ({ log, shutdown, underUp }) => {
    const manager = await startManager({ environment, log, onFatal: (error) => shutdown.fatal(error) });
    if (manager.adminPasswordWasGenerated && !underUp) {
      // The one time that a made password is shown; `muster up` shows it itself.
      services.stderr.write(
        `muster: the first administrator is "admin" with the password ${manager.adminPassword.reveal()}\n` +
          'muster: it is not shown again; it is kept in the data directory, secrets/admin-password.\n',
      );
    }
    return {
      listening: {
        kind: 'listening',
        port: manager.port,
        url: manager.url,
        passwordMade: manager.adminPasswordWasGenerated,
      },
      close: () => manager.close(),
    };
  });
}
