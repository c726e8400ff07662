/**
 * Keeps a keeper: opened or started, watched, and started again when it is lost.
 *
 * A keeper that is lost has taken its agents with it, so `down` is told before anything else and `up` brings the list the new one
 * knows. Exits are forwarded in order, after the `up` they belong to. A keeper that hangs is found out by asking: its agents
 * would end with nobody to see it. Given up, it is killed with them by the start of the next one.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentExit, KeeperAgent } from '@muster/contract';
import type { Logger } from '@muster/runtime';
import { endKeeper, KeeperClient, type KeeperOptions, UNREACHABLE_AFTER_MS } from './keeper/index.ts';

const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 15_000;
const WATCH_INTERVAL_MS = 10_000;
/** Questions in a row that a keeper may leave unanswered, each for `unreachableAfterMs`. */
const SILENCES_MAX = 2;

export interface KeeperEvents {
  up(keeper: KeeperClient, agents: readonly KeeperAgent[]): void;
  down(): void;
  exited(agentId: string, exit: AgentExit): void;
}

export class KeeperSupervision {
  readonly #options: KeeperOptions;
  readonly #log: Logger;
  readonly #events: KeeperEvents;
  #client: KeeperClient | null = null;
  #closed = false;
  #opening: Promise<void> | null = null;

  readonly #watchIntervalMs: number;

  constructor(
    options: KeeperOptions,
    log: Logger,
    events: KeeperEvents,
    watchIntervalMs: number = WATCH_INTERVAL_MS,
  ) {
    this.#watchIntervalMs = watchIntervalMs;
    this.#options = options;
    this.#log = log;
    this.#events = events;
  }

  /** Null while there is none. */
  get client(): KeeperClient | null {
    return this.#client;
  }

  /** Resolves when the first keeper answers; goes on trying for ever. */
  start(): Promise<void> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  /** Lets the keeper and its agents go on, or ends both. A keeper without agents has nothing to keep and ends as well. */
  async close(keepAgents: boolean, graceMs: number): Promise<void> {
    this.#closed = true;
    await this.#opening;
    const client = this.#client;
    this.#client = null;
    if (client === null) return;
    if (keepAgents) {
      // A keeper that does not answer may have agents: it is left alone.
      const idle = await client.list().then(
        (agents) => agents.every(({ running }) => running === null),
        () => false,
      );
      if (!idle) return client.close();
    }
    try {
      await client.shutdown(graceMs);
    } catch (error) {
      this.#log.warn(
        { fields: { reason: (error as Error).message } },
        'the keeper did not end in order; ending it by force',
      );
      client.close();
      await endKeeper(this.#options.dataDir);
    }
  }

  async #open(): Promise<void> {
    let waitMs = RETRY_FIRST_MS;
    let lastReason = '';
    while (!this.#closed) {
      try {
        const client = await KeeperClient.open(this.#options);
        this.#use(client);
        return;
      } catch (error) {
        const reason = (error as Error).message;
        if (reason !== lastReason)
          this.#log.error({ fields: { reason } }, 'no keeper, so no agent can run here; trying again');
        lastReason = reason;
        await delay(waitMs);
        waitMs = Math.min(RETRY_MAX_MS, waitMs * 2);
      }
    }
  }

  #use(client: KeeperClient): void {
    this.#client = client;
    const { incarnation, killStrength, limits, started, keeperPid } = client;
    this.#log.info(
      { fields: { pid: keeperPid, started, incarnation, killStrength, limits } },
      'keeper connected',
    );
    this.#events.up(client, client.agentsAtOpening);
    client.onExit((agentId, exit) => this.#events.exited(agentId, exit));
    client.onKeeperLost(() => {
      if (this.#closed) return;
      this.#client = null;
      this.#log.error('keeper lost, and its agents with it; starting another');
      this.#events.down();
      this.#opening = this.#open();
    });
    void this.#watch(client);
  }

  async #watch(client: KeeperClient): Promise<void> {
    let silences = 0;
    while (this.#client === client) {
      await delay(this.#watchIntervalMs, undefined, { ref: false });
      if (this.#client !== client) return;
      try {
        await client.ping(this.#options.unreachableAfterMs ?? UNREACHABLE_AFTER_MS);
        silences = 0;
      } catch (error) {
        silences += 1;
        if (silences < SILENCES_MAX || this.#client !== client) continue;
        const fields = { reason: (error as Error).message };
        this.#log.error({ fields }, 'the keeper hangs; giving it up');
        client.abandon();
      }
    }
  }
}
