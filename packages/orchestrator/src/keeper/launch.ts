/**
 * Connecting to the keeper of a data directory, or starting one when none answers.
 *
 * A new keeper is started only after every process of the previous one is dead: the launched process by pid, start time
 * and boot id, its namespace with it, and whatever else carries the data directory's mark. Where the host allows it the
 * keeper runs in a PID namespace whose end is the end of all agents; this is tried out, not guessed. The keeper gets a
 * session of its own and none of our descriptors, so that neither our death nor a terminal's Ctrl-C reaches it.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { KEEPER_PROTOCOL_VERSION, type KeeperResult } from '@muster/contract';
import { KeeperConnection, KeeperError } from './connection.ts';
import { notedMembers, sweepGroups } from './control-groups.ts';
import { ownPidNamespace } from './host-pids.ts';
import { type KeeperPaths, keeperPaths } from './paths.ts';
import {
  AGENT_MARK,
  carriesMarks,
  findProcesses,
  isGone,
  KEEPER_MARK,
  killUntilNone,
  type ProcessIdentity,
  readStat,
  signalQuietly,
} from './process-table.ts';

export type Isolation = 'auto' | 'namespace' | 'plain';

export interface KeeperOptions {
  /** Data directory of the orchestrator; the keeper's files are in its folder `keeper`. */
  readonly dataDir: string;
  /** `plain` never uses a namespace, `namespace` fails without one, `auto` (default) takes the best there is. */
  readonly isolation?: Isolation;
  /** How long a new keeper may take to answer, ms. Default 20 000. */
  readonly startTimeoutMs?: number;
  /** A live keeper that does not answer for this long is killed, and its agents with it, ms. Default 15 000. */
  readonly unreachableAfterMs?: number;
}

export type KeeperHello = Extract<KeeperResult, { op: 'hello' }>;

export interface StartedKeeper {
  readonly connection: KeeperConnection;
  readonly hello: KeeperHello;
  /** False when a keeper was already there. */
  readonly started: boolean;
}

interface PidFile {
  readonly bootId: string;
  readonly directoryIdentity: string;
  readonly incarnation: string;
  /** The launched process, and in a namespace its init. Host pids. */
  readonly processes: readonly ProcessIdentity[];
}

export const UNREACHABLE_AFTER_MS = 15_000;
const PROBE_TIMEOUT_MS = 5000;
const DEATH_TIMEOUT_MS = 15_000;
const RETRY_INTERVAL_MS = 10;
const EXIT_LOCKED = 75;
const NAMESPACE_FLAGS = ['--pid', '--fork', '--kill-child', '--mount-proc'];

/**
 * Connects to the keeper of a data directory; starts one when none answers.
 *
 * @throws KeeperError `version` (a keeper of another release lives and is left alone) or `start-failed`.
 */
export async function startKeeper(options: KeeperOptions): Promise<StartedKeeper> {
  const paths = pathsOf(options);
  const unreachableAfterMs = options.unreachableAfterMs ?? UNREACHABLE_AFTER_MS;
  const startTimeoutMs = options.startTimeoutMs ?? 20_000;
  const startedAt = performance.now();
  for (;;) {
    const live = await tryHello(paths, unreachableAfterMs);
    if (live !== null) return { ...live, started: false };
    const lock = await tryLaunchLock(paths.keeperId);
    if (lock === null) {
      if (performance.now() - startedAt > 2 * startTimeoutMs + unreachableAfterMs) {
        throw new KeeperError('start-failed', 'Another program has been starting this keeper for too long.');
      }
      await delay(RETRY_INTERVAL_MS);
      continue;
    }
    try {
      const startedMeanwhile = await tryHello(paths, unreachableAfterMs);
      if (startedMeanwhile !== null) return { ...startedMeanwhile, started: false };
      await endPreviousKeeper(paths);
      return await launch(paths, options.isolation ?? 'auto', startTimeoutMs);
    } finally {
      lock.close();
    }
  }
}

/** One launcher at a time, so that none takes another's young keeper for a dead one. Null: somebody else is at it. */
function tryLaunchLock(keeperId: string): Promise<net.Server | null> {
  return new Promise((resolve, reject) => {
    const lock = net.createServer((socket) => socket.destroy());
    lock.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(null);
      else reject(error);
    });
    lock.listen(`\0muster-launch-${keeperId}`, () => resolve(lock));
  });
}

/**
 * Makes sure that no keeper and no agent process of a data directory is alive, by force. For the end of a program whose
 * orderly `shutdown` failed.
 *
 * @throws KeeperError `start-failed` naming the processes that do not die.
 */
