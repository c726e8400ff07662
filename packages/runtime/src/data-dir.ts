/**
 * The data directory of one process: made, writable, and ours alone.
 *
 * The lock is an exclusive SQLite transaction on `lock.db`: a lock of the kernel, so it dies with the process whatever way it
 * ends, and it holds between containers that share the volume, where process ids mean nothing. `lock.pid` beside it is only
 * for the message. Nothing else may open `lock.db`: closing any other descriptor of it would drop the lock.
 */
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { atomicWriteFile } from './atomic-file.ts';

/** Another live process holds the directory. `pid` is its id where it runs, when it could be read. */
export class DataDirectoryInUse extends Error {
  override readonly name = 'DataDirectoryInUse';
  readonly path: string;
  readonly pid: number | undefined;
  constructor(path: string, pid: number | undefined) {
    const by = pid === undefined ? 'another process' : `process ${pid}`;
    super(`The data directory ${path} is in use by ${by}. Stop it, or choose another directory.`);
    this.path = path;
    this.pid = pid;
  }
}

/** The directory cannot be made or written. */
export class DataDirectoryUnwritable extends Error {
  override readonly name = 'DataDirectoryUnwritable';
  readonly path: string;
  constructor(path: string, cause: unknown) {
    super(
      `The data directory ${path} cannot be written: ${reason(cause)}. Choose another directory or make room.`,
      { cause },
    );
    this.path = path;
  }
}

export interface DataDirectory extends Disposable {
  readonly path: string;
  /** The path of a file in it. */
  file(name: string): string;
  /** Gives the directory free. */
  close(): void;
}

/** Makes (0700) and locks `path`. Throws `DataDirectoryInUse` or `DataDirectoryUnwritable`. */
export function openDataDirectory(path: string): DataDirectory {
  try {
    makeDirectory(path);
    const probe = join(path, `.writable-${process.pid}`);
    atomicWriteFile(probe, 'probe');
    rmSync(probe);
  } catch (error) {
    throw new DataDirectoryUnwritable(path, error);
  }
  const database = lock(path);
  const pidPath = join(path, 'lock.pid');
  try {
    writeFileSync(pidPath, `${process.pid}\n`, { mode: 0o600 });
  } catch (error) {
    database.close();
    throw new DataDirectoryUnwritable(path, error);
  }
  const close = (): void => {
    if (!database.isOpen) return;
    rmSync(pidPath, { force: true });
    database.close();
  };
  return { path, file: (name) => join(path, name), close, [Symbol.dispose]: close };
}

/**
 * Makes `path` and what is missing above it, 0700. Not `mkdir` with `recursive`: that one loops for ever in a file system that
 * answers ENOENT to any new name, as /proc does.
 */
function makeDirectory(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
  const parent = dirname(path);
  if (parent !== path) makeDirectory(parent);
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const isThere = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
    if (!isThere) throw error;
  }
}

function lock(path: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(join(path, 'lock.db'), { timeout: 0 });
    database.exec('BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    database?.close();
    const code = (error as { errcode?: unknown }).errcode;
    if (typeof code === 'number' && [5, 6].includes(code & 0xff))
      throw new DataDirectoryInUse(path, readPid(path));
    throw new DataDirectoryUnwritable(path, error);
  }
}

function readPid(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(path, 'lock.pid'), 'utf8').trim());
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  ENOTDIR: 'a part of the path is a file',
  EEXIST: 'it is a file',
  ENOENT: 'it cannot be made there',
};

function reason(cause: unknown): string {
  const code = (cause as { code?: unknown }).code;
  const known = typeof code === 'string' ? reasons[code] : undefined;
  return known ?? (cause instanceof Error ? cause.message : String(cause));
}
