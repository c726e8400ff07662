/**
 * The simulated keeper of one host: the rules of the keeper protocol, with processes that are objects.
 *
 * Its record per agent (epoch run, epoch released, incarnation, note) is durable before a process starts and before a
 * release is answered. Spawn and release of one agent follow each other in order; stop acts at once. The keeper dies, its
 * agents die with it, and the next one starts only when they are dead. Replies go to the connection that asked; exits to the
 * one that said hello last.
 */
import type { AgentExit, KeeperAgent, KeeperErrorCode, KeeperRequest } from '@muster/contract';
import type { HostClock } from './clock.ts';
import type { FifoPipe } from './fifo-pipe.ts';
import type { Stream } from './random.ts';
import type { Schedule } from './schedule.ts';

export interface KeeperRecord {
  ranEpoch: number;
  releasedEpoch: number;
  sub: number;
  note: string;
}

/** One process of one agent, as the omniscient world knows it. */
export interface AgentProcess {
  readonly host: string;
  readonly agentId: string;
  readonly epoch: number;
  readonly sub: number;
  readonly pid: number;
  readonly note: string;
  readonly startedAt: number;
  readonly ignoresSigterm: boolean;
  alive: boolean;
  requested: boolean;
  killAt: number;
  whenGone: (() => void)[];
}

export type SpawnRequest = Pick<Extract<KeeperRequest, { op: 'spawn' }>, 'agent' | 'epoch' | 'note'>;
type Failure = { readonly code: KeeperErrorCode; readonly message: string };
export type Answer<T> = (result: T | Failure) => void;
export const isFailure = (value: object): value is Failure => 'code' in value && 'message' in value;

/** The daemon's end of the socket. */
export interface KeeperClient {
  readonly toKeeper: FifoPipe;
  readonly toDaemon: FifoPipe;
  open: boolean;
  onExited(agentId: string, exit: AgentExit): void;
}

export interface KeeperOptions {
  readonly host: string;
  readonly schedule: Schedule;
  readonly stream: Stream;
  readonly clock: HostClock;
  /** The durable record; outlives the keeper. */
  readonly records: Map<string, KeeperRecord>;
  readonly nextPid: () => number;
  readonly onStarted: (process: AgentProcess) => void;
  readonly onEnded: (process: AgentProcess, exit: AgentExit) => void;
  /** Probability that a process takes no notice of SIGTERM; that a spawn fails. */
  readonly ignoredSigterm: number;
  readonly failedSpawn: () => number;
  readonly count: (name: string) => void;
}