export async function endKeeper(dataDir: string): Promise<void> {
  const paths = pathsOf({ dataDir });
  await endPreviousKeeper(paths);
  sweepGroups(paths.controlGroupsFile);
  fs.rmSync(paths.socket, { force: true });
}

function pathsOf(options: KeeperOptions): KeeperPaths {
  try {
    return keeperPaths(options.dataDir);
  } catch (error) {
    throw new KeeperError(
      'start-failed',
      `The keeper's directory cannot be used: ${(error as Error).message}`,
    );
  }
}

/** Null: nobody answers. A keeper that answers with a refusal is alive and is left alone. */
async function tryHello(
  paths: KeeperPaths,
  timeoutMs: number,
): Promise<{ connection: KeeperConnection; hello: KeeperHello } | null> {
  let connection: KeeperConnection;
  try {
    connection = await KeeperConnection.connect(paths.socket);
  } catch {
    return null;
  }
  try {
    const hello = await connection.call({ op: 'hello', v: KEEPER_PROTOCOL_VERSION }, timeoutMs);
    return { connection, hello };
  } catch (error) {
    connection.close();
    if (error instanceof KeeperError && (error.code === 'timeout' || error.code === 'keeper-lost'))
      return null;
    throw error;
  }
}

async function endPreviousKeeper(paths: KeeperPaths): Promise<void> {
  const dying: ProcessIdentity[] = [];
  for (const identity of readPidFile(paths)) {
    if (isGone(identity)) continue;
    signalQuietly(identity.pid, 'SIGKILL');
    dying.push(identity);
  }
  const ofKeeper = [`${KEEPER_MARK}=${paths.keeperId}`];
  const ofAgents = [`${AGENT_MARK}=${paths.keeperId}`];
  try {
    await killUntilNone(
      (stat) => carriesMarks(stat.pid, ofKeeper) || carriesMarks(stat.pid, ofAgents),
      DEATH_TIMEOUT_MS,
      dying,
      () => notedMembers(paths.controlGroupsFile, paths.keeperId),
    );
  } catch (error) {
    throw new KeeperError('start-failed', `No new keeper was started: ${(error as Error).message}.`);
  }
  fs.rmSync(paths.pidFile, { force: true });
}

/** Processes of the pid file, if it was written for this directory since the machine started. */
function readPidFile(paths: KeeperPaths): readonly ProcessIdentity[] {
  try {
    const content = JSON.parse(fs.readFileSync(paths.pidFile, 'utf8')) as PidFile;
    if (content.bootId !== bootId() || content.directoryIdentity !== paths.directoryIdentity) return [];
    return content.processes.filter(
      ({ pid, startTicks }) => Number.isInteger(pid) && typeof startTicks === 'string',
    );
  } catch {
    return [];
  }
}

function writePidFile(paths: KeeperPaths, incarnation: string, launched: number): void {
  const own = readStat(launched);
  const children = findProcesses((stat) => stat.parentPid === launched);
  const processes = [own, ...children].flatMap((stat) =>
    stat === null ? [] : [{ pid: stat.pid, startTicks: stat.startTicks }],
  );
  const content: PidFile = {
    bootId: bootId(),
    directoryIdentity: paths.directoryIdentity,
    incarnation,
    processes,
  };
  const temporary = `${paths.pidFile}.new`;
  fs.writeFileSync(temporary, `${JSON.stringify(content)}\n`, { mode: 0o600 });
  fs.renameSync(temporary, paths.pidFile);
}

function bootId(): string {
  return fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

async function launch(
  paths: KeeperPaths,
  isolation: Isolation,
  startTimeoutMs: number,
): Promise<StartedKeeper> {
  const incarnation = randomBytes(8).toString('hex');
  const { command, isolated } = await launchCommand(paths, incarnation, isolation);
  const errorFd = fs.openSync(paths.errorFile, 'w', 0o600);
  let child: ChildProcess;
  try {
    child = spawn(command[0] ?? '', command.slice(1), {
      cwd: '/',
      detached: true,
      stdio: ['ignore', errorFd, errorFd],
      env: keeperEnvironment(paths.keeperId),
    });
  } finally {
    fs.closeSync(errorFd);
  }
  const ended = new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(null));
    child.once('exit', (code) => resolve(code));
  });
  child.unref();
  if (isolated && child.pid !== undefined) spareFromOutOfMemoryKill(child.pid);
  const { connection, hello } = await untilItAnswers(paths, ended, startTimeoutMs);
  const ours = hello.incarnation === incarnation;
  if (ours && child.pid !== undefined) writePidFile(paths, incarnation, child.pid);
  return { connection, hello, started: ours };
}

