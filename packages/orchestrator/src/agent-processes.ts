/**
 * The processes of agents, seen from the daemon: starting and stopping through the keeper, and the socket of each.
 *
 * Holds which incarnation the keeper runs now, because only that one may speak on its agent's socket. An exit that arrives
 * while the answer to its own spawn is still being handled is told after it: otherwise a process that dies at once would be
 * taken for running for ever. Where the keeper's answer leaves doubt, its list is asked for and replaces what was believed.
 */
import { setTimeout as delay } from 'node:timers/promises';
import {
  type AgentExit,
  type AgentSpec,
  agentEnvironment,
  type KeeperAgent,
  type KeeperErrorCode,
} from '@muster/contract';
import type { OrchestratorInput } from '@muster/core/orchestrator';
import type { Logger } from '@muster/runtime';
import type { AgentCatalogue } from './agent-catalogue.ts';
import type { AgentPlaces } from './agent-places.ts';
import {
  type AgentEvents,
  AgentSocket,
  type AgentWelcome,
  type Incarnation,
} from './agent-socket/agent-socket.ts';
import { type KeeperClient, KeeperError } from './keeper/index.ts';
import type { KeeperSupervision } from './keeper-supervision.ts';

/** How often agents send health and metrics, ms. */
const REPORT_INTERVAL_MS = 5_000;
const MESSAGE_MAX = 900;
/** Between two questions to a keeper that does not answer, ms. */
const RESYNC_PAUSE_MS = 1_000;
/** What an agent process is given of the daemon's environment, besides its own variables and Node's compile cache. */
const passedOn = ['PATH', 'HOME', 'LANG', 'TZ', 'MUSTER_MARKET_DATA', 'NODE_EXTRA_CA_CERTS'] as const;
/** Share of an agent's memory limit that its JavaScript heap may take; the rest is for code, buffers and stacks. */
const HEAP_SHARE = 0.6;
const HEAP_LEAST_MEBIBYTES = 48;

export interface ProcessOptions {
  readonly catalogue: AgentCatalogue;
  readonly places: AgentPlaces;
  readonly keeper: () => KeeperSupervision;
  readonly submit: (input: OrchestratorInput) => void;
  /** The order an agent runs by; null: none known. */
  readonly specOf: (agentId: string) => AgentSpec | null;
  readonly events: Omit<AgentEvents, 'current'>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  /** Before a new process of the agent starts. */
  readonly onStarting: (agentId: string) => Promise<void>;
}

interface Running extends Incarnation {
  readonly spec: AgentSpec | null;
}

type SpawnEffect = {
  readonly agentId: string;
  readonly epoch: number;
  readonly spec: AgentSpec;
  readonly note: string;
};

export class AgentProcesses {
  readonly #options: ProcessOptions;
  readonly #running = new Map<string, Running>();
  readonly #spawning = new Map<string, Promise<void>>();
  readonly #sockets = new Map<string, Promise<AgentSocket>>();
  readonly #open = new Map<string, AgentSocket>();
  /** The last incarnation of each agent whose end was told; no list that is older than that brings it back. */
  readonly #over = new Map<string, Incarnation>();
  #resyncing: Promise<void> | null = null;

  constructor(options: ProcessOptions) {
    this.#options = options;
  }

