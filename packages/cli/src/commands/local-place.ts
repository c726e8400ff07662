/**
 * Which orchestrator `muster local` speaks to: its data directory, the credential in it, and its address.
 *
 * `--data`, else DATA_DIR, else the only orchestrator below `.muster` in the current directory; several are listed, never
 * guessed between. Nothing here asks the manager.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Secret } from '@muster/runtime';
import { errorCode } from '../client/credentials.ts';
import { normalUrl } from '../client/manager-url.ts';
import { exitCode } from '../exit-codes.ts';
import { CommandFailure, isRecord, usageFailure } from '../failure.ts';
import type { Services } from '../services.ts';

export interface LocalPlaceOptions {
  readonly data?: string;
  readonly url?: string;
}

export interface LocalPlace {
  readonly data: string;
  readonly url: string;
  readonly token: Secret;
}

const usualPlace = '.muster';
const tokenFile = 'local-token';

/** @throws CommandFailure: no orchestrator there, several, or not readable. */
export function localPlace({ environment }: Services, options: LocalPlaceOptions): LocalPlace {
  const data = options.data ?? (environment['DATA_DIR'] || undefined) ?? onlyOneHere();
  const token = new Secret(readLocalFile(join(data, tokenFile), data));
  const given = options.url ?? (environment['MUSTER_LOCAL_URL'] || undefined);
  const url = given === undefined ? localUrl(data, environment['AGENT_PORT']) : normalUrl(given, '--url');
  return { data, url, token };
}

function onlyOneHere(): string {
  const found = orchestratorsIn(usualPlace);
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  throw usageFailure(
    only === undefined
      ? `There is no orchestrator below ${usualPlace} in this directory`
      : `Which of the orchestrators here is meant: ${found.join(', ')}?`,
    `Name its data directory with --data DIR or DATA_DIR, for example --data ${only ?? '/var/lib/muster'}`,
  );
}

function orchestratorsIn(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  const places = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return places
    .map(({ name }) => join(folder, name))
    .filter((place) => existsSync(join(place, tokenFile)))
    .sort();
}

function readLocalFile(path: string, data: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    const code = errorCode(error);
    const denied = code === 'EACCES' || code === 'EPERM';
    const inside = denied ? [] : orchestratorsIn(data);
    const hint =
      inside.length > 0
        ? `Name one of ${inside.join(', ')} with --data DIR.`
        : 'Name the right one with --data DIR, and start the orchestrator once.';
    throw new CommandFailure({
      what: denied ? `You may not read ${path}` : `${data} is no data directory of an orchestrator`,
      why: denied ? [] : [`${path} cannot be read (${code}).`],
      next: denied ? 'Run this as the user that the orchestrator runs as.' : hint,
      code: denied ? exitCode.notAllowed : exitCode.notFound,
    });
  }
}

function localUrl(data: string, port: string | undefined): string {
  if (port !== undefined && port !== '') return normalUrl(`127.0.0.1:${port}`, 'AGENT_PORT');
  try {
    const value: unknown = JSON.parse(readFileSync(join(data, 'local-api.json'), 'utf8'));
    if (isRecord(value) && typeof value['url'] === 'string') return value['url'];
  } catch {
    // Not kept there: the contract's own port.
  }
  return 'http://127.0.0.1:8001';
}
