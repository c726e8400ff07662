/** Registers the commands about agents: ps, show, deploy, logs, stop, start, restart, rm, migrate, command. */
import { type Command, Option } from 'commander';
import type { ClientOptions } from '../client/context.ts';
import type {
  ActionOptions,
  AgentAction,
  CommandOptions,
  MigrateOptions,
  PsOptions,
} from '../commands/agents.ts';
import type { DeployOptions } from '../commands/deploy.ts';
import type { LogsOptions } from '../commands/streams.ts';
import {
  byteAmount,
  clientCommand,
  collect,
  examples,
  type OpenClient,
  positiveNumber,
  wholeNumber,
} from './registration.ts';

const load = () => import('../commands/agents.ts');

export function registerAgentCommands(program: Command, open: OpenClient): void {
  program.commandsGroup('Agents:');
  clientCommand(program, 'ps', 'list the agents')
    .option('--on <node>', 'only those on this orchestrator')
    .option('--type <type>', 'only of this type')
    .option('--customer <id>', 'only of this customer')
    .option('--status <word>', 'only in this status, for example degraded')
    .addHelpText(
      'after',
      examples('muster ps', 'muster ps --on orchestrator-1 -o wide', 'muster ps --status degraded'),
    )
    .action(async (options: ClientOptions & PsOptions) => (await load()).ps(await open(options), options));
  clientCommand(program, 'show <agent>', 'everything about one agent')
    .addHelpText('after', examples('muster show momentum-1'))
    .action(async (agent: string, options: ClientOptions) => (await load()).show(await open(options), agent));
  registerDeploy(program, open);
  clientCommand(program, 'logs <agent>', 'what an agent has written')
    .option('-f, --follow', 'go on until interrupted')
    .option('-n, --tail <lines>', 'how many of the last lines', wholeNumber(0, 5000), 100)
    .addOption(new Option('--stream <name>', 'only one stream').choices(['all', 'stdout', 'stderr']))
    .addHelpText('after', examples('muster logs momentum-1 -n 20', 'muster logs -f momentum-1'))
    .action(async (agent: string, options: ClientOptions & LogsOptions) =>
      (await import('../commands/streams.ts')).logs(await open(options), agent, options),
    );
  registerAction(program, open, 'stop', 'stop agents; they stay deployed');
  registerAction(program, open, 'start', 'start stopped agents');
  registerAction(program, open, 'restart', 'end and start the processes of agents');
  registerAction(program, open, 'rm', 'stop agents and remove them with their state');
  registerMoves(program, open);
}

function registerDeploy(program: Command, open: OpenClient): void {
  clientCommand(program, 'deploy <type>', 'run a new agent')
    .option('--name <name>', 'its name (else one is made)')
    .option('--config <json>', 'its configuration: a file, JSON text, or - for standard input')
    .option('--set <key=value>', 'one value of the configuration, on top; may be repeated', collect, [])
    .option('--on <node>', 'this orchestrator, or a refusal with the reason')
    .option(
      '--strategy <name>',
      'how to choose the orchestrator: least_loaded, round_robin, resource_based, …',
    )
    .option('--require <capability>', 'the orchestrator must have it; may be repeated', collect, [])
    .option('--replicas <n>', 'how many', wholeNumber(1, 1000))
    .option('--customer <id>', 'whose agent it is')
    .option('--memory <bytes>', 'memory it may use, for example 256M', byteAmount)
    .option('--cpu <cores>', 'cores it may use, for example 0.5', positiveNumber)
    .option('--on-disconnect <rule>', 'what happens while the manager is out of reach: continue, …')
    .option('--wait', 'return when the processes are confirmed (30 s at most)')
    .addHelpText(
      'after',
      examples(
        'muster deploy trading_agent --name alpha --set strategy=distributed_momentum --wait',
        'muster deploy analysis_agent --on orchestrator-2',
        'muster deploy trading_agent --config momentum.json --set replay.bars_per_second=5 --replicas 3',
      ),
    )
    .action(async (type: string, options: ClientOptions & DeployOptions) =>
      (await import('../commands/deploy.ts')).deploy(await open(options), type, options),
    );
}

function registerAction(program: Command, open: OpenClient, action: AgentAction, description: string): void {
  const command = clientCommand(program, `${action} <agents...>`, description);
  if (action === 'rm') command.option('-y, --yes', 'ask nothing');
  command
    .option('--wait', 'return when the orchestrators have confirmed (30 s at most)')
    .addHelpText(
      'after',
      examples(
        `muster ${action} momentum-1 --wait`,
        `muster ${action} alpha beta${action === 'rm' ? ' --yes' : ''}`,
      ),
    )
    .action(async (agents: string[], options: ClientOptions & ActionOptions) =>
      (await load()).act(await open(options), action, agents, options),
    );
}

function registerMoves(program: Command, open: OpenClient): void {
  clientCommand(program, 'migrate <agent>', 'move an agent to another orchestrator')
    .option('--to <node>', 'where to (else the best other one)')
    .option('--reason <text>', 'why, for the journal')
    .option('--no-state', 'start afresh there')
    .addHelpText('after', examples('muster migrate momentum-1 --to orchestrator-2'))
    .action(async (agent: string, options: ClientOptions & MigrateOptions) =>
      (await load()).migrate(await open(options), agent, options),
    );
  clientCommand(program, 'command <agent> <verb> [json]', 'ask an agent, or tell it something')
    .option('--timeout <seconds>', 'how long to wait for its answer, at most 30', positiveNumber)
    .addHelpText(
      'after',
      examples(
        'muster command momentum-1 positions',
        `muster command momentum-1 halt '{"reason":"maintenance","operator":"kim"}'`,
      ),
    )
    .action(
      async (
        agent: string,
        verb: string,
        json: string | undefined,
        options: ClientOptions & CommandOptions,
      ) => (await load()).command(await open(options), agent, verb, json, options),
    );
}
