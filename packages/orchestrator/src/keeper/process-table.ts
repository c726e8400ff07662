/**
 * What /proc says about processes, and ending the ones that carry a mark.
 *
 * A pid alone names nothing for long: it is always paired with its start time (field 22 of stat). A zombie whose threads
 * are all gone counts as dead, since nothing of it can act. Processes are found by the environment they were started
 * with; a process may overwrite that, so control group and namespace come first wherever the host has them.
 */
import * as fs from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** Environment of every agent: `MUSTER_KEEPER=<keeperId>`. */
export const AGENT_MARK = 'MUSTER_KEEPER';
/** Environment of the keeper itself and of what it was launched through. */
export const KEEPER_MARK = 'MUSTER_KEEPER_PROCESS';

export interface ProcessIdentity {
  readonly pid: number;
  /** Start time in clock ticks since boot. */
  readonly startTicks: string;
}

export interface ProcessStat extends ProcessIdentity {
  /** One letter, as ps shows it. */
  readonly state: string;
  readonly parentPid: number;
  readonly group: number;
  readonly session: number;
}

export function readStat(pid: number): ProcessStat | null {
  let text: string;
  try {
    text = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return null;
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, parentPid, group, session] = fields;
  const startTicks = fields[19];
  if (state === undefined || startTicks === undefined) return null;
  return {
    pid,
    state,
    parentPid: Number(parentPid),
    group: Number(group),
    session: Number(session),
    startTicks,
  };
}

export function listPids(): number[] {
  const pids: number[] = [];
  for (const name of fs.readdirSync('/proc')) {
    if (/^[1-9][0-9]*$/.test(name)) pids.push(Number(name));
  }
  return pids;
}

/** Whether that very process can no longer do anything. */
export function isGone(identity: ProcessIdentity): boolean {
  const stat = readStat(identity.pid);
  if (stat === null || stat.startTicks !== identity.startTicks) return true;
  if (stat.state === 'X') return true;
  if (stat.state !== 'Z') return false;
  try {
    return fs.readdirSync(`/proc/${identity.pid}/task`).length <= 1;
  } catch {
    return true;
  }
}

/** Whether the process was started with all of these `NAME=value` entries. False when it may not be read. */
export function carriesMarks(pid: number, marks: readonly string[]): boolean {
  let environment: string;
  try {
    environment = `\0${fs.readFileSync(`/proc/${pid}/environ`, 'utf8')}\0`;
  } catch {
    return false;
  }
  return marks.every((mark) => environment.includes(`\0${mark}\0`));
}

/** Sends a signal; a process or group that is no more is no error. */
export function signalQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ESRCH' && code !== 'EPERM') throw error;
  }
}

/** Live processes that the predicate picks, this one excepted. */
export function findProcesses(picks: (stat: ProcessStat) => boolean): ProcessStat[] {
  const found: ProcessStat[] = [];
  for (const pid of listPids()) {
    if (pid === process.pid) continue;
    const stat = readStat(pid);
    if (stat !== null && picks(stat) && !isGone(stat)) found.push(stat);
  }
  return found;
}

/**
 * Kills everything the predicate picks, again and again, until one whole pass finds nothing and all that was ever found
 * is dead.
 *
 * @param alsoDying processes that must be dead too before this returns.
 * @param members asked at each pass: pids to kill whatever the predicate says.
 * @throws Error naming the survivors when that takes longer than `timeoutMs`.
 */
export async function killUntilNone(
  picks: (stat: ProcessStat) => boolean,
  timeoutMs: number,
  alsoDying: readonly ProcessIdentity[] = [],
  members: () => readonly number[] = () => [],
): Promise<number> {
  const seen = new Map<string, ProcessIdentity>();
  for (const identity of alsoDying) seen.set(`${identity.pid} ${identity.startTicks}`, identity);
  const startedAt = performance.now();
  let killed = 0;
  for (;;) {
    const named = new Set(members());
    const found = findProcesses((stat) => named.has(stat.pid) || picks(stat));
    for (const stat of found) {
      const key = `${stat.pid} ${stat.startTicks}`;
      if (!seen.has(key)) killed += 1;
      seen.set(key, stat);
      signalQuietly(stat.pid, 'SIGKILL');
    }
    const alive = [...seen.values()].filter((identity) => !isGone(identity));
    if (found.length === 0 && alive.length === 0) return killed;
    if (performance.now() - startedAt > timeoutMs) {
      const pids = [...new Set([...found, ...alive].map((identity) => identity.pid))];
      throw new Error(`these processes of an earlier keeper do not die: ${pids.join(', ')}`);
    }
    await delay(5);
  }
}
