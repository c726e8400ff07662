/** Registers what starts processes: `up`, `manager`, `orchestrator`. Their help lists the environment variables. */
import type { Command } from 'commander';
import type { ManagerFlags, OrchestratorFlags } from '../processes/flags.ts';
import {
  managerVariables,
  orchestratorVariables,
  upVariables,
  variableTable,
} from '../processes/variables.ts';
import type { Services } from '../services.ts';
import type { UpFlags } from '../up/settings.ts';
import { examples, wholeNumber } from './registration.ts';

export function registerProcessCommands(program: Command, services: Services): void {
  program.commandsGroup('Running Muster:');
  const port = wholeNumber(0, 65_535);
  program
    .command('up')
    .description('run a manager and orchestrators on this machine, with agents to look at')
    .option('--orchestrators <n>', 'how many orchestrators (else 2)', wholeNumber(0, 50))
    .option('--port <port>', "the manager's port (else 8000; 0: any free one)", port)
    .option('--agent-ports <list>', "the orchestrators' ports, by commas (else 8001, 8002, …)")
    .option('--data <dir>', 'where everything is kept (else ./.muster)')
    .option('--no-demo', 'deploy no agents')
    .addHelpText(
      'after',
      `${examples('muster up', 'muster up --orchestrators 3 --port 9000 --data /var/lib/muster')}
${variableTable(upVariables)}

Ctrl-C stops everything and leaves nothing behind; the next start goes on with the same fleet.`,
    )
    .action(async (flags: UpFlags) => {
      process.exitCode = await (await import('../up/up.ts')).up(services, flags);
    });
  program
    .command('manager')
    .description('run the manager in the foreground')
    .option('--port <port>', 'PORT', port)
    .option('--bind <address>', 'BIND')
    .option('--data <dir>', 'DATA_DIR')
    .option('--log-level <level>', 'LOG_LEVEL')
    .addHelpText(
      'after',
      `${examples('muster manager --port 8000 --data /var/lib/muster/manager')}\n${variableTable(managerVariables)}`,
    )
    .action(async (flags: ManagerFlags) =>
      (await import('../processes/manager.ts')).runManager(services, flags),
    );
  program
    .command('orchestrator')
    .description('run an orchestrator in the foreground')
    .option('--manager <url>', 'CENTRAL_MANAGER_URL')
    .option('--join-token-file <file>', 'JOIN_TOKEN_FILE')
    .option('--port <port>', 'AGENT_PORT', port)
    .option('--bind <address>', 'BIND')
    .option('--data <dir>', 'DATA_DIR')
    .option('--name <name>', 'CONTAINER_NAME')
    .option('--log-level <level>', 'LOG_LEVEL')
    .option('--stop-agents', 'at the end stop the agents too, instead of leaving them to the keeper')
    .addHelpText(
      'after',
      `${examples('muster orchestrator --manager https://manager.example.com --join-token-file join-token --data /var/lib/muster')}\n${variableTable(orchestratorVariables)}`,
    )
    .action(async (flags: OrchestratorFlags) =>
      (await import('../processes/orchestrator.ts')).runOrchestrator(services, flags),
    );
}
