/**
 * The keeper protocol: what the orchestrator daemon and its keeper say to each other.
 *
 * The keeper is the parent of every agent process of one orchestrator and outlives daemon restarts. It is started once,
 * keeps a durable record per agent and is the last local guard of "never twice": it spawns only when no process of that
 * agent is alive, the epoch is not below the highest it ever ran, and the epoch was not released.
 *
 * Transport: a Unix stream socket in the orchestrator's data directory, one JSON object per line. Types only, without
 * schemas: the keeper loads no library, and both ends ship in one package. Versioned because they may be of different
 * releases during an upgrade.
 */
export const KEEPER_PROTOCOL_VERSION = 1;

/** How surely the keeper can end an agent and everything it started (specs of the lease protocol). */
export type KillStrength = 'K1' | 'K2' | 'K3';

/** What the daemon asks for. Every request is answered by exactly one `reply` with the same id. */
export type KeeperRequest =
  | { op: 'hello'; id: number; v: number }
  | {
      op: 'spawn';
      id: number;
      agent: string;
      epoch: number;
      /** Executable and arguments; never a shell. */
      command: string;
      args: readonly string[];
      env: Readonly<Record<string, string>>;
      cwd: string;
      /** Files that stdout and stderr are appended to. */
      stdoutPath: string;
      stderrPath: string;
      limits: AgentLimits;
      /** Boot-clock deadline of the lease in ms (`os.uptime() * 1000`); null: no lease. The keeper kills at it. */
      deadlineUptimeMs: number | null;
      /** Opaque word of the daemon kept in the durable record (which restart request this spawn satisfies). */
      note: string;
    }
  /**
   * Graceful stop of the running process: SIGTERM to its group, SIGKILL after `graceMs`. Does not release the epoch.
   * A later stop may shorten the grace of an earlier one, never lengthen it; a deadline may only be brought forward.
   */
  | { op: 'stop'; id: number; agent: string; graceMs: number; deadlineUptimeMs?: number | null }
  /**
   * Challenged stop (R8): make sure nothing of `agent` up to `epoch` runs or ever runs again. Durably sets
   * `released = max(released, epoch)` first, so that no spawn can slip in, kills the tree, waits until it is dead and
   * `inFlightMs` more, then replies. Only this reply proves the release: `releasedEpoch` in a list is a guard that may be
   * set while the tree is still dying.
   */
  | { op: 'release'; id: number; agent: string; epoch: number; graceMs: number; inFlightMs: number }
  | { op: 'list'; id: number }
  /** Forget an agent whose epoch is released: its durable record stays (epochs are never reused), its exit history goes. */
  | { op: 'forget'; id: number; agent: string }
  /** End all agents, then the keeper itself. */
  | { op: 'shutdown'; id: number; graceMs: number };

export interface AgentLimits {
  /** Bytes of memory the process tree may use; null: unlimited. */
  readonly memoryBytes: number | null;
  /** Cores (may be fractional); null: unlimited. */
  readonly cpuCores: number | null;
}

export type KeeperErrorCode =
  | 'already-running'
  | 'epoch-stale'
  | 'epoch-released'
  | 'spawn-failed'
  | 'unknown-agent'
  | 'bad-request'
  | 'version'
  | 'shutting-down'
  | 'store-failed';

export interface KeeperAgent {
  readonly agent: string;
  /** Highest epoch ever spawned here; 0: none. */
  readonly ranEpoch: number;
  /** Highest epoch released here; 0: none. */
  readonly releasedEpoch: number;
  /** Local incarnation of `ranEpoch`. */
  readonly sub: number;
  readonly note: string;
  /** The live process, if any. */
  readonly running: {
    /** Pid as the keeper sees it (inside its namespace). */
    readonly pid: number;
    /** Pid as the host sees it; equal to `pid` without a namespace. Null until it could be resolved. */
    readonly hostPid: number | null;
    readonly startedUptimeMs: number;
    readonly stopping: boolean;
  } | null;
  /** How the last process of this agent ended, as far as this keeper knows. */
  readonly lastExit: AgentExit | null;
}

export interface AgentExit {
  readonly epoch: number;
  readonly sub: number;
  readonly code: number | null;
  readonly signal: string | null;
  /** Wall clock, ms. For display. */
  readonly at: number;
  /** The keeper or daemon asked for this end. */
  readonly requested: boolean;
  /** The kernel killed a process of the agent because its memory limit was reached. */
  readonly memoryExceeded: boolean;
}

/** Which limits this host can really enforce on an agent. */
export interface LimitSupport {
  readonly memory: 'cgroup-v1' | 'cgroup-v2' | 'none';
  readonly cpu: 'cgroup-v1' | 'cgroup-v2' | 'none';
}

export type KeeperReply =
  | { id: number; ok: true; result: KeeperResult }
  | { id: number; ok: false; code: KeeperErrorCode; message: string };

export type KeeperResult =
  | {
      op: 'hello';
      v: number;
      /** Stable per data directory. Every process of it carries `MUSTER_KEEPER=<keeperId>`. */
      keeperId: string;
      /** Random word of this keeper process: a different one means that every earlier agent process is dead. */
      incarnation: string;
      /** Inode link of the PID namespace that the pids in this protocol belong to (`pid:[4026531836]`). */
      pidNamespace: string;
      /** Pid of the keeper as the host sees it. */
      pid: number;
      killStrength: KillStrength;
      limits: LimitSupport;
      agents: readonly KeeperAgent[];
    }
  | { op: 'spawn'; agent: string; epoch: number; sub: number; pid: number; hostPid: number | null }
  | { op: 'stop'; agent: string; wasRunning: boolean }
  | { op: 'release'; agent: string; epoch: number; releasedEpoch: number }
  | { op: 'list'; agents: readonly KeeperAgent[] }
  | { op: 'forget'; agent: string }
  | { op: 'shutdown' };

/** Sent without being asked, to the connection that said hello last. Missed ones are found as `lastExit` in hello. */
export type KeeperEvent = { event: 'exited'; agent: string; exit: AgentExit };
export type KeeperMessage = KeeperReply | KeeperEvent;
