/** Registers signing in and the administrators' commands: login, logout, whoami, token, customers, users. */
import { type Command, Option } from 'commander';
import type { ClientOptions } from '../client/context.ts';
import type { AddUserOptions, TokenOptions } from '../commands/administration.ts';
import type { LoginOptions } from '../commands/sign-in.ts';
import type { Services } from '../services.ts';
import { clientCommand, examples, type OpenClient, outputOption, seconds } from './registration.ts';

const load = () => import('../commands/administration.ts');
const loadSignIn = () => import('../commands/sign-in.ts');

export function registerSignIn(program: Command, services: Services, open: OpenClient): void {
  program.commandsGroup('Signing in:');
  program
    .command('login')
    .description('sign in at a manager and keep the token')
    .addOption(outputOption())
    .option('--url <url>', 'the manager (else MUSTER_URL, else that of the last login)')
    .option('-u, --user <name>', 'who signs in', 'admin')
    .option('--password-stdin', 'take the password from standard input instead of asking')
    .option('--password-file <file>', 'take the password from a file')
    .addHelpText(
      'after',
      `${examples(
        'muster login',
        'muster login --url https://manager.example.com -u kim',
        'pass show muster | muster login --password-stdin',
      )}\n\nThe token is kept in $XDG_CONFIG_HOME/muster/credentials.json, readable by you alone.`,
    )
    .action(async (options: LoginOptions) => (await loadSignIn()).login(services, options));
  program
    .command('logout')
    .description('forget the token')
    .addOption(outputOption())
    .option('--url <url>', 'the manager (else MUSTER_URL, else that of the last login)')
    .addHelpText('after', examples('muster logout'))
    .action(async (options: ClientOptions) => (await loadSignIn()).logout(services, options));
  clientCommand(program, 'whoami', 'who you are signed in as')
    .addHelpText('after', examples('muster whoami'))
    .action(async (options: ClientOptions) => (await loadSignIn()).whoami(await open(options)));
}

export function registerAdministration(program: Command, open: OpenClient): void {
  program.commandsGroup('Administration:');
  registerTokens(program, open);
  const customers = program.command('customers').description('list and add customers');
  clientCommand(customers, 'ls', 'list the customers')
    .addHelpText('after', examples('muster customers ls'))
    .action(async (options: ClientOptions) => (await load()).listCustomers(await open(options)));
  clientCommand(customers, 'add <id>', 'add a customer')
    .option('--name <name>', 'its name for people')
    .addHelpText('after', examples('muster customers add acme --name "Acme Ltd"'))
    .action(async (id: string, options: ClientOptions & { name?: string }) =>
      (await load()).addCustomer(await open(options), id, options),
    );
  registerUsers(program, open);
}

function registerTokens(program: Command, open: OpenClient): void {
  const token = program.command('token').description('make, list and revoke join tokens');
  clientCommand(token, 'create', 'make a token with which one machine may join, once')
    .option('--customer <id>', 'the customer whose machine it is (else default)')
    .option('--name <name>', 'only for the orchestrator of this name')
    .option('--expires <time>', 'how long it is valid, for example 2h (else 24h)', seconds)
    .addHelpText(
      'after',
      examples('muster token create --customer acme --expires 2h', 'muster token create > join-token'),
    )
    .action(async (options: ClientOptions & TokenOptions) =>
      (await load()).createToken(await open(options), options),
    );
  clientCommand(token, 'ls', 'list the join tokens, without their secrets')
    .addHelpText('after', examples('muster token ls'))
    .action(async (options: ClientOptions) => (await load()).listTokens(await open(options)));
  clientCommand(token, 'revoke <token>', 'make a join token useless')
    .addHelpText('after', examples('muster token revoke jt_4f2k'))
    .action(async (wanted: string, options: ClientOptions) =>
      (await load()).revokeToken(await open(options), wanted),
    );
}

function registerUsers(program: Command, open: OpenClient): void {
  const users = program.command('users').description('list, add and remove users');
  clientCommand(users, 'ls', 'list the users')
    .addHelpText('after', examples('muster users ls'))
    .action(async (options: ClientOptions) => (await load()).listUsers(await open(options)));
  clientCommand(users, 'add <name>', 'add a user; the password is asked for')
    .addOption(
      new Option('--role <role>', 'what the user may do')
        .choices(['admin', 'operator', 'viewer'])
        .makeOptionMandatory(),
    )
    .option('--customer <id>', 'sees this customer only')
    .option('--email <address>', 'may sign in with it too')
    .option('--password-stdin', 'take the password from standard input instead of asking')
    .addHelpText(
      'after',
      examples('muster users add kim --role operator', 'muster users add ada --role viewer --customer acme'),
    )
    .action(async (name: string, options: ClientOptions & AddUserOptions) =>
      (await load()).addUser(await open(options), name, options),
    );
  clientCommand(users, 'rm <user>', 'remove a user')
    .option('-y, --yes', 'ask nothing')
    .addHelpText('after', examples('muster users rm kim'))
    .action(async (wanted: string, options: ClientOptions & { yes?: true }) =>
      (await load()).removeUser(await open(options), wanted, options),
    );
}
