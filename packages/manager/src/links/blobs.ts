/**
 * Blobs: the portable state of agents on its way from one machine to another, stored by content.
 *
 * The name is the SHA-256 of the content, so what is read back is what was written or nothing. A blob is on disk before the
 * frame that names it reaches the machine. What nothing refers to any more is deleted by `sweep`.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { open, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const BLOB_MAX_BYTES = 2 * 1_048_576;
/** Younger blobs are never swept: the frame that names them may still be on its way, ms. */
const SWEEP_AGE_MS = 600_000;

export class BlobStore {
  readonly #folder: string;

  constructor(dataDirectory: string) {
    this.#folder = join(dataDirectory, 'blobs');
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
  }

  /** Store durably. Returns why not, or null. Rejects when the disk fails. */
  async put(digest: string, base64: string): Promise<string | null> {
    if (!/^[0-9a-f]{64}$/.test(digest)) return 'the digest is not one';
    const bytes = Buffer.from(base64, 'base64');
    if (bytes.length > BLOB_MAX_BYTES) return `it is larger than ${BLOB_MAX_BYTES} bytes`;
    if (createHash('sha256').update(bytes).digest('hex') !== digest)
      return 'the content does not match the digest';
    if (await this.touch(digest)) return null;
    const temporary = join(this.#folder, `${digest}.${randomBytes(6).toString('hex')}.tmp`);
    const file = await open(temporary, 'wx', 0o600);
    try {
      await writeFile(file, bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, this.#path(digest));
    const folder = await open(this.#folder, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
    return null;
  }

  /** Make a blob that is here as young as a new one, so that the sweep spares it until it is referred to. False: not here. */
  async touch(digest: string): Promise<boolean> {
    const now = new Date();
    return utimes(this.#path(digest), now, now).then(
      () => true,
      () => false,
    );
  }

  /** The content as base64; null when it is not here or not intact. */
  async get(digest: string): Promise<string | null> {
    const bytes = await readFile(this.#path(digest)).catch(() => null);
    if (bytes === null) return null;
    return createHash('sha256').update(bytes).digest('hex') === digest ? bytes.toString('base64') : null;
  }

  /** Delete what nobody refers to and is old enough. Returns how many. */
  async sweep(isNeeded: (digest: string) => boolean, nowWall: number): Promise<number> {
    let removed = 0;
    for (const name of await readdir(this.#folder)) {
      if (isNeeded(name)) continue;
      const path = join(this.#folder, name);
      const status = await stat(path).catch(() => null);
      if (status === null || nowWall - status.mtimeMs < SWEEP_AGE_MS) continue;
      await rm(path, { force: true });
      removed += 1;
    }
    return removed;
  }

  #path(digest: string): string {
    return join(this.#folder, digest);
  }
}
