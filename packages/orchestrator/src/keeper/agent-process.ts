/**
 * Starting one agent process: a session of its own, output appended to its files, the environment it was given and
 * nothing of the keeper's.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import type { KeeperRequest } from '@muster/contract';
import { DEFAULT_SEARCH_PATH } from './launch-problem.ts';
import { AGENT_MARK } from './process-table.ts';

/** Opening never waits: a pipe that nobody reads in place of a log file is an error, not a halt of the keeper. */
const APPEND_FLAGS =
  fs.constants.O_WRONLY | fs.constants.O_APPEND | fs.constants.O_CREAT | fs.constants.O_NONBLOCK;
const OOM_PREFERENCE_FILE = '/proc/self/oom_score_adj';

/**
 * Starts the process. When the system refuses, the child has no pid and `startError` tells why; some refusals throw.
 *
 * @param incarnation `epoch.sub`.
 * @param wrapper program and arguments put before the command; empty: none.
 */
export function startAgentProcess(
  request: Extract<KeeperRequest, { op: 'spawn' }>,
  incarnation: string,
  keeperId: string,
  wrapper: readonly string[],
): ChildProcess {
  const files: number[] = [];
  try {
    for (const file of [request.stdoutPath, request.stderrPath])
      files.push(fs.openSync(file, APPEND_FLAGS, 0o600));
    const [program, ...args] = [...wrapper, request.command, ...request.args];
    return withDefaultKillPreference(() =>
      spawn(program ?? request.command, args, {
        cwd: request.cwd,
        detached: true,
        stdio: ['ignore', files[0], files[1]],
        env: {
          PATH: DEFAULT_SEARCH_PATH,
          ...request.env,
          [AGENT_MARK]: keeperId,
          MUSTER_AGENT: request.agent,
          MUSTER_EPOCH: incarnation,
        },
      }),
    );
  } finally {
    for (const file of files) fs.closeSync(file);
  }
}

/** The reason a child without a pid did not start; Node reports it on the next turn. */
export function startError(child: ChildProcess): Promise<Error> {
  return new Promise((resolve) => {
    child.once('error', resolve);
  });
}

/**
 * Runs `start` with this process's out-of-memory preference at its default, so that the child is born with it: the
 * kernel spares the keeper itself, not its agents.
 */
function withDefaultKillPreference<T>(start: () => T): T {
  const own = fs.readFileSync(OOM_PREFERENCE_FILE, 'utf8').trim();
  if (!own.startsWith('-')) return start();
  fs.writeFileSync(OOM_PREFERENCE_FILE, '0');
  try {
    return start();
  } finally {
    fs.writeFileSync(OOM_PREFERENCE_FILE, own);
  }
}
