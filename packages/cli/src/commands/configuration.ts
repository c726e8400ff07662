/**
 * An agent's configuration from the command line: a JSON file, JSON text or standard input, then single values on top.
 */
import { readFileSync } from 'node:fs';
import { readAll } from '../client/ask.ts';
import { errorCode } from '../client/credentials.ts';
import { isRecord, usageFailure } from '../failure.ts';

export type Configuration = Record<string, unknown>;

/** @throws CommandFailure when `text` is not one JSON object; `what` leads the message. */
export function parseObject(text: string, what: string): Configuration {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw usageFailure(`${what} are not valid JSON: ${(error as Error).message}`);
  }
  if (!isRecord(value)) throw usageFailure(`${what} must be a JSON object, such as {"key": 1}`);
  return { ...value };
}

/** The object that `--config` means: `-` is standard input, text that begins with `{` itself, else a file. */
export async function readConfiguration(
  source: string | undefined,
  stdin: NodeJS.ReadStream,
): Promise<Configuration> {
  if (source === undefined) return {};
  const what = 'The values of --config';
  if (source === '-') return parseObject(await readAll(stdin), what);
  if (source.trimStart().startsWith('{')) return parseObject(source, what);
  try {
    return parseObject(readFileSync(source, 'utf8'), `The values in ${source}`);
  } catch (error) {
    if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
      throw usageFailure(`The file ${source} cannot be read (${errorCode(error)})`);
    }
    throw error;
  }
}

/**
 * Sets `key=value` in place. Dots in the key go into objects; the value is JSON when it is valid JSON, else text.
 * @throws CommandFailure
 */
export function setValue(configuration: Configuration, assignment: string): void {
  const at = assignment.indexOf('=');
  const keys = assignment.slice(0, Math.max(at, 0)).split('.');
  if (at <= 0 || keys.some((key) => key === '' || key === '__proto__')) {
    throw usageFailure(`--set ${assignment} is not key=value`, 'For example: --set replay.bars_per_second=5');
  }
  const last = keys.pop() as string;
  let place = configuration;
  for (const key of keys) {
    const inner = place[key];
    if (inner !== undefined && !isRecord(inner))
      throw usageFailure(`--set ${assignment}: ${key} is no object`);
    const next: Configuration = { ...inner };
    place[key] = next;
    place = next;
  }
  place[last] = jsonOrText(assignment.slice(at + 1));
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
