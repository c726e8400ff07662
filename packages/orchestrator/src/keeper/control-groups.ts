/**
 * Control groups: how an agent's limits are enforced and how its whole tree is found.
 *
 * Groups are made only below the group this process already lives in, so that no limit somebody set on the orchestrator
 * is ever escaped, and only inside a directory of ours (`muster-<keeperId>`). What the host supports is found out by
 * really making and removing a group. With cgroup v2 the controllers must be delegated: as root group, as a unit with
 * `Delegate=yes` and `DelegateSubgroup=muster-supervisor`, or in a container that owns its group.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { AgentLimits, LimitSupport } from '@muster/contract';

const SUPERVISOR_GROUP = 'muster-supervisor';
const CPU_PERIOD_US = 100_000;

/** Where one controller's groups of this keeper live. */
interface Hierarchy {
  readonly version: 1 | 2;
  readonly parent: string;
}

/** The group of one agent process tree. */
export interface AgentGroup {
  /** Directories, one per hierarchy used. */
  readonly directories: readonly string[];
  /** Directory whose memory events tell of an out-of-memory kill; null: memory is not controlled. */
  readonly memory: { readonly directory: string; readonly version: 1 | 2 } | null;
}

function readText(file: string): string | null {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

/** This process's group directory in a hierarchy, by mountinfo and /proc/self/cgroup; null when not mounted. */
function ownGroup(version: 1 | 2, controller: string): string | null {
  let ownPath: string | null = null;
  for (const line of (readText('/proc/self/cgroup') ?? '').split('\n')) {
    const match = /^\d+:([^:]*):(.*)$/.exec(line);
    if (match === null) continue;
    const controllers = (match[1] ?? '').split(',');
    if (version === 1 ? controllers.includes(controller) : match[1] === '') ownPath = match[2] ?? null;
  }
  if (ownPath === null) return null;
  for (const line of (readText('/proc/self/mountinfo') ?? '').split('\n')) {
    const [left, right] = line.split(' - ');
    const mount = (left ?? '').split(' ');
    const [type, , superOptions] = (right ?? '').split(' ');
    const fits =
      version === 2
        ? type === 'cgroup2'
        : type === 'cgroup' && (superOptions ?? '').split(',').includes(controller);
    if (!fits) continue;
    const root = mount[3] ?? '/';
    const inside = root !== '/' && ownPath.startsWith(root) ? ownPath.slice(root.length) : ownPath;
    return path.join(mount[4] ?? '', inside);
  }
  return null;
}

/** The group below which this keeper may make its own, with the controllers of v2 switched on for children. */
function baseGroup(version: 1 | 2, controller: string): string | null {
  const own = ownGroup(version, controller);
  if (own === null || version === 1) return own;
  const base = path.basename(own) === SUPERVISOR_GROUP ? path.dirname(own) : own;
  const available = (readText(path.join(base, 'cgroup.controllers')) ?? '').trim().split(' ');
  if (!available.includes(controller)) return null;
  return enableForChildren(base, controller) ? base : null;
}

function enableForChildren(directory: string, controller: string): boolean {
  const file = path.join(directory, 'cgroup.subtree_control');
  if ((readText(file) ?? '').trim().split(' ').includes(controller)) return true;
  try {
    fs.writeFileSync(file, `+${controller}`);
    return true;
  } catch {
    return false;
  }
}

function limitFile(controller: string, version: 1 | 2): string {
  if (controller === 'memory') return version === 1 ? 'memory.limit_in_bytes' : 'memory.max';
  return version === 1 ? 'cpu.cfs_quota_us' : 'cpu.max';
}

/** Makes the keeper's directory and a trial group in it. Null when either cannot be made or has no limit to set. */
function tryHierarchy(version: 1 | 2, controller: string, name: string): Hierarchy | null {
  const base = baseGroup(version, controller);
  if (base === null) return null;
  const parent = path.join(base, name);
  const trial = path.join(parent, 'trial');
  try {
    fs.mkdirSync(parent, { recursive: true });
    if (version === 2 && !enableForChildren(parent, controller)) throw new Error('not delegated');
    fs.mkdirSync(trial);
    fs.accessSync(path.join(trial, limitFile(controller, version)), fs.constants.W_OK);
    fs.rmdirSync(trial);
    return { version, parent };
  } catch {
    removeGroupTree(parent);
    return null;
  }
}

/** Removes a group directory and the groups in it; groups that still hold a process stay. */
export function removeGroupTree(directory: string): void {
  let names: fs.Dirent[];
  try {
    names = fs.readdirSync(directory, { withFileTypes: true });
  } catch {
    return;
  }
  for (const entry of names) {
    if (entry.isDirectory()) removeGroupTree(path.join(directory, entry.name));
  }
  try {
    fs.rmdirSync(directory);
  } catch {
    // Still in use; the sweep at the next start tries again.
  }
}

function notedGroups(listFile: string): string[] {
  return (readText(listFile) ?? '')
    .split('\n')
    .filter((directory) => /^muster-[0-9a-f]+$/.test(path.basename(directory)));
}

/** Removes the groups that an earlier keeper of this data directory noted in `listFile`. */
export function sweepGroups(listFile: string): void {
  for (const directory of notedGroups(listFile)) removeGroupTree(directory);
}

/**
 * Pids in the groups of that keeper noted in `listFile`, as this process sees them: also those that shed every other mark.
 * The list of a copied data directory names the groups of the original too; those are not touched.
 */
export function notedMembers(listFile: string, keeperId: string): number[] {
  const own = `muster-${keeperId}`;
  return notedGroups(listFile)
    .filter((directory) => path.basename(directory) === own)
    .flatMap(membersBelow);
}

function membersBelow(directory: string): number[] {
  const pids = pidsIn(directory);
  let entries: fs.Dirent[] = [];
  try {
    entries = fs.readdirSync(directory, { withFileTypes: true });
  } catch {
    // Removed meanwhile: nothing is in it.
  }
  for (const entry of entries)
    if (entry.isDirectory()) pids.push(...membersBelow(path.join(directory, entry.name)));
  return pids;
}

/** A process of another PID namespace is shown as 0. */
function pidsIn(directory: string): number[] {
  const lines = (readText(path.join(directory, 'cgroup.procs')) ?? '').split('\n');
  return lines.filter((line) => line !== '' && line !== '0').map(Number);
}

export class ControlGroups {
  readonly support: LimitSupport;
  readonly #memory: Hierarchy | null;
  readonly #cpu: Hierarchy | null;

  /**
   * Finds out what the host supports and removes what an earlier keeper left.
   *
   * @param listFile file in which the directories made are noted, for the sweep of the next start.
   */
  constructor(keeperId: string, listFile: string) {
    sweepGroups(listFile);
    const name = `muster-${keeperId}`;
    this.#memory = tryHierarchy(2, 'memory', name) ?? tryHierarchy(1, 'memory', name);
    this.#cpu = tryHierarchy(2, 'cpu', name) ?? tryHierarchy(1, 'cpu', name);
    this.support = {
      memory: this.#memory === null ? 'none' : `cgroup-v${this.#memory.version}`,
      cpu: this.#cpu === null ? 'none' : `cgroup-v${this.#cpu.version}`,
    };
    fs.writeFileSync(listFile, `${this.#parents().join('\n')}\n`, { mode: 0o600 });
  }

  /**
   * Makes the empty group of one incarnation, limits set. A limit the host cannot enforce is left out: `support` says so.
   *
   * @throws Error when the kernel refuses a limit it should support.
   */
  open(agent: string, incarnation: string, limits: AgentLimits): AgentGroup {
    const hash = createHash('sha256').update(agent).digest('hex').slice(0, 16);
    const directories = this.#parents().map((parent) => path.join(parent, `${hash}-${incarnation}`));
    const memory =
      this.#memory === null
        ? null
        : {
            directory: path.join(this.#memory.parent, `${hash}-${incarnation}`),
            version: this.#memory.version,
          };
    const group: AgentGroup = { directories, memory };
    try {
      for (const directory of directories) fs.mkdirSync(directory);
      if (memory !== null && limits.memoryBytes !== null) limitMemory(memory, limits.memoryBytes);
      if (this.#cpu !== null && limits.cpuCores !== null) {
        limitCpu(path.join(this.#cpu.parent, `${hash}-${incarnation}`), this.#cpu.version, limits.cpuCores);
      }
    } catch (error) {
      this.close(group);
      throw error;
    }
    return group;
  }

  /** Puts a process into the group; what it starts from now on is born there. */
  add(group: AgentGroup, pid: number): void {
    for (const directory of group.directories) {
      fs.writeFileSync(path.join(directory, 'cgroup.procs'), String(pid));
    }
  }

  /** Pids in the group. */
  members(group: AgentGroup): number[] {
    return [...new Set(group.directories.flatMap(pidsIn))];
  }

  /** Kills all of the group at once where the kernel can (v2); otherwise the caller kills the members. */
  kill(group: AgentGroup): void {
    for (const directory of group.directories) {
      const file = path.join(directory, 'cgroup.kill');
      if (fs.existsSync(file)) fs.writeFileSync(file, '1');
    }
  }

  /** Whether the kernel ever killed a process of the group for want of memory. */
  memoryExceeded(group: AgentGroup): boolean {
    if (group.memory === null) return false;
    const file = group.memory.version === 1 ? 'memory.oom_control' : 'memory.events';
    const text = readText(path.join(group.memory.directory, file)) ?? '';
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0) > 0;
  }

  close(group: AgentGroup): void {
    for (const directory of group.directories) removeGroupTree(directory);
  }

  /** Removes the keeper's own directories, at its orderly end. */
  closeAll(): void {
    for (const parent of this.#parents()) removeGroupTree(parent);
  }

  #parents(): string[] {
    const parents = [this.#memory, this.#cpu].flatMap((hierarchy) =>
      hierarchy === null ? [] : [hierarchy.parent],
    );
    return [...new Set(parents)];
  }
}

/** Swap is taken away with it: a limit that only moves pages to disk limits nothing. */
function limitMemory(memory: { directory: string; version: 1 | 2 }, bytes: number): void {
  const { directory, version } = memory;
  fs.writeFileSync(path.join(directory, limitFile('memory', version)), String(bytes));
  const swap = path.join(directory, version === 1 ? 'memory.memsw.limit_in_bytes' : 'memory.swap.max');
  if (fs.existsSync(swap)) fs.writeFileSync(swap, version === 1 ? String(bytes) : '0');
  const together = path.join(directory, 'memory.oom.group');
  if (version === 2 && fs.existsSync(together)) fs.writeFileSync(together, '1');
}

function limitCpu(directory: string, version: 1 | 2, cores: number): void {
  const quotaUs = Math.max(1000, Math.round(cores * CPU_PERIOD_US));
  if (version === 2) {
    fs.writeFileSync(path.join(directory, 'cpu.max'), `${quotaUs} ${CPU_PERIOD_US}`);
    return;
  }
  fs.writeFileSync(path.join(directory, 'cpu.cfs_period_us'), String(CPU_PERIOD_US));
  fs.writeFileSync(path.join(directory, 'cpu.cfs_quota_us'), String(quotaUs));
}