export class Keeper {
  readonly #options: KeeperOptions;
  readonly #running = new Map<string, AgentProcess>();
  readonly #lastExits = new Map<string, AgentExit>();
  readonly #lastDeaths = new Map<string, number>();
  readonly #queues = new Map<string, (() => void)[]>();
  readonly #startedAt: number;
  #client: KeeperClient | null = null;
  #alive = true;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#startedAt = options.schedule.now;
  }

  get alive(): boolean {
    return this.#alive;
  }
  get processes(): readonly AgentProcess[] {
    return [...this.#running.values()];
  }

  /** SIGKILL to the keeper: its namespace ends, and every agent with it. */
  die(): void {
    this.#alive = false;
    for (const process of this.processes) this.#end(process, { code: null, signal: 'SIGKILL' });
    this.#client = null;
  }

  hello(client: KeeperClient): KeeperAgent[] {
    this.#client = client;
    return this.#list();
  }

  spawn(request: SpawnRequest, answer: Answer<{ sub: number; pid: number }>): void {
    this.#inOrder(request.agent, (next) => {
      answer(this.#spawnNow(request));
      next();
    });
  }

  stop(agent: string, graceMs: number, answer: Answer<{ wasRunning: boolean }>): void {
    const waitsForTurn = !this.#running.has(agent) && this.#queues.has(agent);
    if (!waitsForTurn) return this.#stopNow(agent, graceMs, answer);
    this.#inOrder(agent, (next) => {
      this.#stopNow(agent, graceMs, (result) => {
        answer(result);
        next();
      });
    });
  }

  /** R8: durable first, then death, then the time in which something sent may still take effect, then the answer. */
  release(
    request: { agent: string; epoch: number; graceMs: number; inFlightMs: number },
    answer: Answer<{ epoch: number }>,
  ): void {
    const { agent, epoch, graceMs, inFlightMs } = request;
    this.#inOrder(agent, (next) => {
      const record = this.#recordOf(agent);
      record.releasedEpoch = Math.max(record.releasedEpoch, epoch);
      const running = this.#running.get(agent);
      const finish = (): void => {
        const { schedule, clock } = this.#options;
        const lastEffect = this.#lastDeaths.get(agent) ?? this.#startedAt;
        const wait = lastEffect + clock.worldDelay(inFlightMs) - schedule.now;
        this.#later(Math.max(0, wait), () => {
          answer({ epoch });
          next();
        });
      };
      if (running === undefined || running.epoch > epoch) return finish();
      running.whenGone.push(finish);
      this.#terminate(running, graceMs);
    });
  }

  /** The process ends by itself. */
  crashAgent(process: AgentProcess, code: number): void {
    if (process.alive) this.#end(process, { code, signal: null });
  }

  #list(): KeeperAgent[] {
    return [...this.#options.records].map(([agent, record]) => {
      const running = this.#running.get(agent);
      return {
        agent,
        ...record,
        running:
          running === undefined
            ? null
            : {
                pid: running.pid,
                hostPid: running.pid,
                startedUptimeMs: running.startedAt,
                stopping: running.requested,
              },
        lastExit: this.#lastExits.get(agent) ?? null,
      };
    });
  }

  #recordOf(agent: string): KeeperRecord {
    const known = this.#options.records.get(agent);
    if (known !== undefined) return known;
    const record = { ranEpoch: 0, releasedEpoch: 0, sub: 0, note: '' };
    this.#options.records.set(agent, record);
    return record;
  }

  #spawnNow(request: SpawnRequest): { sub: number; pid: number } | Failure {
    const { agent, epoch, note } = request;
    const { stream, schedule, host } = this.#options;
    const record = this.#recordOf(agent);
    const running = this.#running.get(agent);
    const refuse = (code: KeeperErrorCode, message: string): Failure => {
      this.#options.count(`keeper refused ${code}`);
      return { code, message };
    };
    if (running !== undefined)
      return refuse('already-running', `${agent} runs as ${running.epoch}.${running.sub}`);
    if (epoch <= record.releasedEpoch)
      return refuse('epoch-released', `epoch ${epoch} of ${agent} was released`);
    if (epoch < record.ranEpoch)
      return refuse('epoch-stale', `${agent} already ran epoch ${record.ranEpoch}`);
    const sub = epoch === record.ranEpoch ? record.sub + 1 : 1;
    Object.assign(record, { ranEpoch: epoch, sub, note });
    if (stream.chance(this.#options.failedSpawn()))
      return refuse('spawn-failed', 'no memory for another process');
    const process: AgentProcess = {
      host,
      agentId: agent,
      epoch,
      sub,
      pid: this.#options.nextPid(),
      note,
      startedAt: schedule.now,
      ignoresSigterm: stream.chance(this.#options.ignoredSigterm),
      alive: true,
      requested: false,
      killAt: Number.POSITIVE_INFINITY,
      whenGone: [],
    };
    this.#running.set(agent, process);
    this.#options.onStarted(process);
    return { sub, pid: process.pid };
  }

  #stopNow(agent: string, graceMs: number, answer: Answer<{ wasRunning: boolean }>): void {
    const running = this.#running.get(agent);
    if (running === undefined && !this.#options.records.has(agent)) {
      return answer({ code: 'unknown-agent', message: `the keeper never ran ${agent}` });
    }
    if (running === undefined) return answer({ wasRunning: false });
    running.whenGone.push(() => answer({ wasRunning: true }));
    this.#terminate(running, graceMs);
  }

  #terminate(process: AgentProcess, graceMs: number): void {
    const { schedule, clock, stream } = this.#options;
    const first = !process.requested;
    process.requested = true;
    const killAt = schedule.now + clock.worldDelay(graceMs);
    if (process.killAt <= killAt) return;
    process.killAt = killAt;
    if (first && !process.ignoresSigterm) {
      this.#later(stream.between(1, 400), () => {
        if (process.alive) this.#end(process, { code: 0, signal: null });
      });
    }
    this.#later(killAt - schedule.now, () => {
      if (process.alive && process.killAt === killAt) this.#end(process, { code: null, signal: 'SIGKILL' });
    });
  }

  #end(process: AgentProcess, how: { code: number | null; signal: string | null }): void {
    const { schedule, clock } = this.#options;
    process.alive = false;
    this.#running.delete(process.agentId);
    const { epoch, sub, requested } = process;
    const exit: AgentExit = {
      epoch,
      sub,
      ...how,
      at: clock.at(schedule.now).wall,
      requested,
      memoryExceeded: false,
    };
    this.#lastExits.set(process.agentId, exit);
    this.#lastDeaths.set(process.agentId, schedule.now);
    this.#options.onEnded(process, exit);
    if (!this.#alive) return;
    const client = this.#client;
    client?.toDaemon.send('exit', () => {
      if (client.open) client.onExited(process.agentId, exit);
    });
    for (const tell of process.whenGone.splice(0)) tell();
  }

  /** Actions on one agent that must not overlap. */
  #inOrder(agent: string, action: (next: () => void) => void): void {
    const next = (): void => {
      const queue = this.#queues.get(agent);
      queue?.shift();
      const following = queue?.[0];
      if (following === undefined) this.#queues.delete(agent);
      else following();
    };
    const turn = (): void => action(next);
    const queue = this.#queues.get(agent);
    if (queue === undefined) {
      this.#queues.set(agent, [turn]);
      turn();
    } else queue.push(turn);
  }

  #later(delayMs: number, action: () => void): void {
    this.#options.schedule.after(delayMs, 'keeper', () => {
      if (this.#alive) action();
    });
  }
}
