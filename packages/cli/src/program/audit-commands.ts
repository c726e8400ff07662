/** Registers `muster audit …`, checks of stored records that need neither a manager nor a sign-in. */
import type { Command } from 'commander';
import type { AuditOptions } from '../commands/audit.ts';
import type { Services } from '../services.ts';
import { examples, outputOption } from './registration.ts';

export function registerAuditCommands(program: Command, services: Services): void {
  program.commandsGroup('Records:');
  const audit = program
    .command('audit')
    .description('check the journal of a manager or an orchestrator, offline');
  audit
    .command('verify')
    .description('walk the hash chain of a journal and say whether, or where, it breaks')
    .addOption(outputOption())
    .option('--data <dir>', "the process's data directory (else DATA_DIR)")
    .addHelpText(
      'after',
      `${examples('muster audit verify --data .muster/manager', 'muster audit verify --data /var/lib/muster -o json')}

Ends with 0 when it is intact, with 65 when it is damaged. Reads only; the process may be running.`,
    )
    .action(async (options: AuditOptions) =>
      (await import('../commands/audit.ts')).auditVerify(services, options),
    );
}
