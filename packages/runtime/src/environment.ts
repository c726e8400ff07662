/**
 * Reading settings from environment variables.
 *
 * Every variable may come from a file instead (`NAME_FILE`, as Docker secrets do). Errors name the variable and what is
 * expected, and never repeat the value, which may be a secret. The record is handed in: only `main` reads the process's own.
 */
import { readFileSync } from 'node:fs';
import { Secret } from './secret.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export class VariableInvalid extends Error {
  override readonly name = 'VariableInvalid';
  readonly variable: string;
  constructor(variable: string, sentence: string) {
    super(`${variable} ${sentence}`);
    this.variable = variable;
  }
}

/**
 * The value of `name`, or the content of the file that `NAME_FILE` names (without one line end at its end). An empty variable
 * counts as not set. Throws `VariableInvalid` when both are set or the file cannot be read.
 */
export function readVariable(environment: Environment, name: string): string | undefined {
  const fileVariable = `${name}_FILE`;
  const value = environment[name] === '' ? undefined : environment[name];
  const path = environment[fileVariable] === '' ? undefined : environment[fileVariable];
  if (path === undefined) return value;
  if (value !== undefined)
    throw new VariableInvalid(name, `and ${fileVariable} are both set. Set one of them.`);
  try {
    const content = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
    return content === '' ? undefined : content;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unreadable';
    throw new VariableInvalid(fileVariable, `names the file ${path}, which cannot be read (${code}).`);
  }
}

/** As `readVariable`, wrapped so that it cannot be printed. */
export function readSecret(environment: Environment, name: string): Secret | undefined {
  const value = readVariable(environment, name);
  return value === undefined ? undefined : new Secret(value);
}

/** A whole number from `least` to `most`, both included. */
export function readInteger(
  environment: Environment,
  name: string,
  least: number,
  most: number,
): number | undefined {
  const text = readVariable(environment, name)?.trim();
  if (text === undefined) return undefined;
  const value = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) {
    throw new VariableInvalid(name, `must be a whole number from ${least} to ${most}.`);
  }
  return value;
}

/** true, false, 1 or 0, in any case. */
export function readBoolean(environment: Environment, name: string): boolean | undefined {
  const text = readVariable(environment, name)?.trim().toLowerCase();
  if (text === undefined) return undefined;
  if (text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0') return false;
  throw new VariableInvalid(name, 'must be true or false (1 and 0 are understood too).');
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A duration in ms: `250ms`, `30s`, `5m`, `24h`, `7d`; a number without unit is in seconds. Zero and more. */
export function readDurationMs(environment: Environment, name: string): number | undefined {
  const text = readVariable(environment, name)?.trim();
  if (text === undefined) return undefined;
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)?$/.exec(text);
  if (match === null) {
    throw new VariableInvalid(
      name,
      'must be a duration such as 250ms, 30s, 5m, 24h or 7d (a bare number is in seconds).',
    );
  }
  return Math.round(Number(match[1]) * (unitMs[match[2] ?? 's'] ?? 1000));
}

/** One of the given words, in any case. */
export function readChoice<const Word extends string>(
  environment: Environment,
  name: string,
  words: readonly Word[],
): Word | undefined {
  const text = readVariable(environment, name)?.trim().toLowerCase();
  if (text === undefined) return undefined;
  const found = words.find((word) => word.toLowerCase() === text);
  if (found === undefined) throw new VariableInvalid(name, `must be one of ${words.join(', ')}.`);
  return found;
}
