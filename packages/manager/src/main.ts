/**
 * The manager as one running thing: opens the data directory, the journal and the keys, starts the machine, serves HTTP and links.
 *
 * Everything is opened in the order it leans on each other and closed in the reverse order. Nothing here reads the process's
 * environment or ends the process: the caller does (`onFatal` means: end it now, memory may be ahead of the journal).
 */
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { agentView, orchestratorStatus } from '@muster/core/manager';
import {
  createLog,
  type DataDirectory,
  type Environment,
  type Journal,
  type Logger,
  openDataDirectory,
  openSqliteJournal,
  readLogFormat,
  readLogLevel,
  type Secret,
  systemClock,
} from '@muster/runtime';
import { settleAdministrator } from './administrator.ts';
import { mayComeFrom } from './auth/addresses.ts';
import { AttemptLimiter } from './auth/attempt-limiter.ts';
import { type HashCost, Passwords } from './auth/passwords.ts';
import { Tokens } from './auth/tokens.ts';
import {
  type AddressList,
  addressListOf,
  isLoopback,
  type ManagerSettings,
  plainAddress,
  readManagerSettings,
} from './config.ts';
import { Discovery } from './discovery.ts';
import { Engine } from './engine.ts';
import { EventRing } from './events/event-ring.ts';
import { MessageHub } from './events/message-hub.ts';
import type { App } from './http/app.ts';
import { createServer } from './http/server.ts';
import { type ManagerIdentity, openIdentity } from './identity.ts';
import { BlobStore } from './links/blobs.ts';
import { LinkServer } from './links/link-server.ts';
import { createMeasures, type Measures } from './measures.ts';
import { givenOrKept } from './secrets.ts';
import type { Services } from './services.ts';
import { MANAGER_VERSION } from './version.ts';

export interface ManagerOptions {
  /** As `process.env`; see `config.ts` for what is read. */
  readonly environment: Environment;
  /** Default: a log to standard output by LOG_LEVEL and LOG_FORMAT. */
  readonly log?: Logger;
  /** Something that cannot be carried on from: the process should end with exit code 70. Called at most once. */
  readonly onFatal?: (error: Error) => void;
  /** Default: the embedded journal in DATA_DIR. */
  readonly openJournal?: (path: string) => Promise<Journal>;
  /** Whether /metrics holds the figures of the process as well. Default true. */
  readonly processMetrics?: boolean;
  /** Inputs that may wait for the machine; more are refused as overload. */
  readonly queueLimit?: number;
  /** Cost of password hashes; lower it in tests only. */
  readonly hashCost?: HashCost;
}

export interface RunningManager {
  /** Where it listens, with the real port. */
  readonly url: string;
  readonly port: number;
  /** The administrator's password as given or kept (it may have been changed over the API since). */
  readonly adminPassword: Secret;
  /** True: the password was made in this start. Print it once; it is not printed here. */
  readonly adminPasswordWasGenerated: boolean;
  readonly adminEmail: string;
  /** For in-process callers and tests: requests without a socket. */
  readonly app: App;
  readonly services: Services;
  /** Stops serving, makes what was decided durable and gives the data directory free. Idempotent. */
  close(): Promise<void>;
}

/** How often blobs that nobody needs are swept, ms. */
const SWEEP_INTERVAL_MS = 600_000;

/**
 * Start a manager. Rejects with one clear line for what a person can change: `VariableInvalid`, `SettingsRefused`,
 * `DataDirectoryInUse`, `DataDirectoryUnwritable`, `KeyFileRefused`, `JournalDamaged` (exit code 65), `PortUnavailable`.
 */
