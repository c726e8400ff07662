/**
 * The `muster` command: its commands, their help, and how every way to fail becomes an exit code.
 *
 * Commands are only described here; what they do is loaded when they run.
 */
import { Command, CommanderError } from 'commander';
import { exitCode, exitCodeMeanings } from '../exit-codes.ts';
import { CommandFailure, failureLines } from '../failure.ts';
import type { Services } from '../services.ts';
import { paintFor } from '../terminal/paint.ts';
import { registerAdministration, registerSignIn } from './administration-commands.ts';
import { registerAgentCommands } from './agent-commands.ts';
import { registerAuditCommands } from './audit-commands.ts';
import { registerFleetCommands } from './fleet-commands.ts';
import { registerLocalCommands } from './local-commands.ts';
import { registerProcessCommands } from './process-commands.ts';
import { clientOpener } from './registration.ts';

export function buildProgram(services: Services, version: string): Command {
  const program = new Command('muster');
  const paint = paintFor(services.stdout, services.environment);
  const configuration = {
    writeOut: (text: string) => void services.stdout.write(text),
    writeErr: (text: string) => void services.stderr.write(text),
    outputError: (text: string, write: (text: string) => void) => write(text.replace(/^error: /, 'muster: ')),
  };
  program
    .description(
      "Runs a vendor's agents on its customers' machines.\nNever twice, never unattended, never against the customer's will.",
    )
    .version(version, '-V, --version')
    .configureOutput(configuration)
    .configureHelp({ styleTitle: (text) => paint('bold', text), showGlobalOptions: false })
    .showHelpAfterError('(--help shows what is possible)')
    .helpCommand(false)
    .exitOverride()
    .addHelpText('after', () => helpEnd());
  const open = clientOpener(services);
  registerProcessCommands(program, services);
  registerSignIn(program, services, open);
  registerFleetCommands(program, open);
  registerAgentCommands(program, open);
  registerAdministration(program, open);
  registerLocalCommands(program, services);
  registerAuditCommands(program, services);
  inherit(program, program.commands);
  return program;
}

/** Commander hands settings on only to commands that are made after them. */
function inherit(parent: Command, commands: readonly Command[]): void {
  for (const command of commands) {
    command.copyInheritedSettings(parent);
    // The setting of the program is not inherited; `--help` is the one way.
    command.helpCommand(false);
    inherit(command, command.commands);
  }
}

function helpEnd(): string {
  const codes = exitCodeMeanings.map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`);
  return [
    '\nIds and names may be shortened as long as they stay unique. -o json prints what the API answered.',
    '\nExamples:',
    '  muster up                       a whole fleet on this machine',
    '  muster login                    sign in at its manager',
    '  muster ps                       see the agents',
    '  muster logs -f momentum-1       watch one',
    '\nExit codes:',
    ...codes,
  ].join('\n');
}

/** Runs the command line (`arguments_` without program and script). Returns the exit code, never throws. */
export async function run(
  services: Services,
  version: string,
  arguments_: readonly string[],
): Promise<number> {
  try {
    await buildProgram(services, version).parseAsync(arguments_, { from: 'user' });
    return Number(process.exitCode ?? exitCode.ok);
  } catch (error) {
    return report(error, services, wantsJson(arguments_));
  }
}

function wantsJson(arguments_: readonly string[]): boolean {
  return arguments_.some(
    (each, index) =>
      ['-ojson', '--output=json', '-o=json'].includes(each) ||
      ((each === '-o' || each === '--output') && arguments_[index + 1] === 'json'),
  );
}

function report(error: unknown, services: Services, json: boolean): number {
  if (error instanceof CommanderError) {
    const shown = ['commander.helpDisplayed', 'commander.version', 'commander.help'].includes(error.code);
    return shown && error.exitCode === 0 ? exitCode.ok : exitCode.usage;
  }
  if (error instanceof CommandFailure) {
    if (json) services.stderr.write(`${JSON.stringify(error.document)}\n`);
    else {
      const paint = paintFor(services.stderr, services.environment);
      services.stderr.write(`${failureLines(error, paint).join('\n')}\n`);
    }
    return error.code;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  services.stderr.write(`muster: an error inside muster, please report it\n${text}\n`);
  return exitCode.internal;
}
