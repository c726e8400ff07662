/**
 * Where a keeper's files are, the same for every daemon that opens the data directory.
 *
 * The keeper's id is bound to the directory's inode: a copied data directory gets an id of its own, so that the copy's
 * sweep never ends the agents of the original.
 */
import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

/** A Unix socket's path has 108 bytes with its final zero. */
const MAX_SOCKET_PATH_BYTES = 107;

export interface KeeperPaths {
  /** Mode 0700; holds everything below but a displaced socket. */
  readonly directory: string;
  readonly socket: string;
  readonly pidFile: string;
  /** What the keeper wrote to stderr. */
  readonly errorFile: string;
  readonly controlGroupsFile: string;
  readonly keeperId: string;
  /** Device and inode of `directory`. */
  readonly directoryIdentity: string;
}

/**
 * Makes the keeper's directory when missing and names its files.
 *
 * @throws Error when a directory cannot be made or the stand-in directory of a long path belongs to somebody else.
 */
export function keeperPaths(dataDir: string): KeeperPaths {
  const wanted = path.join(path.resolve(dataDir), 'keeper');
  fs.mkdirSync(wanted, { recursive: true, mode: 0o700 });
  const directory = fs.realpathSync(wanted);
  fs.chmodSync(directory, 0o700);
  const { dev, ino } = fs.statSync(directory);
  const directoryIdentity = `${dev}:${ino}`;
  const secret = readOrMakeWord(path.join(directory, 'id'));
  return {
    directory,
    socket: socketPath(directory),
    pidFile: path.join(directory, 'keeper.pid'),
    errorFile: path.join(directory, 'keeper.err'),
    controlGroupsFile: path.join(directory, 'control-groups'),
    keeperId: sha256(`${secret} ${directoryIdentity}`),
    directoryIdentity,
  };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** Two daemons that make it at once agree on one word: the link succeeds for one of them only. */
function readOrMakeWord(file: string): string {
  if (!fs.existsSync(file)) {
    const temporary = `${file}.${process.pid}`;
    fs.writeFileSync(temporary, randomBytes(16).toString('hex'), { mode: 0o600, flush: true });
    try {
      fs.linkSync(temporary, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      fs.rmSync(temporary);
    }
  }
  const word = fs.readFileSync(file, 'utf8').trim();
  if (!/^[0-9a-f]{32}$/.test(word)) throw new Error(`${file} is damaged: restore it from a backup.`);
  return word;
}

function socketPath(directory: string): string {
  const usual = path.join(directory, 'keeper.sock');
  if (Buffer.byteLength(usual) <= MAX_SOCKET_PATH_BYTES) return usual;
  const standIn = path.join(os.tmpdir(), `muster-${sha256(directory)}`);
  fs.mkdirSync(standIn, { recursive: true, mode: 0o700 });
  const stat = fs.lstatSync(standIn);
  if (!stat.isDirectory() || stat.uid !== process.geteuid?.() || (stat.mode & 0o077) !== 0) {
    throw new Error(`${standIn} belongs to somebody else; choose a shorter path for the data directory.`);
  }
  return path.join(standIn, 'keeper.sock');
}