  /** The agent's socket when it is open; commands and stop requests go over it. */
  socketOf(agentId: string): AgentSocket | null {
    return this.#open.get(agentId) ?? null;
  }
  get runningIds(): readonly string[] {
    return [...this.#running.keys()];
  }

  /** What the keeper runs, after a start or when in doubt. */
  keeperUp(agents: readonly KeeperAgent[]): void {
    this.#running.clear();
    for (const { agent, ranEpoch, sub, running } of agents) {
      const over = this.#over.get(agent);
      if (running === null || (over?.epoch === ranEpoch && over.sub === sub)) continue;
      this.#running.set(agent, { epoch: ranEpoch, sub, spec: this.#options.specOf(agent) });
      this.#options.places.prepare(agent);
      this.#listen(agent).catch((error: unknown) => this.#socketProblem(agent, error));
    }
    this.#options.submit({ kind: 'keeperUp', agents });
  }

  keeperDown(): void {
    this.#running.clear();
    this.#options.submit({ kind: 'keeperDown' });
  }

  exited(agentId: string, exit: AgentExit): void {
    const tell = (): void => {
      const running = this.#running.get(agentId);
      if (running?.epoch === exit.epoch && running.sub === exit.sub) this.#running.delete(agentId);
      this.#over.set(agentId, { epoch: exit.epoch, sub: exit.sub });
      this.#options.submit({ kind: 'exited', agentId, exit });
    };
    const spawning = this.#spawning.get(agentId);
    if (spawning === undefined) tell();
    else void spawning.then(tell);
  }

  /** Who may speak on the agent's socket. */
  async current(agentId: string): Promise<AgentWelcome | null | 'unknown'> {
    await this.#spawning.get(agentId);
    const running = this.#running.get(agentId);
    if (running === undefined) return null;
    const spec = running.spec ?? this.#options.specOf(agentId);
    if (spec === null) return 'unknown';
    const defaults = this.#options.catalogue.recipeOf(spec.type)?.defaults ?? {};
    return {
      epoch: running.epoch,
      sub: running.sub,
      agentType: spec.type,
      config: { ...defaults, ...spec.config },
    };
  }

  spawn(effect: SpawnEffect): void {
    const done = this.#spawn(effect).finally(() => {
      if (this.#spawning.get(effect.agentId) === done) this.#spawning.delete(effect.agentId);
    });
    this.#spawning.set(effect.agentId, done);
  }

