/**
 * The daemon put together: data directory, journal, machine, keeper, agents, uplink, local API.
 *
 * Order at start: settings, lock, identity key, journal (damage is told, never repaired), machine, local API, keeper, uplink. So a
 * machine whose manager or keeper is out of reach still answers its operator. The machine runs before this orchestrator has joined;
 * the id it needs for receipts is read when a receipt is made, which only an order can cause, and orders need a joined identity.
 */
import { createHash } from 'node:crypto';
import {
  type LocalCommand,
  type LocalResult,
  type OrchestratorInput,
  OrchestratorMachine,
  type OrchestratorSnapshot,
} from '@muster/core/orchestrator';
import {
  createLog,
  createMetrics,
  type DataDirectory,
  Driver,
  type Environment,
  type Logger,
  openDataDirectory,
  openSqliteJournal,
  type SqliteJournal,
  systemClock,
  systemRandom,
} from '@muster/runtime';
import type { FastifyInstance } from 'fastify';
import { AgentCatalogue, type AgentTypeSource } from './agent-catalogue.ts';
import { AgentHost } from './agent-host.ts';
import { type OrchestratorConfig, readConfig } from './config.ts';
import { bootId } from './host-facts.ts';
import { HostReporter } from './host-reporter.ts';
import { agentIdOf, IdentityStore } from './identity.ts';
import type { KeeperOptions } from './keeper/index.ts';
import { buildLocalApi } from './local-api/local-api.ts';
import { loadOrCreateLocalToken } from './local-api/local-token.ts';
import { Uplink, type UplinkStatus } from './uplink/uplink.ts';

export const ORCHESTRATOR_VERSION = '0.1.0';
/** Time agents get to finish when they are ended together with the daemon, ms. */
const STOP_GRACE_MS = 10_000;

export interface OrchestratorStartOptions {
  /** Where the settings come from; see config.ts. */
  readonly environment: Environment;
  readonly log?: Logger;
  /** Agent types of this machine; the built-in ones when not given. */
  readonly types?: AgentTypeSource;
  /** See KeeperOptions. */
  readonly isolation?: KeeperOptions['isolation'];
  /** The daemon cannot go on: the process should end at once. Throws the error when not given. */
  readonly onFatal?: (error: Error) => void;
}

export interface RunningOrchestrator {
  /** Port of the local API. */
  readonly apiPort: number;
  readonly agentId: string;
  /** Null until it has joined. */
  readonly orchestratorId: string | null;
  readonly dataDir: string;
  /** State of the link to the manager. */
  readonly uplink: UplinkStatus;
  /** Stops the daemon. `keepAgents`: the keeper and its agents go on, and the next daemon finds them. */
  close(options: { readonly keepAgents: boolean }): Promise<void>;
}

/**
 * Starts an orchestrator. Resolves when its local API answers; joining and connecting go on in the background.
 *
 * @throws VariableInvalid, DataDirectoryInUse, DataDirectoryUnwritable, JournalDamaged, IdentityDamaged, KeyFileRefused, or the
 *   system's error when the port is taken.
 */
export async function startOrchestrator(options: OrchestratorStartOptions): Promise<RunningOrchestrator> {
  const config = readConfig(options.environment);
  const log = options.log ?? createLog({ name: 'orchestrator', level: config.logLevel });
  for (const remark of config.remarks) log.info(remark);
  const directory = openDataDirectory(config.dataDir);
  const undo: (() => unknown)[] = [() => directory.close()];
  try {
    const journal = await openSqliteJournal(directory.file('journal.db'));
    undo.push(() => journal.close());
    const daemon = await Daemon.build(options, config, log, directory, journal);
    undo.push(() => daemon.close({ keepAgents: true }));
    await daemon.start();
    return daemon;
  } catch (error) {
    for (const step of undo.reverse()) await step();
    throw error;
  }
}

class Daemon implements RunningOrchestrator {
  readonly agentId: string;
  readonly dataDir: string;
  readonly #config: OrchestratorConfig;
  readonly #log: Logger;
  readonly #directory: DataDirectory;
  readonly #journal: SqliteJournal;
  readonly #identity: IdentityStore;
  readonly #machine: OrchestratorMachine;
  readonly #driver: Driver<
    OrchestratorInput,
    Parameters<OrchestratorMachine['step']>[2][number],
    OrchestratorSnapshot
  >;
  readonly #host: AgentHost;
  readonly #reporter: HostReporter;
  readonly #uplink: Uplink;
  readonly #api: FastifyInstance;
  readonly #replayedRecords: number;
  readonly #catalogue: AgentCatalogue;
  readonly #onFatal: (error: Error) => void;
  readonly #clock = systemClock();
  readonly #metrics = createMetrics();
  readonly #asked = new Map<string, (result: LocalResult) => void>();
  #nextRequest = 1;
  #apiPort = 0;
  #closing: Promise<void> | null = null;

  static async build(
    options: OrchestratorStartOptions,
    config: OrchestratorConfig,
    log: Logger,
    directory: DataDirectory,
    journal: SqliteJournal,
  ): Promise<Daemon> {
    return new Daemon({ options, config, log, directory, journal, contents: await journal.load() });
  }

