/** Registers `muster local …`, the commands of the person at the customer's machine. */
import type { Command } from 'commander';
import type { LocalOptions, LocalStopOptions } from '../commands/local.ts';
import type { Services } from '../services.ts';
import { examples, outputOption } from './registration.ts';

const load = () => import('../commands/local.ts');

function localCommand(parent: Command, nameAndArguments: string, description: string): Command {
  return parent
    .command(nameAndArguments)
    .description(description)
    .addOption(outputOption())
    .option('--data <dir>', "the orchestrator's data directory (else DATA_DIR, else the only one in .muster)")
    .option('--url <url>', 'its local address (else MUSTER_LOCAL_URL, else where it last listened)');
}

export function registerLocalCommands(program: Command, services: Services): void {
  program.commandsGroup('At the customer:');
  const local = program
    .command('local')
    .description('speak to the orchestrator on this machine; works without the manager');
  localCommand(local, 'status', 'how the orchestrator is')
    .addHelpText(
      'after',
      examples('muster local status', 'muster local status --data .muster/orchestrator-1'),
    )
    .action(async (options: LocalOptions) => (await load()).localStatus(services, options));
  localCommand(local, 'agents', 'list the agents on this machine')
    .addHelpText('after', examples('muster local agents --data .muster/orchestrator-1'))
    .action(async (options: LocalOptions) => (await load()).localAgents(services, options));
  localCommand(local, 'stop [agent]', 'stop one agent or all, until resumed here')
    .option('--reason <text>', 'why, for the journal')
    .option('-y, --yes', 'ask nothing')
    .addHelpText(
      'after',
      examples('muster local stop momentum-1 --reason "Friday close"', 'muster local stop --yes'),
    )
    .action(async (agent: string | undefined, options: LocalStopOptions) =>
      (await load()).localHold(services, 'stop', agent, options),
    );
  localCommand(local, 'resume [agent]', 'lift a local stop')
    .addHelpText('after', examples('muster local resume momentum-1', 'muster local resume'))
    .action(async (agent: string | undefined, options: LocalStopOptions) =>
      (await load()).localHold(services, 'resume', agent, options),
    );
}
