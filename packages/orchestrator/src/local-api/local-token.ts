/**
 * The local operator's credential: a random token in the data directory that only this machine's operator can read.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { atomicWriteFile, type DataDirectory, Secret } from '@muster/runtime';

export const LOCAL_TOKEN_FILE = 'local-token';

/** Made at first start (0600). @throws Error when others can read the file, because the token must then be taken for known. */
export function loadOrCreateLocalToken(directory: DataDirectory): Secret {
  const path = directory.file(LOCAL_TOKEN_FILE);
  if (!existsSync(path)) atomicWriteFile(path, `${randomBytes(32).toString('base64url')}\n`, 0o600);
  if ((statSync(path).mode & 0o077) !== 0)
    throw new Error(`${path} can be read by others: delete it and start again.`);
  const text = readFileSync(path, 'utf8').trim();
  if (!/^[\w-]{43}$/.test(text)) throw new Error(`${path} is damaged: delete it and start again.`);
  return new Secret(text);
}