async function untilItAnswers(
  paths: KeeperPaths,
  ended: Promise<number | null>,
  timeoutMs: number,
): Promise<{ connection: KeeperConnection; hello: KeeperHello }> {
  let end: { code: number | null } | null = null;
  void ended.then((code) => {
    end = { code };
  });
  const startedAt = performance.now();
  for (;;) {
    const finished = end as { code: number | null } | null;
    const left = timeoutMs - (performance.now() - startedAt);
    const live = await tryHello(paths, Math.max(left, 1));
    if (live !== null) return live;
    if (finished !== null && finished.code !== EXIT_LOCKED) {
      const said = fs.readFileSync(paths.errorFile, 'utf8').trim().slice(-2000);
      const why = said === '' ? `it ended with status ${finished.code ?? 'unknown'}` : said;
      throw new KeeperError('start-failed', `The keeper could not be started: ${why}`);
    }
    if (left <= 0) throw new KeeperError('start-failed', `The keeper did not answer within ${timeoutMs} ms.`);
    await delay(RETRY_INTERVAL_MS);
  }
}

/** Nothing of the daemon's environment but what programs need to be found: no secret reaches the keeper. */
function keeperEnvironment(keeperId: string): Record<string, string> {
  const environment: Record<string, string> = { [KEEPER_MARK]: keeperId };
  for (const name of ['PATH', 'HOME', 'LANG', 'TZ']) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  return environment;
}

async function launchCommand(
  paths: KeeperPaths,
  incarnation: string,
  isolation: Isolation,
): Promise<{ command: string[]; isolated: boolean }> {
  const flags = isolation === 'plain' ? null : await namespaceFlags();
  if (flags === null && isolation === 'namespace') {
    throw new KeeperError('start-failed', 'This host allows no PID namespace (unshare failed).');
  }
  const keeper = [
    process.execPath,
    '--max-old-space-size=128',
    '--disable-warning=ExperimentalWarning',
    fileURLToPath(new URL('main.ts', import.meta.url)),
    `--directory=${paths.directory}`,
    `--socket=${paths.socket}`,
    `--keeper-id=${paths.keeperId}`,
    `--incarnation=${incarnation}`,
    `--launcher-namespace=${ownPidNamespace()}`,
    '--',
  ];
  if (flags === null) return { command: [...keeper, ...(await deathSignalWrapper())], isolated: false };
  return { command: ['unshare', ...flags, 'sh', '-c', '"$@" & wait $!', 'sh', ...keeper], isolated: true };
}

/** Flags with which `unshare` really makes a PID namespace here, as this user or with a user namespace; null: none. */
async function namespaceFlags(): Promise<string[] | null> {
  const own = ownPidNamespace();
  for (const flags of [NAMESPACE_FLAGS, ['--user', '--map-current-user', ...NAMESPACE_FLAGS]]) {
    const output = await outputOf('unshare', [...flags, 'sh', '-c', 'echo $$ $(readlink /proc/self/ns/pid)']);
    const [pid, namespace] = (output ?? '').trim().split(' ');
    if (pid === '1' && namespace !== undefined && namespace.startsWith('pid:') && namespace !== own)
      return flags;
  }
  return null;
}

/** Without a namespace an agent at least gets SIGKILL when its keeper dies, where util-linux is at hand. */
async function deathSignalWrapper(): Promise<string[]> {
  const directories = (process.env['PATH'] ?? '/usr/bin:/bin').split(':');
  const file = directories
    .map((directory) => path.join(directory, 'setpriv'))
    .find((name) => fs.existsSync(name));
  if (file === undefined) return [];
  const works = (await outputOf(file, ['--pdeathsig', 'KILL', 'true'])) !== null;
  return works ? [file, '--pdeathsig', 'KILL', '--'] : [];
}

/** Standard output of a short program; null when it could not run or failed. */
function outputOf(file: string, args: readonly string[]): Promise<string | null> {
  return new Promise((resolve) => {
    execFile(file, args, { timeout: PROBE_TIMEOUT_MS, killSignal: 'SIGKILL' }, (error, stdout) => {
      resolve(error === null ? stdout : null);
    });
  });
}

/** The namespace hangs on the process that made it: losing that one would cost all agents. */
function spareFromOutOfMemoryKill(pid: number): void {
  try {
    fs.writeFileSync(`/proc/${pid}/oom_score_adj`, '-900');
  } catch {
    // Needs a right that this user lacks; the process is tiny and an unlikely choice anyway.
  }
}
