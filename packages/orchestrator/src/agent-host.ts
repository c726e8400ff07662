/**
 * Everything around the agents of this machine, wired: keeper, processes, sockets, state, logs, and what the link brings.
 */
import { rmSync } from 'node:fs';
import type { KeeperAgent, ManagerFrame } from '@muster/contract';
import type {
  LocalResult,
  OrchestratorEffect,
  OrchestratorInput,
  OrchestratorMachine,
} from '@muster/core/orchestrator';
import type {
  DataDirectory,
  EffectHandlers,
  Environment,
  Logger,
  Metrics,
  SigningKey,
} from '@muster/runtime';
import type { AgentCatalogue } from './agent-catalogue.ts';
import { AgentPlaces } from './agent-places.ts';
import { AgentProcesses } from './agent-processes.ts';
import type { Incarnation } from './agent-socket/agent-socket.ts';
import { AgentStates } from './agent-state/agent-states.ts';
import { BlobFetcher } from './blob-fetcher.ts';
import { Calls } from './calls.ts';
import type { OrchestratorConfig } from './config.ts';
import { effectHandlers } from './effects.ts';
import type { KeeperOptions } from './keeper/index.ts';
import { KeeperSupervision } from './keeper-supervision.ts';
import { AgentLogs } from './logs/agent-logs.ts';
import type { Uplink, UplinkEvents } from './uplink/uplink.ts';

const STATE_SIZE_INTERVAL_MS = 60_000;

export interface AgentHostOptions {
  readonly config: OrchestratorConfig;
  readonly directory: DataDirectory;
  readonly machine: OrchestratorMachine;
  readonly catalogue: AgentCatalogue;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly key: SigningKey;
  readonly environment: Environment;
  readonly isolation: NonNullable<KeeperOptions['isolation']>;
  readonly submit: (input: OrchestratorInput) => void;
  readonly uplink: () => Uplink;
  readonly replied: (request: string, result: LocalResult) => void;
}

export class AgentHost {
  readonly keeper: KeeperSupervision;
  readonly processes: AgentProcesses;
  readonly states: AgentStates;
  readonly logs: AgentLogs;
  readonly effects: EffectHandlers<OrchestratorEffect>;
  readonly uplinkEvents: UplinkEvents;
  onKeeperUp: () => void = () => undefined;
  readonly #options: AgentHostOptions;
  readonly #calls: Calls;
  readonly #blobs: BlobFetcher;
  readonly #refusedLines;
  readonly #stateSizes: NodeJS.Timeout;
  /** Last health said of each incarnation, so that repeated words cost nothing. */
  readonly #said = new Map<string, string>();

