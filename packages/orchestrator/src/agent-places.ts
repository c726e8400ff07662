/**
 * Where the files of an agent are in the data directory, and where its socket is.
 *
 * Agent ids come from outside and may hold anything, so a name that is not plainly safe as a file name is replaced by its
 * digest (behind `~`, which no plain name begins with: two ids never share a directory). A Unix socket's path is limited to
 * 107 bytes, hence the short socket names and the stand-in directory below the system's temporary one for deep data
 * directories; it must be ours and closed to others.
 */
import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SOCKET_PATH_MAX_BYTES = 107;
const plainName = /^[A-Za-z0-9][A-Za-z0-9_-][A-Za-z0-9._-]{0,98}$/;
const short = (text: string, digits: number): string =>
  createHash('sha256').update(text).digest('hex').slice(0, digits);

export interface AgentPlace {
  /** Working directory of its process. */
  readonly directory: string;
  /** Its own durable files: its portable state. */
  readonly stateDir: string;
  readonly stdoutPath: string;
  readonly stderrPath: string;
  readonly socketPath: string;
  /** State packed last, kept until it is packed again or the agent starts anew. */
  readonly packedPath: string;
}

export class AgentPlaces {
  /**
   * Where Node keeps compiled programs between starts: shared, so that the second agent of a type starts faster than the
   * first. No border is lost by it: the agents of one orchestrator run as one user.
   */
  readonly compileCache: string;
  readonly #agents: string;
  readonly #sockets: string;

  /** Makes the directories. @throws the file system's error, or one naming a stand-in directory that is somebody else's. */
  constructor(dataDir: string) {
    this.#agents = join(dataDir, 'agents');
    this.compileCache = join(dataDir, 'compile-cache');
    mkdirSync(this.#agents, { recursive: true, mode: 0o700 });
    this.#sockets = socketDirectory(dataDir);
  }

  /** Names only; nothing is made. */
  of(agentId: string): AgentPlace {
    const directory = join(this.#agents, plainName.test(agentId) ? agentId : `~${short(agentId, 40)}`);
    return {
      directory,
      stateDir: join(directory, 'state'),
      stdoutPath: join(directory, 'logs', 'stdout.log'),
      stderrPath: join(directory, 'logs', 'stderr.log'),
      socketPath: join(this.#sockets, `${short(agentId, 20)}.s`),
      packedPath: join(directory, 'packed-state'),
    };
  }

  /** Makes the directories of an agent. */
  prepare(agentId: string): AgentPlace {
    const place = this.of(agentId);
    mkdirSync(join(place.directory, 'logs'), { recursive: true, mode: 0o700 });
    mkdirSync(place.stateDir, { recursive: true, mode: 0o700 });
    return place;
  }
}

function socketDirectory(dataDir: string): string {
  const usual = join(realpathSync(dataDir), 'sockets');
  if (Buffer.byteLength(usual) + 24 <= SOCKET_PATH_MAX_BYTES) {
    mkdirSync(usual, { recursive: true, mode: 0o700 });
    chmodSync(usual, 0o700);
    return usual;
  }
  const standIn = join(tmpdir(), `muster-agents-${short(usual, 16)}`);
  mkdirSync(standIn, { recursive: true, mode: 0o700 });
  const status = lstatSync(standIn);
  if (!status.isDirectory() || status.uid !== process.geteuid?.() || (status.mode & 0o077) !== 0) {
    throw new Error(`${standIn} belongs to somebody else; choose a shorter path for DATA_DIR.`);
  }
  return standIn;
}
