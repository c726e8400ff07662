/**
 * Portable state: an agent's state directory as one blob that another machine can start from.
 *
 * The blob is gzip over `{"files":{"path":"base64"}}` with sorted paths, so equal directories give equal bytes and one
 * digest (SHA-256 of the gzip bytes). Only regular files count; symbolic links are never followed, neither when packing nor
 * when unpacking, and a path that would leave the directory refuses the whole blob. Unpacking writes a complete new directory,
 * syncs it, and swaps it in by rename: a crash leaves the old state or the new, never a mixture.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  type Dirent,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { AGENT_PORTABLE_STATE_MAX_BYTES, type BlobRef } from '@muster/contract';
import { Type } from 'typebox';
import { Value } from 'typebox/value';

/** Files of one state; more is no sensible state and costs directory entries. */
const FILES_MAX = 2_000;
const DEPTH_MAX = 16;
/** Base64 and JSON around the largest raw state, bytes. */
const UNPACKED_MAX_BYTES = 2 * AGENT_PORTABLE_STATE_MAX_BYTES + 1_048_576;

/** The state cannot be packed or unpacked; the message is for a person. */
export class StateUnfit extends Error {
  override readonly name = 'StateUnfit';
}

export interface PackedState {
  readonly ref: BlobRef;
  readonly bytes: Buffer;
}

/** Raw size of the regular files, bytes; stops counting above `limit`. Missing directory: 0. */
export function stateBytes(stateDir: string, limit = 16 * AGENT_PORTABLE_STATE_MAX_BYTES): number {
  let total = 0;
  for (const { path } of filesOf(stateDir)) {
    total += lstatSync(path, { throwIfNoEntry: false })?.size ?? 0;
    if (total > limit) break;
  }
  return total;
}

/** The directory as a blob; null when it holds no file. @throws StateUnfit when it is too large. */
export function packState(stateDir: string): PackedState | null {
  const files: [string, string][] = [];
  let total = 0;
  for (const { name, path } of filesOf(stateDir)) {
    const content = readRegularFile(path, AGENT_PORTABLE_STATE_MAX_BYTES - total);
    if (content === null) continue;
    total += content.length;
    files.push([name, content.toString('base64')]);
    if (files.length > FILES_MAX) throw new StateUnfit(`The state has more than ${FILES_MAX} files.`);
  }
  if (files.length === 0) return null;
  files.sort(([a], [b]) => (a < b ? -1 : 1));
  const bytes = gzipSync(JSON.stringify({ files: Object.fromEntries(files) }));
  return { bytes, ref: refOf(bytes) };
}

export function refOf(bytes: Uint8Array): BlobRef {
  return { digest: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length };
}

/** The files in a blob, by path. @throws StateUnfit */
export function filesInBlob(bytes: Uint8Array): ReadonlyMap<string, Buffer> {
  let value: unknown;
  try {
    value = JSON.parse(gunzipSync(bytes, { maxOutputLength: UNPACKED_MAX_BYTES }).toString('utf8'));
  } catch {
    throw new StateUnfit('The state is no gzip of JSON, or is too large.');
  }
  if (!Value.Check(Blob, value)) throw new StateUnfit('The state has not the form {"files":{path:base64}}.');
  const files = new Map<string, Buffer>();
  let total = 0;
  for (const [name, text] of Object.entries(value.files)) {
    if (!isInside(name)) throw new StateUnfit('The state names a file outside its directory.');
    const content = Buffer.from(text, 'base64');
    total += content.length;
    files.set(name, content);
  }
  if (total > AGENT_PORTABLE_STATE_MAX_BYTES || files.size > FILES_MAX)
    throw new StateUnfit('The state is too large.');
  return files;
}

const Blob = Type.Object(
  { files: Type.Record(Type.String(), Type.String()) },
  { additionalProperties: false },
);

/** Makes `stateDir` hold exactly these files, durably. An empty map empties it. */
export function replaceState(stateDir: string, files: ReadonlyMap<string, Uint8Array>): void {
  const fresh = `${stateDir}.new`;
  const old = `${stateDir}.old`;
  rmSync(fresh, { recursive: true, force: true });
  rmSync(old, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true, mode: 0o700 });
  const directories = new Set([fresh]);
  for (const [name, content] of files) {
    const path = join(fresh, name);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    for (let each = dirname(path); each !== fresh; each = dirname(each)) directories.add(each);
    writeFileSync(path, content, { flag: 'wx', mode: 0o600, flush: true });
  }
  for (const directory of directories) syncPath(directory);
  if (lstatSync(stateDir, { throwIfNoEntry: false }) !== undefined) renameSync(stateDir, old);
  renameSync(fresh, stateDir);
  syncPath(dirname(stateDir));
  rmSync(old, { recursive: true, force: true });
}

function isInside(name: string): boolean {
  const parts = name.split('/');
  const fits = parts.every((part) => part !== '' && part !== '.' && part !== '..');
  return (
    fits && name.length <= 1000 && parts.length <= DEPTH_MAX && !name.includes('\0') && !name.includes('\\')
  );
}

function* filesOf(
  root: string,
  prefix = '',
  depth = 0,
): Generator<{ readonly name: string; readonly path: string }> {
  if (depth > DEPTH_MAX) return;
  let entries: Dirent[];
  try {
    entries = readdirSync(join(root, prefix), { withFileTypes: true, encoding: 'utf8' });
  } catch {
    return;
  }
  for (const entry of entries) {
    const name = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
    if (entry.isDirectory()) yield* filesOf(root, name, depth + 1);
    else if (entry.isFile()) yield { name, path: join(root, name) };
  }
}

/** Null when it is no regular file (any more). @throws StateUnfit when it is larger than `most` bytes. */
function readRegularFile(path: string, most: number): Buffer | null {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return null;
  }
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile()) return null;
    if (status.size > most) {
      throw new StateUnfit(
        `The state is larger than ${AGENT_PORTABLE_STATE_MAX_BYTES} bytes, which is the most that can move.`,
      );
    }
    const content = Buffer.alloc(status.size);
    let read = 0;
    for (let count = 1; read < content.length && count > 0; read += count) {
      count = readSync(descriptor, content, read, content.length - read, read);
    }
    return content.subarray(0, read);
  } finally {
    closeSync(descriptor);
  }
}

function syncPath(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