  constructor(options: AgentHostOptions) {
    this.#options = options;
    const { directory, catalogue, log, machine, submit, key } = options;
    const send = (frame: Parameters<Uplink['send']>[0]): boolean => options.uplink().send(frame);
    const places = new AgentPlaces(directory.path);
    this.#refusedLines = options.metrics.counter(
      'muster_agent_refused_total',
      'Connections and lines of agents that were refused.',
    );
    this.states = new AgentStates(places);
    this.logs = new AgentLogs(places, (agentId, reason) =>
      log.error({ fields: { agentId, reason } }, 'the output of an agent cannot be rotated'),
    );
    this.#blobs = new BlobFetcher(send);
    this.keeper = new KeeperSupervision({ dataDir: directory.path, isolation: options.isolation }, log, {
      up: (_client, agents) => this.#keeperUp(agents),
      down: () => this.processes.keeperDown(),
      exited: (agentId, exit) => this.processes.exited(agentId, exit),
    });
    this.processes = new AgentProcesses({
      catalogue,
      places,
      keeper: () => this.keeper,
      submit,
      specOf: (agentId) => machine.entryOf(agentId)?.spec ?? null,
      events: this.#agentEvents(),
      environment: options.environment,
      log,
      onStarting: (agentId) => this.states.starting(agentId),
    });
    this.#calls = new Calls({
      send,
      isKnown: (agentId) => machine.agents.has(agentId),
      socketOf: (agentId) => this.processes.socketOf(agentId),
      logs: this.logs,
      states: this.states,
      ping: () => ({ at: Date.now(), agents: this.processes.runningIds.length, keeper: machine.keeperUp }),
    });
    this.effects = effectHandlers({
      processes: this.processes,
      states: this.states,
      logs: this.logs,
      blobs: this.#blobs,
      key,
      log,
      submit,
      send,
      dropLink: (reason) => options.uplink().drop(reason),
      isGiven: (agentId, state) => machine.entryOf(agentId)?.initialState?.digest === state.digest,
      replied: options.replied,
    });
    this.uplinkEvents = this.#linkEvents();
    this.#stateSizes = setInterval(() => this.#measureStates(), STATE_SIZE_INTERVAL_MS);
    this.#stateSizes.unref();
  }

  async close(keepAgents: boolean, graceMs: number): Promise<void> {
    clearInterval(this.#stateSizes);
    await this.keeper.close(keepAgents, graceMs);
    await this.processes.close();
    await this.states.close();
    this.logs.close();
  }

  #keeperUp(agents: readonly KeeperAgent[]): void {
    for (const { agent, running } of agents) if (running !== null) this.logs.watch(agent);
    // First the host, because the report that follows the keeper's return tells what this keeper can do.
    this.onKeeperUp();
    this.processes.keeperUp(agents);
    this.#measureStates();
  }

  #measureStates(): void {
    const { machine, submit } = this.#options;
    for (const agentId of this.processes.runningIds) {
      const bytes = this.states.bytesOf(agentId);
      if (bytes !== machine.agents.get(agentId)?.stateBytes) submit({ kind: 'stateSize', agentId, bytes });
    }
  }

  #agentEvents(): ConstructorParameters<typeof AgentProcesses>[0]['events'] {
    const { submit, log } = this.#options;
    const isNews = (agentId: string, topic: string, { epoch, sub }: Incarnation, word: string): boolean => {
      const key = `${topic} ${agentId}`;
      const text = `${epoch}.${sub} ${word}`;
      if (this.#said.get(key) === text) return false;
      this.#said.set(key, text);
      return true;
    };
    return {
      ready: (agentId, of) => {
        if (isNews(agentId, 'ready', of, ''))
          submit({ kind: 'agentReady', agentId, epoch: of.epoch, sub: of.sub });
      },
      health: (agentId, of, { state, ok, detail = '' }) => {
        if (isNews(agentId, 'health', of, `${state} ${ok} ${detail}`))
          submit({ kind: 'agentHealth', agentId, epoch: of.epoch, sub: of.sub, state, ok, detail });
      },
      metrics: (agentId, values) => submit({ kind: 'agentMetrics', agentId, values }),
      state: (agentId, frame) => this.states.request(agentId, frame),
      refused: (agentId, reason) => {
        this.#refusedLines.add();
        log.warn({ fields: { agentId, reason } }, 'refused what came from an agent’s socket');
      },
    };
  }

  #linkEvents(): UplinkEvents {
    const { submit, config, log, directory } = this.#options;
    const beat = (beatIntervalMs: number): number => Math.min(beatIntervalMs, config.heartbeatIntervalMs);
    return {
      up: ({ generation, beatIntervalMs }) =>
        submit({ kind: 'linkUp', generation, beatIntervalMs: beat(beatIntervalMs) }),
      down: () => {
        this.#calls.linkDown();
        this.#blobs.linkDown();
        submit({ kind: 'linkDown' });
      },
      joined: () => rmSync(directory.file('agent-id'), { force: true }),
      order: (body) => submit({ kind: 'order', body }),
      frame: (frame: Exclude<ManagerFrame, { t: 'order' | 'challenge' | 'welcome' | 'reject' }>) => {
        switch (frame.t) {
          case 'call':
            return void this.#calls
              .take(frame)
              .catch((error: unknown) => log.error({ err: error }, 'a call failed unexpectedly'));
          case 'blob':
            return this.#blobs.arrived(frame.digest, frame.data);
          case 'beatAck':
            return submit({ kind: 'frame', frame: { ...frame, beatIntervalMs: beat(frame.beatIntervalMs) } });
          default:
            return submit({ kind: 'frame', frame });
        }
      },
    };
  }
}
