/**
 * What the commands' registrations share: parsers of option values and the options that many commands have.
 *
 * Registrations import no action: each is loaded when its command runs, so that `muster --help` stays fast.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ClientContext, ClientOptions } from '../client/context.ts';
import type { Services } from '../services.ts';

export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}

export function positiveNumber(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('It must be a number above 0.');
}

const units: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 };

/** `90`, `30s`, `15m`, `24h`, `7d` in seconds. */
export function seconds(text: string): number {
  const match = /^(\d{1,9})([smhd]?)$/.exec(text);
  const value = Number(match?.[1]) * (units[match?.[2] ?? ''] ?? Number.NaN);
  if (match !== null && value > 0) return value;
  throw new InvalidArgumentError('It must be a length of time, such as 30m, 24h or 7d.');
}

const byteUnits: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** `134217728`, `128M`, `1.5G` in bytes. */
export function byteAmount(text: string): number {
  const match = /^(\d{1,12}(?:\.\d{1,3})?)([kmg]?)(?:i?b)?$/i.exec(text);
  if (match !== null) return Math.round(Number(match[1]) * (byteUnits[(match[2] ?? '').toLowerCase()] ?? 1));
  throw new InvalidArgumentError('It must be a number of bytes, such as 128M or 1.5G.');
}

export function collect(text: string, before: readonly string[]): readonly string[] {
  return [...before, text];
}

export function outputOption(): Option {
  return new Option('-o, --output <format>', 'how to print')
    .choices(['table', 'wide', 'json'])
    .default('table');
}

/** A command that asks the manager: `--url`, `--token-file`, `-o`. */
export function clientCommand(parent: Command, nameAndArguments: string, description: string): Command {
  return parent
    .command(nameAndArguments)
    .description(description)
    .addOption(outputOption())
    .option('--url <url>', 'the manager (else MUSTER_URL, else that of the last login)')
    .option(
      '--token-file <file>',
      'file with the sign-in token (else MUSTER_TOKEN_FILE, else that of login)',
    );
}

/** Examples at the end of a command's help. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`;
}

export type OpenClient = (options: ClientOptions) => Promise<ClientContext>;

export function clientOpener(services: Services): OpenClient {
  return async (options) => (await import('../client/context.ts')).openClient(services, options);
}
