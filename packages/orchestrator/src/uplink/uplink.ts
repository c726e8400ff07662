/**
 * The uplink: joined once, connected whenever possible, for as long as the daemon lives.
 *
 * One loop: join if there is no identity, dial, hold the session, back off, again. Back-off has full jitter and starts over
 * only after a session that lasted. A reason for not being connected is logged when it changes, not at every try. Nothing here
 * decides about agents: an orchestrator without its manager keeps running what it was told to run.
 */
import { LINK_PATH, type OrchestratorFrame } from '@muster/contract';
import type { Random } from '@muster/core';
import type { Clock, Logger, Metrics } from '@muster/runtime';
import type { OrchestratorConfig } from '../config.ts';
import type { Identity, IdentityStore } from '../identity.ts';
import { BackOff } from './back-off.ts';
import { type Credential, type JoinFacts, JoinFailed, join } from './join.ts';
import { LinkSession, type SessionEnd, type SessionEvents } from './link-session.ts';
import { isLoopback, Transport, Unreachable } from './transport.ts';

/** A session this long proves that the way is good; the back-off starts over, ms. */
const STABLE_SESSION_MS = 60_000;
/** Retry after a rejection that only a person can resolve, ms. */
const HOPELESS_RETRY_MS = 5 * 60_000;
const hopelessCodes: ReadonlySet<string> = new Set([
  'orchestrator-revoked',
  'link-version',
  'link-proof',
  'joining-disabled',
  'address-not-allowed',
]);

export type UplinkState = 'off' | 'joining' | 'connecting' | 'connected' | 'waiting' | 'stopped';
export interface UplinkStatus {
  readonly state: UplinkState;
  /** Unix ms of the last change of `state`. */
  readonly since: number;
  /** Why it is not connected, one sentence; empty when it is, or before the first try. */
  readonly reason: string;
}

export interface UplinkEvents extends Pick<SessionEvents, 'order' | 'frame'> {
  up(welcome: { readonly generation: number; readonly beatIntervalMs: number }): void;
  down(): void;
  joined(identity: Identity): void;
}

export interface UplinkOptions {
  readonly config: OrchestratorConfig;
  readonly identity: IdentityStore;
  readonly joinFacts: () => JoinFacts;
  readonly bootId: string;
  readonly software: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly events: UplinkEvents;
}

export class Uplink {
  readonly #options: UplinkOptions;
  readonly #backOff: BackOff;
  readonly #instance: string;
  readonly #refusals;
  #status: UplinkStatus;
  #session: LinkSession | null = null;
  #stopped = false;
  #wake: (() => void) | null = null;
  #loop: Promise<void> | null = null;
  #revoked = false;

