/**
 * Which manager a command speaks to, and with which token.
 *
 * URL: `--url`, else MUSTER_URL, else the manager of the last sign-in, else the one `muster up` starts. Token: the file named by
 * `--token-file` or MUSTER_TOKEN_FILE, else the one kept by `muster login`. A token never comes from an argument.
 */
import { readFileSync } from 'node:fs';
import { type Environment, Secret } from '@muster/runtime';
import { exitCode } from '../exit-codes.ts';
import { CommandFailure, usageFailure } from '../failure.ts';
import { type Credentials, errorCode } from './credentials.ts';

export const defaultManagerUrl = 'http://127.0.0.1:8000';

/** The URL without path end, credentials, query or fragment. @throws CommandFailure */
export function managerUrl(
  environment: Environment,
  given: string | undefined,
  credentials: Credentials,
): string {
  const fromEnvironment = environment['MUSTER_URL'];
  if (given !== undefined) return normalUrl(given, '--url');
  if (fromEnvironment !== undefined && fromEnvironment !== '') {
    return normalUrl(fromEnvironment, 'MUSTER_URL');
  }
  return credentials.current ?? defaultManagerUrl;
}

export function normalUrl(text: string, source: string): string {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    throw usageFailure(`${source} is no http or https address`, 'For example: https://manager.example.com');
  }
  if (url.username !== '' || url.password !== '') {
    throw usageFailure(`${source} must not carry a name or a password`, 'Sign in with: muster login');
  }
  return url.origin + url.pathname.replace(/\/+$/, '');
}

/** The token for `url`. @throws CommandFailure when there is none that could still be valid. */
export function tokenFor(
  url: string,
  environment: Environment,
  tokenFile: string | undefined,
  credentials: Credentials,
  nowMs: number,
): Secret {
  const path = tokenFile ?? (environment['MUSTER_TOKEN_FILE'] || undefined);
  if (path !== undefined) return readTokenFile(path);
  const credential = credentials.find(url);
  if (credential === undefined) throw notSignedIn(`You are not signed in at ${url}`);
  if (Date.parse(credential.expiresAt) <= nowMs) throw notSignedIn(`Your sign-in at ${url} has expired`);
  return credential.token;
}

function notSignedIn(what: string): CommandFailure {
  return new CommandFailure({ what, next: 'Sign in with: muster login', code: exitCode.notAllowed });
}

/** A secret from a file of one line. `noun`: "token" or "password", for messages. */
export function readTokenFile(path: string, noun = 'token'): Secret {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new CommandFailure({
      what: `The file ${path} cannot be read (${errorCode(error)})`,
      code: exitCode.notAllowed,
    });
  }
  if (text === '' || text.includes('\n')) {
    throw new CommandFailure({
      what: `The file ${path} must hold the ${noun} on its only line`,
      code: exitCode.notAllowed,
    });
  }
  return new Secret(text);
}
