/**
 * Where sign-in tokens are kept: `$XDG_CONFIG_HOME/muster/credentials.json` (0600), one per manager URL.
 *
 * The file is replaced whole and durably. `current` is the manager of the last sign-in: commands use it when no other is
 * named. A file that others can read is closed to them before it is used.
 */
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { atomicWriteFile, type Environment, Secret } from '@muster/runtime';
import { exitCode } from '../exit-codes.ts';
import { CommandFailure, isRecord } from '../failure.ts';

export interface Credential {
  readonly token: Secret;
  readonly name: string;
  /** ISO time. */
  readonly expiresAt: string;
}

interface StoredCredential {
  readonly token: string;
  readonly name: string;
  readonly expires_at: string;
}

interface StoredFile {
  readonly current?: string;
  readonly managers: Readonly<Record<string, StoredCredential>>;
}

export function credentialsPath(environment: Environment): string {
  const configured = environment['XDG_CONFIG_HOME'];
  const base = configured?.startsWith('/') === true ? configured : join(homedir(), '.config');
  return join(base, 'muster', 'credentials.json');
}

export class Credentials {
  readonly path: string;

  constructor(environment: Environment) {
    this.path = credentialsPath(environment);
  }

  /** The manager of the last sign-in. */
  get current(): string | undefined {
    return this.#read().current;
  }

  find(url: string): Credential | undefined {
    const stored = this.#read().managers[url];
    return stored === undefined
      ? undefined
      : { token: new Secret(stored.token), name: stored.name, expiresAt: stored.expires_at };
  }

  store(url: string, { token, name, expiresAt }: Credential): void {
    const { managers } = this.#read();
    const entry: StoredCredential = { token: token.reveal(), name, expires_at: expiresAt };
    this.#write({ current: url, managers: { ...managers, [url]: entry } });
  }

  /** Forgets the token for `url`. Returns whether there was one. */
  forget(url: string): boolean {
    const { current, managers } = this.#read();
    const { [url]: gone, ...rest } = managers;
    if (gone === undefined) return false;
    this.#write({ ...(current === undefined || current === url ? {} : { current }), managers: rest });
    return true;
  }

  #write(file: StoredFile): void {
    try {
      if (Object.keys(file.managers).length === 0) return rmSync(this.path, { force: true });
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      atomicWriteFile(this.path, `${JSON.stringify(file, null, 2)}\n`, 0o600);
    } catch (error) {
      throw new CommandFailure({
        what: `The sign-in cannot be kept in ${this.path} (${errorCode(error)})`,
        next: 'Set XDG_CONFIG_HOME to a directory that you may write.',
        code: exitCode.failure,
      });
    }
  }

  #read(): StoredFile {
    let text: string;
    try {
      text = readFileSync(this.path, 'utf8');
      if ((statSync(this.path).mode & 0o077) !== 0) chmodSync(this.path, 0o600);
    } catch (error) {
      if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return { managers: {} };
      throw this.#unreadable(errorCode(error));
    }
    return this.#parse(text);
  }

  #parse(text: string): StoredFile {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw this.#unreadable('not JSON');
    }
    if (!isRecord(value) || !isRecord(value['managers'])) throw this.#unreadable('not a credentials file');
    const managers: Record<string, StoredCredential> = {};
    for (const [url, entry] of Object.entries(value['managers'])) {
      if (!isRecord(entry)) continue;
      const { token, name, expires_at } = entry;
      if (typeof token === 'string' && typeof name === 'string' && typeof expires_at === 'string') {
        managers[url] = { token, name, expires_at };
      }
    }
    const current = value['current'];
    return { ...(typeof current === 'string' ? { current } : {}), managers };
  }

  #unreadable(reason: string): CommandFailure {
    return new CommandFailure({
      what: `${this.path} cannot be read (${reason})`,
      next: 'Remove the file and sign in again with: muster login',
      code: exitCode.configuration,
    });
  }
}

export function errorCode(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : error instanceof Error ? error.message : String(error);
}
