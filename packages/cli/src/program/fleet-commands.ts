/** Registers the commands about the fleet: status, nodes, drain, undrain, node rm, types, events. */
import type { Command } from 'commander';
import type { ClientOptions } from '../client/context.ts';
import type { DrainOptions, NodesOptions, RemoveNodeOptions } from '../commands/fleet.ts';
import type { EventsOptions } from '../commands/streams.ts';
import { clientCommand, examples, type OpenClient, wholeNumber } from './registration.ts';

const load = () => import('../commands/fleet.ts');

export function registerFleetCommands(program: Command, open: OpenClient): void {
  program.commandsGroup('The fleet:');
  clientCommand(program, 'status', 'the fleet in four lines')
    .addHelpText('after', examples('muster status', 'muster status -o json'))
    .action(async (options: ClientOptions) => (await load()).status(await open(options)));
  clientCommand(program, 'nodes', 'list the orchestrators')
    .option('-a, --all', 'also those that were removed')
    .addHelpText('after', examples('muster nodes', 'muster nodes -o wide'))
    .action(async (options: ClientOptions & NodesOptions) =>
      (await load()).nodes(await open(options), options),
    );
  clientCommand(program, 'drain <node>', 'place no new agents on an orchestrator')
    .option('--reason <text>', 'why, for the journal')
    .addHelpText('after', examples('muster drain orchestrator-1 --reason "new disk"'))
    .action(async (node: string, options: ClientOptions & DrainOptions) =>
      (await load()).drain(await open(options), node, true, options),
    );
  clientCommand(program, 'undrain <node>', 'place new agents on an orchestrator again')
    .option('--reason <text>', 'why, for the journal')
    .addHelpText('after', examples('muster undrain orchestrator-1'))
    .action(async (node: string, options: ClientOptions & DrainOptions) =>
      (await load()).drain(await open(options), node, false, options),
    );
  const node = program.command('node').description('remove an orchestrator');
  clientCommand(node, 'rm <node>', 'stop its agents, then remove it for good')
    .option('--force', 'the machine is dead: give up its agents without a confirmed stop')
    .option('-y, --yes', 'ask nothing')
    .addHelpText(
      'after',
      examples('muster node rm orchestrator-2', 'muster node rm orchestrator-2 --force --yes'),
    )
    .action(async (wanted: string, options: ClientOptions & RemoveNodeOptions) =>
      (await load()).removeNode(await open(options), wanted, options),
    );
  clientCommand(program, 'types', 'list the agent types that can be deployed')
    .addHelpText('after', examples('muster types', 'muster types -o json'))
    .action(async (options: ClientOptions) => (await load()).types(await open(options)));
  clientCommand(program, 'events', 'show what has happened, and with -f what happens')
    .option('-f, --follow', 'go on until interrupted')
    .option('-n, --tail <events>', 'how many of the last ones', wholeNumber(0, 10_000), 50)
    .option('--types <list>', 'only these, separated by commas; agent.* names a family')
    .addHelpText('after', examples('muster events -f', "muster events -f --types 'agent.*' -o json"))
    .action(async (options: ClientOptions & EventsOptions) =>
      (await import('../commands/streams.ts')).events(await open(options), options),
    );
}
