/**
 * The agents of one keeper: starting them at most once, ending them wholly, and telling how they ended.
 *
 * Invariants. An agent counts as running until nothing of its tree is alive: the process group, whatever left the group,
 * and the members of its control group. The record is on disk before a process starts and before a release is answered.
 * Spawn, release and forget of one agent follow each other in order; stop acts at once, so that it can cut short the
 * grace of an earlier stop. Time is the boot clock (`os.uptime`), which goes on while the machine sleeps; timers only
 * wake us up.
 */
import type { ChildProcess } from 'node:child_process';
import * as os from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentExit, KeeperAgent, KeeperErrorCode, KeeperRequest, KeeperResult } from '@muster/contract';
import { startAgentProcess, startError } from './agent-process.ts';
import type { AgentGroup, ControlGroups } from './control-groups.ts';
import { launchProblem, plainSpawnError } from './launch-problem.ts';
import { AGENT_MARK, carriesMarks, findProcesses, signalQuietly } from './process-table.ts';
import { type AgentRecord, type RecordLog, RecordWriteError } from './record.ts';

type Request<Op extends KeeperRequest['op']> = Extract<KeeperRequest, { op: Op }>;
type Result<Op extends KeeperResult['op']> = Extract<KeeperResult, { op: Op }>;

/** A request that is answered with an error and changed nothing. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly code: KeeperErrorCode;

  constructor(code: KeeperErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

export interface SupervisorOptions {
  readonly keeperId: string;
  readonly records: RecordLog;
  readonly groups: ControlGroups;
  /** Program and arguments put before every agent command; empty: none. */
  readonly wrapper: readonly string[];
  /** Whether pids here are those of the host. */
  readonly pidsAreHostPids: boolean;
  readonly onExit: (agent: string, exit: AgentExit) => void;
}

interface Running {
  readonly epoch: number;
  readonly sub: number;
  readonly pid: number;
  readonly group: AgentGroup;
  readonly startedUptimeMs: number;
  /** Resolves when nothing of the tree is alive. */
  readonly gone: Promise<void>;
  deadlineUptimeMs: number | null;
  killAtUptimeMs: number | null;
  requested: boolean;
  /** The main process has been reaped: its pid names a group at most. */
  mainEnded: boolean;
}

const TICK_MS = 250;

/** Boot clock, ms. */
export function uptimeMs(): number {
  return Math.round(os.uptime() * 1000);
}

