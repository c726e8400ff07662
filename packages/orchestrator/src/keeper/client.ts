/**
 * The daemon's view of its keeper.
 *
 * A client belongs to one keeper process: when that is lost, all its agents are dead (or dying), and the daemon opens a
 * new client, whose hello tells what runs and how the rest ended. Pids are filled in as the host shows them.
 */
import type { AgentExit, KeeperAgent, KeeperResult, KillStrength, LimitSupport } from '@muster/contract';
import type { KeeperCall, KeeperConnection } from './connection.ts';
import { resolveHostPids } from './host-pids.ts';
import { endKeeper, type KeeperHello, type KeeperOptions, startKeeper } from './launch.ts';

type Parameters<Op extends KeeperResult['op']> = Omit<Extract<KeeperCall, { op: Op }>, 'op'>;
type Result<Op extends KeeperResult['op']> = Extract<KeeperResult, { op: Op }>;

/** What the keeper needs at most beyond the times a request names, ms. */
const ANSWER_MARGIN_MS = 15_000;

export class KeeperClient {
  readonly keeperId: string;
  /** Differs between two keeper processes of one data directory. */
  readonly incarnation: string;
  readonly killStrength: KillStrength;
  readonly limits: LimitSupport;
  /** Whether opening this client started the keeper; false: it was found alive. */
  readonly started: boolean;
  /** Host pid of the keeper; null when it could not be found. */
  readonly keeperPid: number | null;
  readonly #connection: KeeperConnection;
  readonly #dataDir: string;
  readonly #namespace: string;
  readonly #agentsAtOpening: readonly KeeperAgent[];

  private constructor(connection: KeeperConnection, hello: KeeperHello, started: boolean, dataDir: string) {
    this.#connection = connection;
    this.#dataDir = dataDir;
    this.#namespace = hello.pidNamespace;
    this.keeperId = hello.keeperId;
    this.incarnation = hello.incarnation;
    this.killStrength = hello.killStrength;
    this.limits = hello.limits;
    this.started = started;
    this.keeperPid = resolveHostPids(hello.pidNamespace, [hello.pid]).get(hello.pid) ?? null;
    this.#agentsAtOpening = this.#withHostPids(hello.agents);
  }

  /** Connects to the keeper of a data directory, or starts one. @throws KeeperError */
  static async open(options: KeeperOptions): Promise<KeeperClient> {
    const { connection, hello, started } = await startKeeper(options);
    return new KeeperClient(connection, hello, started, options.dataDir);
  }

  /** What the keeper knew when this client was opened; exits after that arrive at `onExit`. */
  get agentsAtOpening(): readonly KeeperAgent[] {
    return this.#agentsAtOpening;
  }

  /** Asks again for the introduction, and for the exit events to come here. @throws KeeperError */
  async hello(): Promise<KeeperHello> {
    const hello = await this.#connection.call({ op: 'hello', v: 1 }, ANSWER_MARGIN_MS);
    return { ...hello, pid: this.keeperPid ?? hello.pid, agents: this.#withHostPids(hello.agents) };
  }

  /** Starts an agent process. @throws KeeperError with one of the keeper's codes */
  async spawn(parameters: Parameters<'spawn'>): Promise<Result<'spawn'>> {
    const result = await this.#connection.call({ op: 'spawn', ...parameters }, ANSWER_MARGIN_MS);
    return { ...result, hostPid: resolveHostPids(this.#namespace, [result.pid]).get(result.pid) ?? null };
  }

  /** Resolves when the agent's whole tree is dead. @throws KeeperError */
  stop(parameters: Parameters<'stop'>): Promise<Result<'stop'>> {
    return this.#connection.call({ op: 'stop', ...parameters }, parameters.graceMs + ANSWER_MARGIN_MS);
  }

  /** Resolves when nothing of the agent up to that epoch can act, now or ever. @throws KeeperError */
  release(parameters: Parameters<'release'>): Promise<Result<'release'>> {
    const timeoutMs = parameters.graceMs + parameters.inFlightMs + ANSWER_MARGIN_MS;
    return this.#connection.call({ op: 'release', ...parameters }, timeoutMs);
  }

  async list(): Promise<readonly KeeperAgent[]> {
    const { agents } = await this.#connection.call({ op: 'list' }, ANSWER_MARGIN_MS);
    return this.#withHostPids(agents);
  }

  /** Resolves when the keeper is at work. @throws KeeperError `timeout` after `timeoutMs` */
  async ping(timeoutMs: number): Promise<void> {
    await this.#connection.call({ op: 'list' }, timeoutMs);
  }

  /** Drops the exit history of an agent whose epoch is released. @throws KeeperError */
  forget(agent: string): Promise<Result<'forget'>> {
    return this.#connection.call({ op: 'forget', agent }, ANSWER_MARGIN_MS);
  }

  /**
   * Ends all agents and then the keeper, and returns when no process of either is left. This client is closed then.
   *
   * @throws KeeperError
   */
  async shutdown(graceMs: number): Promise<void> {
    await this.#connection.call({ op: 'shutdown', graceMs }, graceMs + ANSWER_MARGIN_MS);
    this.#connection.close();
    await endKeeper(this.#dataDir);
  }

  /** Calls back whenever an agent's tree has ended. Returns what takes the listener away. */
  onExit(listener: (agent: string, exit: AgentExit) => void): () => void {
    return this.#connection.onExit(listener);
  }

  /** Calls back once when the keeper is gone without this client having closed. Returns what takes the listener away. */
  onKeeperLost(listener: () => void): () => void {
    return this.#connection.onLost(listener);
  }

  /** Treats a keeper that does not answer as lost, and tells so. */
  abandon(): void {
    this.#connection.abandon();
  }

  /** Lets go of the keeper, which goes on with its agents. */
  close(): void {
    this.#connection.close();
  }

  #withHostPids(agents: readonly KeeperAgent[]): readonly KeeperAgent[] {
    const pids = agents.flatMap((agent) => (agent.running === null ? [] : [agent.running.pid]));
    if (pids.length === 0) return agents;
    const hostPids = resolveHostPids(this.#namespace, pids);
    return agents.map((agent) => {
      if (agent.running === null) return agent;
      return { ...agent, running: { ...agent.running, hostPid: hostPids.get(agent.running.pid) ?? null } };
    });
  }
}