  constructor(options: UplinkOptions) {
    this.#options = options;
    this.#backOff = new BackOff(() => options.random.fraction());
    this.#instance = options.random.id('run');
    this.#status = { state: 'off', since: options.clock.now().wall, reason: '' };
    this.#refusals = options.metrics.counter(
      'muster_uplink_refused_total',
      'Sessions ended because the manager’s side did not verify or was not understood.',
    );
  }

  get status(): UplinkStatus {
    return this.#status;
  }

  start(): void {
    const { managerUrl, autoRegister } = this.#options.config;
    if (managerUrl === null || !autoRegister) {
      this.#become(
        'off',
        managerUrl === null ? 'CENTRAL_MANAGER_URL is not set.' : 'AUTO_REGISTER is false.',
      );
      return;
    }
    this.#loop = this.#run(managerUrl);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#session?.drop('this orchestrator is stopping');
    this.#wake?.();
    await this.#loop;
    this.#become('stopped', '');
  }

  /** False: there is no session to send it over. */
  send(frame: OrchestratorFrame): boolean {
    return this.#session?.send(frame) ?? false;
  }
  drop(reason: string): void {
    this.#session?.drop(reason);
  }
  managerWall(): number {
    return this.#session?.managerWall() ?? this.#options.clock.now().wall;
  }

  async #run(managerUrl: URL): Promise<void> {
    while (!this.#stopped) {
      let waitMs: number;
      try {
        waitMs = await this.#once(managerUrl);
      } catch (error) {
        const expected = error instanceof Unreachable || error instanceof JoinFailed;
        // A disk that is full or a proxy address that is none must not end a daemon whose agents run well.
        if (!expected && this.#status.reason !== (error as Error).message)
          this.#options.log.error({ err: error }, 'the uplink failed unexpectedly; trying again');
        this.#waiting((error as Error).message);
        waitMs = this.#backOff.next(error instanceof JoinFailed ? error.retryAfterMs : 0);
      }
      if (!this.#stopped) await this.#sleep(waitMs);
    }
  }

  /** Joins if needed and holds one session. Returns how long to wait before the next. */
  async #once(managerUrl: URL): Promise<number> {
    const { config, identity, events } = this.#options;
    let who = identity.current;
    const fresh = config.joinToken !== null && config.joinToken.id !== who?.joinTokenId;
    if (who === null || (this.#revoked && fresh)) {
      who = await this.#join(managerUrl, who);
      this.#revoked = false;
      events.joined(who);
    }
    if (this.#stopped) return 0;
    if (this.#status.state !== 'waiting') this.#become('connecting', this.#status.reason);
    const transport = new Transport({
      managerUrl,
      loopbackRewrite: config.loopbackRewrite,
      caHash: who.caHash,
    });
    const socket = await transport.dial(LINK_PATH);
    if (this.#stopped) {
      socket.terminate();
      return 0;
    }
    const startedAt = this.#options.clock.now().mono;
    const end = await this.#hold(socket, who);
    if (this.#options.clock.now().mono - startedAt >= STABLE_SESSION_MS) this.#backOff.reset();
    return this.#stopped ? 0 : this.#afterEnd(end);
  }

  async #join(managerUrl: URL, before: Identity | null): Promise<Identity> {
    const { config, identity, joinFacts, clock, log } = this.#options;
    const credential = credentialOf(config);
    if (credential === null) {
      throw new JoinFailed(
        'This orchestrator has not joined yet: give it a JOIN_TOKEN (muster token create) and start it again.',
        HOPELESS_RETRY_MS,
      );
    }
    if (this.#status.state !== 'waiting') this.#become('joining', this.#status.reason);
    if (
      credential.kind === 'password' &&
      managerUrl.protocol === 'http:' &&
      !isLoopback(managerUrl.hostname)
    ) {
      log.warn(
        'ADMIN_PASSWORD travels unencrypted because CENTRAL_MANAGER_URL is not https. Prefer a JOIN_TOKEN.',
      );
    }
    const caHash = credential.kind === 'token' ? credential.token.caHash : null;
    const transport = new Transport({ managerUrl, loopbackRewrite: config.loopbackRewrite, caHash });
    const nowWall = (): number => clock.now().wall;
    const joined = await join({ transport, credential, key: identity.key, facts: joinFacts(), nowWall });
    identity.save(joined);
    const fields = {
      orchestratorId: joined.orchestratorId,
      customerId: joined.customerId,
      agentId: joined.agentId,
    };
    log.info({ fields }, before === null ? 'joined' : 'joined again');
    if (credential.kind === 'password')
      log.warn(
        'Joined by ADMIN_PASSWORD: the manager was trusted as found, and only this one is trusted from now on. A JOIN_TOKEN would have checked it.',
      );
    return joined;
  }

  #hold(
    socket: ConstructorParameters<typeof LinkSession>[0]['socket'],
    identity: Identity,
  ): Promise<SessionEnd> {
    const { identity: store, clock, log, events, config, bootId, software } = this.#options;
    return new Promise((resolve) => {
      const session = new LinkSession({
        socket,
        identity,
        key: store.key,
        instance: this.#instance,
        bootId,
        software,
        nowWall: () => clock.now().wall,
        nowMono: () => clock.now().mono,
        sawDelegation: (serial) => store.sawDelegation(serial),
        events: {
          welcomed: ({ generation, beatIntervalMs, software: manager }) => {
            this.#become('connected', '');
            log.info({ fields: { manager: config.managerUrl?.origin, software: manager } }, 'connected');
            events.up({ generation, beatIntervalMs });
          },
          order: (body) => events.order(body),
          frame: (frame) => events.frame(frame),
          ended: (end, wasUp) => {
            this.#session = null;
            if (wasUp) events.down();
            resolve(end);
          },
        },
      });
      this.#session = session;
    });
  }

  #afterEnd(end: SessionEnd): number {
    if (end.kind === 'rejected') {
      const revoked = end.code === 'orchestrator-revoked';
      this.#revoked = revoked;
      const kept = revoked
        ? ' The agents here keep running as last ordered; stop them with `muster local stop` or POST /stop.'
        : '';
      this.#waiting(`The manager refused the link (${end.code}): ${end.message} ${end.next}${kept}`);
      const { joinToken } = this.#options.config;
      if (revoked && joinToken !== null && joinToken.id !== this.#options.identity.current?.joinTokenId)
        return 0;
      return this.#backOff.next(
        Math.max(Math.min(end.retryAfterMs, 3_600_000), hopelessCodes.has(end.code) ? HOPELESS_RETRY_MS : 0),
      );
    }
    if (end.kind === 'refused') {
      this.#refusals.add();
      this.#waiting(`The link was dropped because the manager's side sent ${end.reason}.`);
    } else this.#waiting(`The link was lost: ${end.reason}.`);
    return this.#backOff.next();
  }

  #waiting(reason: string): void {
    if (this.#stopped) return;
    if (this.#status.state !== 'waiting' || this.#status.reason !== reason)
      this.#options.log.warn({ fields: { reason } }, 'waiting for the manager');
    this.#become('waiting', reason);
  }

  #become(state: UplinkState, reason: string): void {
    const since = state === this.#status.state ? this.#status.since : this.#options.clock.now().wall;
    this.#status = { state, since, reason };
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(), ms);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = null;
        resolve();
      };
    });
  }
}

function credentialOf(config: OrchestratorConfig): Credential | null {
  if (config.joinToken !== null) return { kind: 'token', token: config.joinToken };
  return config.adminPassword === null ? null : { kind: 'password', password: config.adminPassword };
}
