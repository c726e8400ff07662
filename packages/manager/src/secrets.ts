/**
 * Secrets that nobody gave: made once, kept in `DATA_DIR/secrets` (0600), never printed.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { atomicWriteFile, base32, Secret } from '@muster/runtime';

export interface KeptSecret {
  readonly secret: Secret;
  /** True: made just now. */
  readonly made: boolean;
}

function secretsFolder(dataDirectory: string): string {
  const folder = join(dataDirectory, 'secrets');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/** The kept secret `name`, or undefined. */
export function readKept(dataDirectory: string, name: string): Secret | undefined {
  try {
    const text = readFileSync(join(secretsFolder(dataDirectory), name), 'utf8').trim();
    return text === '' ? undefined : new Secret(text);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Keep `secret` as `name`, durably. */
export function keep(dataDirectory: string, name: string, secret: Secret): void {
  atomicWriteFile(join(secretsFolder(dataDirectory), name), `${secret.reveal()}\n`, 0o600);
}

/** The given secret, else the kept one, else a fresh one of 160 random bits that is kept from now on. */
export function givenOrKept(dataDirectory: string, name: string, given: Secret | undefined): KeptSecret {
  if (given !== undefined) return { secret: given, made: false };
  const kept = readKept(dataDirectory, name);
  if (kept !== undefined) return { secret: kept, made: false };
  const secret = new Secret(base32(randomBytes(20)));
  keep(dataDirectory, name, secret);
  return { secret, made: true };
}