/** Returns when the boot clock has reached `untilUptimeMs`. */
async function waitUntil(untilUptimeMs: number): Promise<void> {
  for (let left = untilUptimeMs - uptimeMs(); left > 0; left = untilUptimeMs - uptimeMs()) {
    await delay(Math.min(left, 1000));
  }
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #running = new Map<string, Running>();
  readonly #lastExits = new Map<string, AgentExit>();
  /** When the last process of an agent was seen dead; before that, the start of this keeper bounds it. */
  readonly #lastDeathsUptimeMs = new Map<string, number>();
  readonly #queues = new Map<string, Promise<unknown>>();
  readonly #startedUptimeMs = uptimeMs();
  readonly #ticker: NodeJS.Timeout;
  #shuttingDown = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#ticker = setInterval(() => this.#enforceDeadlines(), TICK_MS);
  }

  /** Starts an agent process, at most one per agent. Errors: see `KeeperErrorCode`. */
  spawn(request: Request<'spawn'>): Promise<Result<'spawn'>> {
    return this.#inOrder(request.agent, () => this.#spawnNow(request));
  }

  /** Ends the running process and waits until its tree is dead. A spawn asked for before is waited for and ended. */
  async stop(request: Request<'stop'>): Promise<Result<'stop'>> {
    const waitsForTurn = !this.#running.has(request.agent) && this.#queues.has(request.agent);
    if (waitsForTurn) return this.#inOrder(request.agent, () => this.#stopNow(request));
    return this.#stopNow(request);
  }

  async #stopNow(request: Request<'stop'>): Promise<Result<'stop'>> {
    const running = this.#running.get(request.agent);
    if (running === undefined && this.#options.records.get(request.agent) === undefined) {
      throw new RequestError('unknown-agent', `The keeper never ran an agent ${request.agent}.`);
    }
    if (running !== undefined) {
      const deadline = request.deadlineUptimeMs ?? null;
      if (deadline !== null)
        running.deadlineUptimeMs = Math.min(running.deadlineUptimeMs ?? deadline, deadline);
      this.#terminate(running, request.graceMs, request.agent);
      await running.gone;
    }
    return { op: 'stop', agent: request.agent, wasRunning: running !== undefined };
  }

  /** R8: after the reply nothing of the agent up to that epoch runs, ever. */
  release(request: Request<'release'>): Promise<Result<'release'>> {
    return this.#inOrder(request.agent, async () => {
      const { agent, epoch } = request;
      const known = this.#recordOf(agent);
      if (known.releasedEpoch < epoch) this.#store({ ...known, releasedEpoch: epoch });
      const running = this.#running.get(agent);
      if (running !== undefined && running.epoch <= epoch) {
        this.#terminate(running, request.graceMs, agent);
        await running.gone;
      }
      const lastEffectMs = this.#lastDeathsUptimeMs.get(agent) ?? this.#startedUptimeMs;
      await waitUntil(lastEffectMs + request.inFlightMs);
      return { op: 'release', agent, epoch, releasedEpoch: this.#recordOf(agent).releasedEpoch };
    });
  }

  list(): KeeperAgent[] {
    return this.#options.records.all().map((record) => {
      const running = this.#running.get(record.agent);
      return {
        ...record,
        running:
          running === undefined
            ? null
            : {
                pid: running.pid,
                hostPid: this.#hostPid(running.pid),
                startedUptimeMs: running.startedUptimeMs,
                stopping: running.requested,
              },
        lastExit: this.#lastExits.get(record.agent) ?? null,
      };
    });
  }

  forget(request: Request<'forget'>): Promise<Result<'forget'>> {
    return this.#inOrder(request.agent, async () => {
      const record = this.#options.records.get(request.agent);
      if (record === undefined) {
        throw new RequestError('unknown-agent', `The keeper never ran an agent ${request.agent}.`);
      }
      if (this.#running.has(request.agent) || record.ranEpoch > record.releasedEpoch) {
        throw new RequestError(
          'bad-request',
          `Epoch ${record.ranEpoch} of ${request.agent} is not released yet.`,
        );
      }
      this.#lastExits.delete(request.agent);
      return { op: 'forget', agent: request.agent };
    });
  }

  /** Refuses spawns from now on, ends all agents and waits until their trees are dead. */
  async shutdown(graceMs: number): Promise<void> {
    this.#shuttingDown = true;
    await Promise.all(
      [...this.#running].map(([agent, running]) => {
        this.#terminate(running, graceMs, agent);
        return running.gone;
      }),
    );
    clearInterval(this.#ticker);
  }

  async #inOrder<T>(agent: string, action: () => Promise<T>): Promise<T> {
    const previous = this.#queues.get(agent) ?? Promise.resolve();
    const turn = previous.then(action, action);
    this.#queues.set(agent, turn);
    try {
      return await turn;
    } finally {
      if (this.#queues.get(agent) === turn) this.#queues.delete(agent);
    }
  }

  #recordOf(agent: string): AgentRecord {
    return this.#options.records.get(agent) ?? { agent, ranEpoch: 0, releasedEpoch: 0, sub: 0, note: '' };
  }

  #store(record: AgentRecord): void {
    try {
      this.#options.records.put(record);
    } catch (error) {
      if (error instanceof RecordWriteError) throw new RequestError('store-failed', error.message);
      throw error;
    }
  }

  #hostPid(pid: number): number | null {
    return this.#options.pidsAreHostPids ? pid : null;
  }

  async #spawnNow(request: Request<'spawn'>): Promise<Result<'spawn'>> {
    const { agent, epoch } = request;
    const known = this.#recordOf(agent);
    this.#refuseSpawn(request, known);
    const problem = launchProblem(request);
    if (problem !== null) throw new RequestError('spawn-failed', problem);
    const sub = epoch === known.ranEpoch ? known.sub + 1 : 1;
    this.#store({ agent, ranEpoch: epoch, releasedEpoch: known.releasedEpoch, sub, note: request.note });
    const running = await this.#start(request, sub);
    return { op: 'spawn', agent, epoch, sub, pid: running.pid, hostPid: this.#hostPid(running.pid) };
  }

  #refuseSpawn(request: Request<'spawn'>, known: AgentRecord): void {
    const { agent, epoch } = request;
    if (this.#shuttingDown)
      throw new RequestError('shutting-down', 'The keeper is ending; nothing is started.');
    const running = this.#running.get(agent);
    if (running !== undefined) {
      const which = `${running.epoch}.${running.sub} (process ${running.pid})`;
      throw new RequestError('already-running', `Agent ${agent} still has a live process of epoch ${which}.`);
    }
    if (epoch <= known.releasedEpoch) {
      const message = `Epoch ${epoch} of ${agent} was released here (up to ${known.releasedEpoch}); it never runs again.`;
      throw new RequestError('epoch-released', message);
    }
    if (epoch < known.ranEpoch) {
      throw new RequestError(
        'epoch-stale',
        `Agent ${agent} already ran epoch ${known.ranEpoch}; ${epoch} is older.`,
      );
    }
    if (request.deadlineUptimeMs !== null && request.deadlineUptimeMs <= uptimeMs()) {
      throw new RequestError('spawn-failed', `The lease of ${agent} ended before it could be started.`);
    }
  }

  async #start(request: Request<'spawn'>, sub: number): Promise<Running> {
    const { keeperId, groups, wrapper } = this.#options;
    const incarnation = `${request.epoch}.${sub}`;
    let group: AgentGroup | null = null;
    try {
      group = groups.open(request.agent, incarnation, request.limits);
      const child = startAgentProcess(request, incarnation, keeperId, wrapper);
      if (child.pid === undefined) throw await startError(child);
      return this.#adopt(request, sub, child, child.pid, group);
    } catch (error) {
      if (group !== null) groups.close(group);
      throw new RequestError('spawn-failed', plainSpawnError(request, error));
    }
  }

  /** Takes a process that was just started into the books. Synchronous up to here, so its exit cannot be missed. */
  #adopt(
    request: Request<'spawn'>,
    sub: number,
    child: ChildProcess,
    pid: number,
    group: AgentGroup,
  ): Running {
    const { agent, epoch } = request;
    let unconfined: Error | null = null;
    try {
      this.#options.groups.add(group, pid);
    } catch (error) {
      unconfined = error as Error;
    }
    const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal }));
    });
    const running: Running = {
      epoch,
      sub,
      pid,
      group,
      startedUptimeMs: uptimeMs(),
      gone: ended.then((end) => this.#buryTree(agent, end)),
      deadlineUptimeMs: request.deadlineUptimeMs,
      killAtUptimeMs: null,
      requested: false,
      mainEnded: false,
    };
    this.#running.set(agent, running);
    child.on('error', () => {
      // A signal that could not be delivered: the process is gone, and 'exit' says so.
    });
    const limited = request.limits.memoryBytes !== null || request.limits.cpuCores !== null;
    if (unconfined !== null && limited && !isProcessGone(unconfined)) {
      this.#terminate(running, 0, agent);
      throw new Error(`its limits cannot be enforced: ${unconfined.message}`);
    }
    return running;
  }

  /** After the main process: ends what it left behind, then closes the books. */
  async #buryTree(agent: string, end: { code: number | null; signal: string | null }): Promise<void> {
    const running = this.#running.get(agent);
    if (running === undefined) throw new Error(`agent ${agent} ended without having been started`);
    running.mainEnded = true;
    for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 2, 200)) {
      const left = this.#survivors(agent, running);
      if (left.length === 0) break;
      for (const pid of left) signalQuietly(pid, 'SIGKILL');
      await delay(pauseMs);
    }
    const exit: AgentExit = {
      epoch: running.epoch,
      sub: running.sub,
      code: end.code,
      signal: end.signal,
      at: Date.now(),
      requested: running.requested,
      memoryExceeded: this.#options.groups.memoryExceeded(running.group),
    };
    this.#options.groups.close(running.group);
    this.#running.delete(agent);
    this.#lastExits.set(agent, exit);
    this.#lastDeathsUptimeMs.set(agent, uptimeMs());
    this.#options.onExit(agent, exit);
  }

  /** Pids of the tree that can still act: same session, same control group, or the agent's marks in the environment. */
  #survivors(agent: string, running: Running): number[] {
    const members = new Set(this.#options.groups.members(running.group));
    const marks = [`${AGENT_MARK}=${this.#options.keeperId}`, `MUSTER_AGENT=${agent}`];
    return findProcesses(
      (stat) => stat.session === running.pid || members.has(stat.pid) || carriesMarks(stat.pid, marks),
    ).map((stat) => stat.pid);
  }

  #terminate(running: Running, graceMs: number, agent: string): void {
    const first = !running.requested;
    running.requested = true;
    const killAtUptimeMs = uptimeMs() + graceMs;
    if (running.killAtUptimeMs !== null && running.killAtUptimeMs <= killAtUptimeMs) return;
    running.killAtUptimeMs = killAtUptimeMs;
    if (graceMs <= 0) {
      this.#killTree(agent, running);
      return;
    }
    if (first && !running.mainEnded) signalQuietly(-running.pid, 'SIGTERM');
    void this.#killAfterGrace(agent, running, killAtUptimeMs);
  }

  async #killAfterGrace(agent: string, running: Running, killAtUptimeMs: number): Promise<void> {
    while (this.#running.get(agent) === running && running.killAtUptimeMs === killAtUptimeMs) {
      const leftMs = killAtUptimeMs - uptimeMs();
      if (leftMs <= 0) {
        this.#killTree(agent, running);
        return;
      }
      await Promise.race([running.gone, delay(Math.min(leftMs, 1000))]);
    }
  }

  /** SIGKILL to all of the tree. Once the main process is reaped, `#buryTree` goes on until nothing is left. */
  #killTree(agent: string, running: Running): void {
    if (this.#running.get(agent) !== running || running.mainEnded) return;
    signalQuietly(-running.pid, 'SIGKILL');
    this.#options.groups.kill(running.group);
    for (const pid of this.#survivors(agent, running)) signalQuietly(pid, 'SIGKILL');
  }

  #enforceDeadlines(): void {
    const now = uptimeMs();
    for (const [agent, running] of this.#running) {
      if (running.deadlineUptimeMs === null || now < running.deadlineUptimeMs) continue;
      running.requested = true;
      this.#killTree(agent, running);
    }
  }
}

function isProcessGone(error: Error): boolean {
  return (error as NodeJS.ErrnoException).code === 'ESRCH';
}