  async stop(agentId: string, graceMs: number, reason: string): Promise<void> {
    await this.#ask(agentId, 'stop', async (keeper) => {
      this.socketOf(agentId)?.stop(graceMs, reason);
      const { wasRunning } = await keeper.stop({ agent: agentId, graceMs });
      this.#options.submit({ kind: 'stopAnswered', agentId, wasRunning });
    });
  }

  async release(agentId: string, epoch: number, graceMs: number, inFlightMs: number): Promise<void> {
    const keeper = this.#options.keeper().client;
    if (keeper === null) return;
    try {
      this.socketOf(agentId)?.stop(graceMs, 'the placement ends');
      await keeper.release({ agent: agentId, epoch, graceMs, inFlightMs });
      const running = this.#running.get(agentId);
      if (running !== undefined && running.epoch <= epoch) this.#running.delete(agentId);
      // The answer proves the epoch that was asked about. A higher released one may be no more than a guard so far.
      this.#options.submit({ kind: 'released', agentId, epoch });
    } catch (error) {
      if (isLost(error)) return;
      this.#options.submit({
        kind: 'releaseFailed',
        agentId,
        epoch,
        message: (error as Error).message.slice(0, MESSAGE_MAX),
      });
    }
  }

  /** The agent is gone for good: its socket and what the keeper remembers of its exits. */
  async forget(agentId: string): Promise<void> {
    const socket = this.#sockets.get(agentId);
    this.#sockets.delete(agentId);
    this.#open.delete(agentId);
    this.#over.delete(agentId);
    await socket?.then((each) => each.close());
    await this.#options
      .keeper()
      .client?.forget(agentId)
      .catch(() => undefined);
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#spawning.values()]);
    const sockets = await Promise.allSettled([...this.#sockets.values()]);
    await Promise.all(sockets.flatMap((each) => (each.status === 'fulfilled' ? [each.value.close()] : [])));
    this.#sockets.clear();
    this.#open.clear();
  }

  async #spawn({ agentId, epoch, spec, note }: SpawnEffect): Promise<void> {
    const { catalogue, places, submit, onStarting } = this.#options;
    const fail = (code: KeeperErrorCode | 'unknown-type', message: string): void =>
      submit({ kind: 'spawnFailed', agentId, epoch, code, message: message.slice(0, MESSAGE_MAX) });
    const found = catalogue.find(spec.type, spec.typeVersion);
    if (!found.ok) return fail('unknown-type', found.message);
    const keeper = this.#options.keeper().client;
    if (keeper === null) return;
    try {
      await onStarting(agentId);
      const place = places.prepare(agentId);
      await this.#listen(agentId);
      const spawned = await keeper.spawn({
        agent: agentId,
        epoch,
        command: process.execPath,
        args: [...nodeFlags(spec.resources.memoryBytes), found.entryPath],
        env: this.#environment(agentId, place.socketPath, place.stateDir),
        cwd: place.directory,
        stdoutPath: place.stdoutPath,
        stderrPath: place.stderrPath,
        limits: { memoryBytes: spec.resources.memoryBytes || null, cpuCores: null },
        deadlineUptimeMs: null,
        note,
      });
      this.#running.set(agentId, { epoch, sub: spawned.sub, spec });
      submit({
        kind: 'spawned',
        agentId,
        epoch,
        sub: spawned.sub,
        pid: spawned.pid,
        hostPid: spawned.hostPid,
      });
    } catch (error) {
      if (isLost(error)) return;
      const code = error instanceof KeeperError ? error.code : 'spawn-failed';
      if (code === 'already-running' || code === 'timeout') return this.#resync(keeper);
      fail(
        code === 'start-failed' || code === 'keeper-lost' ? 'spawn-failed' : code,
        (error as Error).message,
      );
    }
  }

  async #ask(agentId: string, what: string, action: (keeper: KeeperClient) => Promise<void>): Promise<void> {
    const keeper = this.#options.keeper().client;
    if (keeper === null) return;
    try {
      await action(keeper);
    } catch (error) {
      if (isLost(error)) return;
      this.#options.log.error(
        { fields: { agentId, reason: (error as Error).message } },
        `the keeper could not ${what}`,
      );
      await this.#resync(keeper);
    }
  }

  /** Goes on until the keeper has answered or is given up: the machine waits for this and would wait for ever. */
  #resync(keeper: KeeperClient): Promise<void> {
    this.#resyncing ??= this.#listUntilAnswered(keeper).finally(() => {
      this.#resyncing = null;
    });
    return this.#resyncing;
  }

  async #listUntilAnswered(keeper: KeeperClient): Promise<void> {
    while (this.#options.keeper().client === keeper) {
      try {
        const agents = await keeper.list();
        if (this.#options.keeper().client === keeper) this.keeperUp(agents);
        return;
      } catch (error) {
        if (isLost(error)) return;
        const fields = { reason: (error as Error).message };
        this.#options.log.error({ fields }, 'the keeper does not answer; asking again');
        await delay(RESYNC_PAUSE_MS);
      }
    }
  }

  #listen(agentId: string): Promise<AgentSocket> {
    let socket = this.#sockets.get(agentId);
    if (socket === undefined) {
      const events: AgentEvents = { ...this.#options.events, current: (id) => this.current(id) };
      const made = new AgentSocket(
        agentId,
        this.#options.places.of(agentId).socketPath,
        events,
        REPORT_INTERVAL_MS,
      );
      socket = made.listen().then(() => {
        this.#open.set(agentId, made);
        return made;
      });
      this.#sockets.set(agentId, socket);
      socket.catch(() => this.#sockets.delete(agentId));
    }
    return socket;
  }

  #socketProblem(agentId: string, error: unknown): void {
    this.#options.log.error(
      { fields: { agentId, reason: (error as Error).message } },
      'the socket of an agent could not be opened',
    );
  }

  #environment(agentId: string, socketPath: string, stateDir: string): Record<string, string> {
    const environment: Record<string, string> = {};
    for (const name of passedOn) {
      const value = this.#options.environment[name];
      if (value !== undefined) environment[name] = value;
    }
    environment[agentEnvironment.socket] = socketPath;
    environment[agentEnvironment.agentId] = agentId;
    environment[agentEnvironment.stateDir] = stateDir;
    environment['NODE_COMPILE_CACHE'] = this.#options.places.compileCache;
    return environment;
  }
}

/** Flags for an agent's Node, so that the garbage collector knows of the limit before the kernel enforces it. */
function nodeFlags(memoryBytes: number): string[] {
  const heap = Math.max(HEAP_LEAST_MEBIBYTES, Math.floor((memoryBytes / 1_048_576) * HEAP_SHARE));
  return [
    '--disable-warning=ExperimentalWarning',
    ...(memoryBytes > 0 ? [`--max-old-space-size=${heap}`] : []),
  ];
}

const isLost = (error: unknown): boolean => error instanceof KeeperError && error.code === 'keeper-lost';