  private constructor(parts: Parts) {
    const { options, config, log, directory, journal, contents } = parts;
    this.#config = config;
    this.#log = log;
    this.#directory = directory;
    this.#journal = journal;
    this.#replayedRecords = contents.records.length;
    this.#onFatal = options.onFatal ?? throwIt;
    this.#catalogue = new AgentCatalogue(options.types);
    this.#identity = new IdentityStore(directory);
    this.dataDir = directory.path;
    this.agentId = agentIdOf(directory, config.agentId, this.#identity.current);
    this.#machine = machineOf(config, this.#identity, contents);
    this.#host = new AgentHost({
      config,
      directory,
      machine: this.#machine,
      catalogue: this.#catalogue,
      metrics: this.#metrics,
      log,
      key: this.#identity.key,
      environment: options.environment,
      isolation: options.isolation ?? 'auto',
      submit: (input) => this.#submit(input),
      uplink: () => this.#uplink,
      replied: (request, result) => this.#settle(request, result),
    });
    this.#driver = new Driver({
      machine: this.#machine,
      journal,
      clock: this.#clock,
      execute: this.#host.effects,
      onFatal: this.#onFatal,
    });
    this.#reporter = new HostReporter({
      config,
      catalogue: this.#catalogue,
      version: ORCHESTRATOR_VERSION,
      agentId: this.agentId,
      apiPort: () => this.#apiPort,
      keeper: () => this.#host.keeper.client,
      submit: (input) => this.#submit(input),
    });
    this.#host.onKeeperUp = () => this.#reporter.host();
    this.#uplink = this.#makeUplink();
    this.#api = this.#makeApi();
  }

  #makeUplink(): Uplink {
    return new Uplink({
      config: this.#config,
      identity: this.#identity,
      joinFacts: () => this.#reporter.joinFacts(),
      bootId: bootId(),
      software: `muster-orchestrator/${ORCHESTRATOR_VERSION}`,
      clock: this.#clock,
      random: systemRandom(),
      log: this.#log,
      metrics: this.#metrics,
      events: this.#host.uplinkEvents,
    });
  }

  #makeApi(): FastifyInstance {
    return buildLocalApi({
      config: this.#config,
      version: ORCHESTRATOR_VERSION,
      agentId: this.agentId,
      token: loadOrCreateLocalToken(this.#directory),
      machine: this.#machine,
      catalogue: this.#catalogue,
      log: this.#log,
      metrics: this.#metrics,
      identity: () => this.#identity.current,
      uplink: () => this.#uplink.status,
      facts: () => this.#reporter.metadata(),
      command: (command) => this.#command(command),
      stateOf: (agentId) => this.#host.states.snapshot(agentId),
    });
  }

  #submit(input: OrchestratorInput): void {
    if (this.#driver.submit(input) || this.#closing !== null) return;
    this.#onFatal(new Error('The input queue of the daemon is full.'));
  }

  get apiPort(): number {
    return this.#apiPort;
  }
  get orchestratorId(): string | null {
    return this.#identity.current?.orchestratorId ?? null;
  }
  get uplink(): UplinkStatus {
    return this.#uplink.status;
  }

  async start(): Promise<void> {
    await this.#api.listen({ port: this.#config.apiPort, host: this.#config.bind });
    const address = this.#api.server.address();
    this.#apiPort = typeof address === 'object' && address !== null ? address.port : this.#config.apiPort;
    this.#log.info(
      {
        fields: {
          agentId: this.agentId,
          port: this.#apiPort,
          bind: this.#config.bind,
          dataDir: this.dataDir,
        },
      },
      'local API listening',
    );
    this.#driver.start(this.#replayedRecords);
    this.#reporter.start();
    void this.#host.keeper.start();
    this.#uplink.start();
  }

  close({ keepAgents }: { readonly keepAgents: boolean }): Promise<void> {
    this.#closing ??= this.#close(keepAgents);
    return this.#closing;
  }

  async #close(keepAgents: boolean): Promise<void> {
    await this.#api.close();
    this.#reporter.stop();
    await this.#uplink.stop();
    await this.#driver.stop();
    await this.#host.close(keepAgents, STOP_GRACE_MS);
    await this.#journal
      .close()
      .catch((error: unknown) => this.#log.warn({ err: error }, 'the journal did not close in order'));
    this.#directory.close();
    this.#log.info({ fields: { keepAgents } }, 'stopped');
  }

  #command(command: LocalCommand): Promise<LocalResult> {
    const request = `local-${this.#nextRequest}`;
    this.#nextRequest += 1;
    return new Promise((resolve) => {
      this.#asked.set(request, resolve);
      const taken = this.#driver.submit({ kind: 'local', request, command });
      if (!taken)
        this.#settle(request, { ok: false, code: 'conflict', detail: 'This orchestrator is stopping.' });
    });
  }
  #settle(request: string, result: LocalResult): void {
    this.#asked.get(request)?.(result);
    this.#asked.delete(request);
  }
}

interface Parts {
  readonly options: OrchestratorStartOptions;
  readonly config: OrchestratorConfig;
  readonly log: Logger;
  readonly directory: DataDirectory;
  readonly journal: SqliteJournal;
  readonly contents: Awaited<ReturnType<SqliteJournal['load']>>;
}

function machineOf(
  config: OrchestratorConfig,
  identity: IdentityStore,
  contents: Parts['contents'],
): OrchestratorMachine {
  return new OrchestratorMachine({
    get orchestratorId() {
      return identity.current?.orchestratorId ?? 'not-joined';
    },
    random: systemRandom(),
    digest: (text) => createHash('sha256').update(text).digest('hex'),
    maxAgents: config.maxAgents,
    ...(contents.snapshot === null ? {} : { snapshot: contents.snapshot.state as OrchestratorSnapshot }),
    records: contents.records,
  });
}

function throwIt(error: Error): never {
  throw error;
}