export async function startManager(options: ManagerOptions): Promise<RunningManager> {
  const settings = readManagerSettings(options.environment);
  const log = options.log ?? logOf(options.environment);
  for (const line of settings.warnings) log.warn(line);
  for (const line of settings.notices) log.info(line);
  const opened: (() => void | Promise<void>)[] = [];
  let closing: Promise<void> | undefined;
  const closeInOrder = async (): Promise<void> => {
    for (let close = opened.pop(); close !== undefined; close = opened.pop()) await close();
  };
  const closeAll = (): Promise<void> => {
    closing ??= closeInOrder();
    return closing;
  };
  try {
    return await open(options, settings, log, opened, closeAll);
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** Another program listens there, or the address is not ours. */
export class PortUnavailable extends Error {
  override readonly name = 'PortUnavailable';
}

type Closers = (() => void | Promise<void>)[];

/** What the rest leans on: the directory, the journal and the machine over it, the keys, the links. */
interface Foundation {
  readonly directory: DataDirectory;
  readonly measures: Measures;
  readonly identity: ManagerIdentity;
  readonly blobs: BlobStore;
  readonly links: LinkServer;
  readonly events: EventRing;
  readonly engine: Engine;
}

async function layFoundation(
  options: ManagerOptions,
  settings: ManagerSettings,
  log: Logger,
  opened: Closers,
): Promise<Foundation> {
  const directory = openDataDirectory(settings.dataDirectory);
  opened.push(() => directory.close());
  const measures = createMeasures(options.processMetrics ?? true);
  const clock = systemClock();
  const journal = await (options.openJournal ?? openSqliteJournal)(directory.file('journal.db'));
  opened.push(() => journal.close());
  const identity = openIdentity(settings.dataDirectory, clock.now().wall);
  const blobs = new BlobStore(settings.dataDirectory);
  const proxies = addressListOf('TRUSTED_PROXIES', settings.trustedProxies);
  const links = new LinkServer({
    identity,
    measures,
    clock,
    log,
    blobs,
    addressOf: (request) => clientAddress(request, proxies),
    refusalOf: (address) => linkRefusal(settings, address),
    mayLink: (orchestratorId, address) => {
      const { facts } = engine.machine;
      return mayComeFrom(facts, facts.orchestrators.get(orchestratorId)?.customerId ?? null, address);
    },
  });
  opened.push(() => links.close());
  const events = new EventRing();
  const engine = await Engine.start({
    journal,
    clock,
    log,
    measures,
    software: MANAGER_VERSION,
    beatIntervalMs: settings.beatIntervalMs,
    ...(options.queueLimit === undefined ? {} : { queueLimit: options.queueLimit }),
    outlets: {
      send: (effect) => links.send(effect),
      order: (effect) => links.order(effect),
      closeLink: (link, code, detail, retryAfterMs) => links.closeLink(link, code, detail, retryAfterMs),
      publish: (event) => {
        measures.events.add();
        events.publish(event, clock.now().wall);
      },
    },
    onStarted: (incarnation) => events.setIncarnation(incarnation),
    onFatal: (error) => {
      log.fatal({ err: error }, 'manager.fatal');
      options.onFatal?.(error);
    },
  });
  opened.push(() => engine.stop());
  return { directory, measures, identity, blobs, links, events, engine };
}

async function open(
  options: ManagerOptions,
  settings: ManagerSettings,
  log: Logger,
  opened: Closers,
  closeAll: () => Promise<void>,
): Promise<RunningManager> {
  const foundation = await layFoundation(options, settings, log, opened);
  const { measures, engine, links, events, directory } = foundation;
  const passwords = new Passwords(options.hashCost);
  const administrator = await settleAdministrator(engine, settings, passwords);
  const jwtSecret = givenOrKept(settings.dataDirectory, 'jwt-secret', settings.jwtSecret).secret;
  const discovery = new Discovery(engine, links);
  opened.push(() => discovery.stop());
  const services: Services = {
    settings,
    version: MANAGER_VERSION,
    log,
    measures,
    engine,
    links,
    events,
    hub: new MessageHub(events, settings.tls !== null),
    discovery,
    identity: foundation.identity,
    tokens: new Tokens(jwtSecret, settings.tokenLifetimeMs),
    passwords,
    signInLimiter: new AttemptLimiter(),
    joinLimiter: new AttemptLimiter({ freePerPair: 10 }),
    caHash: settings.tls?.privateCaHash ?? null,
  };
  measureFleet(measures, services);
  opened.push(sweepRegularly(services, foundation.blobs, directory));
  const app = await createServer(services);
  opened.push(() => {
    // An HTTP server is not closed before its upgraded sockets are.
    links.close();
    return app.close();
  });
  links.attach(app.server as Server, engine);
  const { port, url } = await listen(app, settings);
  log.info({ fields: { url, dataDirectory: directory.path } }, 'manager.started');
  return {
    url,
    port,
    adminPassword: administrator.password,
    adminPasswordWasGenerated: administrator.made,
    adminEmail: settings.adminEmail,
    app,
    services,
    close: closeAll,
  };
}

function logOf(environment: Environment): Logger {
  return createLog({
    name: 'manager',
    level: readLogLevel(environment),
    format: readLogFormat(environment, process.stdout.isTTY === true),
  });
}

async function listen(app: App, settings: ManagerSettings): Promise<{ port: number; url: string }> {
  try {
    await app.listen({ host: settings.bind, port: settings.port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') {
      throw new PortUnavailable(
        `Port ${settings.port} on ${settings.bind} is taken by another program. Stop it, or set PORT to another one.`,
      );
    }
    if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
      throw new PortUnavailable(
        `Cannot listen on ${settings.bind} port ${settings.port} (${code}). Set BIND and PORT to what this machine may use.`,
      );
    }
    throw error;
  }
  const { port } = app.server.address() as AddressInfo;
  const everywhere = settings.bind === '0.0.0.0' || settings.bind === '::';
  const host = everywhere ? 'localhost' : settings.bind.includes(':') ? `[${settings.bind}]` : settings.bind;
  return { port, url: `${settings.tls === null ? 'http' : 'https'}://${host}:${port}` };
}

/** The nearest address that is not one of our proxies. */
function clientAddress(request: IncomingMessage, proxies: AddressList): string {
  let address = plainAddress(request.socket.remoteAddress ?? '');
  const forwarded = [request.headers['x-forwarded-for'] ?? []].flat().join(',').split(',');
  while (proxies.has(address)) {
    const before = forwarded.pop()?.trim();
    if (before === undefined || before === '') break;
    address = plainAddress(before);
  }
  return address;
}

function linkRefusal(
  settings: ManagerSettings,
  address: string,
): 'address-not-allowed' | 'joining-disabled' | null {
  if (settings.allowedIps !== null && !settings.allowedIps.has(address)) return 'address-not-allowed';
  return settings.distributed || isLoopback(address) ? null : 'joining-disabled';
}

function sweepRegularly({ engine, log }: Services, blobs: BlobStore, directory: DataDirectory): () => void {
  const sweep = async (): Promise<void> => {
    const { agents, orchestrators } = engine.machine.facts;
    const needed = new Set<string>();
    for (const agent of agents.values()) if (agent.state !== null) needed.add(agent.state.digest);
    for (const { target } of orchestrators.values()) {
      for (const { initialState } of target.entries.values())
        if (initialState !== null) needed.add(initialState.digest);
    }
    try {
      const removed = await blobs.sweep((digest) => needed.has(digest), engine.clock.now().wall);
      if (removed > 0) log.info({ fields: { removed } }, 'blobs.swept');
    } catch (error) {
      log.warn({ err: error, fields: { dataDirectory: directory.path } }, 'blobs.sweep-failed');
    }
  };
  const timer = setInterval(() => void sweep(), SWEEP_INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}

function measureFleet(measures: Measures, { engine, links, events }: Services): void {
  const { machine } = engine;
  const count = (statuses: Iterable<string>): Map<string, number> => {
    const counts = new Map<string, number>();
    for (const status of statuses) counts.set(status, (counts.get(status) ?? 0) + 1);
    return counts;
  };
  measures.watch({
    orchestrators: () =>
      count(
        [...machine.facts.orchestrators.values()].map((each) => orchestratorStatus(machine.presence, each)),
      ),
    agents: () =>
      count([...machine.facts.agents.values()].map((agent) => agentView(machine.presence, agent).status)),
    links: () => links.count,
    listeners: () => events.listeners,
    queueLength: () => engine.queueLength,
    journalRecords: () => engine.journalRecords,
  });
}
