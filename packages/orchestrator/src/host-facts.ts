/**
 * What this machine is and how it is doing, from /proc and the control group it runs in.
 *
 * Health score (0 to 100) is what is left after three deductions, so that an idle machine scores 100 and one that can hardly
 * take work scores near 0:
 *   load:   up to 40 points, rising from 0 at a 1-minute load of 0.7 per core to 40 at 2 per core;
 *   memory: up to 40 points, rising from 0 at 70 % in use to 40 at 98 %;
 *   disk:   up to 20 points, rising from 0 at 85 % of the data directory's file system in use to 20 at 99 %.
 */
import { readFileSync, statfsSync } from 'node:fs';
import { availableParallelism, cpus, freemem, loadavg, release, totalmem } from 'node:os';

export interface Measured {
  readonly health: number;
  readonly resources: Readonly<Record<string, unknown>>;
}

interface CpuTimes {
  readonly busy: number;
  readonly total: number;
}

export class HostMeter {
  readonly #dataDir: string;
  #last: CpuTimes = cpuTimes();
  #cpuPercent = 0;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
  }

  /** CPU use is that since the last call, which should be at least a second ago. */
  measure(): Measured {
    const times = cpuTimes();
    const elapsed = times.total - this.#last.total;
    if (elapsed > 0) this.#cpuPercent = round((100 * (times.busy - this.#last.busy)) / elapsed);
    this.#last = times;
    const memory = memoryState();
    const disk = diskState(this.#dataDir);
    const cores = availableParallelism();
    const load = loadavg()[0] ?? 0;
    const memoryPercent = round((100 * memory.used) / memory.limit);
    const diskPercent = disk === null ? null : round(100 * (1 - disk.free / disk.total));
    return {
      health: healthScore({ loadPerCore: load / cores, memoryPercent, diskPercent: diskPercent ?? 0 }),
      resources: {
        cpu_count: cores,
        cpu_usage_percent: Math.min(100, Math.max(0, this.#cpuPercent)),
        load_average: round(load),
        memory_limit: memory.limit,
        memory_used: memory.used,
        memory_percent: memoryPercent,
        ...(disk === null ? {} : { disk_total: disk.total, disk_free: disk.free, disk_percent: diskPercent }),
      },
    };
  }
}

/** See the head of this file. */
export function healthScore(state: {
  readonly loadPerCore: number;
  readonly memoryPercent: number;
  readonly diskPercent: number;
}): number {
  const share = (value: number, from: number, to: number): number =>
    Math.min(1, Math.max(0, (value - from) / (to - from)));
  const lost =
    40 * share(state.loadPerCore, 0.7, 2) +
    40 * share(state.memoryPercent, 70, 98) +
    20 * share(state.diskPercent, 85, 99);
  return Math.round(100 - lost);
}

/** Facts that do not change while the machine is up. */
export function hostConstants(): Readonly<Record<string, unknown>> {
  return {
    platform: process.platform,
    arch: process.arch,
    kernel: release(),
    node: process.versions.node,
    cpu_model: cpus()[0]?.model.trim() ?? 'unknown',
  };
}

/** Boot id of the kernel; `unknown` where there is none. */
export function bootId(): string {
  return textOf('/proc/sys/kernel/random/boot_id')?.trim() || 'unknown';
}

const round = (value: number): number => Math.round(value * 10) / 10;

function cpuTimes(): CpuTimes {
  let busy = 0;
  let total = 0;
  for (const { times } of cpus()) {
    const active = times.user + times.nice + times.sys + times.irq;
    busy += active;
    total += active + times.idle;
  }
  return { busy, total };
}

/** The tighter of the machine's memory and the control group's. */
function memoryState(): { readonly limit: number; readonly used: number } {
  const machine = totalmem();
  const used = machine - (availableMemory() ?? freemem());
  const group = groupMemory();
  return group !== null && group.limit < machine ? group : { limit: machine, used };
}

function availableMemory(): number | null {
  const match = /^MemAvailable:\s+(\d+) kB$/m.exec(textOf('/proc/meminfo') ?? '');
  return match === null ? null : Number(match[1]) * 1024;
}

function groupMemory(): { readonly limit: number; readonly used: number } | null {
  const places = [
    [
      '/sys/fs/cgroup/memory.max',
      '/sys/fs/cgroup/memory.current',
      '/sys/fs/cgroup/memory.stat',
      'inactive_file',
    ],
    [
      '/sys/fs/cgroup/memory/memory.limit_in_bytes',
      '/sys/fs/cgroup/memory/memory.usage_in_bytes',
      '/sys/fs/cgroup/memory/memory.stat',
      'total_inactive_file',
    ],
  ] as const;
  for (const [limitFile, usedFile, statFile, reclaimable] of places) {
    const limit = Number(textOf(limitFile)?.trim());
    const used = Number(textOf(usedFile)?.trim());
    if (!Number.isSafeInteger(limit) || limit <= 0 || !Number.isSafeInteger(used)) continue;
    const cached = Number(new RegExp(`^${reclaimable} (\\d+)$`, 'm').exec(textOf(statFile) ?? '')?.[1] ?? 0);
    return { limit, used: Math.max(0, used - cached) };
  }
  return null;
}

function diskState(path: string): { readonly total: number; readonly free: number } | null {
  try {
    const { bsize, blocks, bavail } = statfsSync(path);
    return blocks > 0 ? { total: bsize * blocks, free: bsize * bavail } : null;
  } catch {
    return null;
  }
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
