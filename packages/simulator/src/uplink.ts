/**
 * The orchestrator's end of the link, as its shell does it: dial with back-off and full jitter, hand-shake, then frames as
 * text through the real codec. An order is taken only with the session and a sequence above the last one and before it
 * expires; anything else is refused and the link dropped. Bytes of a state go ahead of the frame that names them.
 */
import {
  decodeManagerFrame,
  encodeFrame,
  type ManagerFrame,
  type ManagerFrameOf,
  type OrchestratorFrame,
} from '@muster/contract';
import type { Host } from './host.ts';
import type { ManagerNode } from './manager-node.ts';
import type { Connection } from './network.ts';
import type { Stream } from './random.ts';
import type { World } from './world.ts';

const BACKOFF_BASE_MS = 500;
const BACKOFF_CAP_MS = 30_000;
const HANDSHAKE_LIMIT_MS = 10_000;
const BLOB_LIMIT_MS = 10_000;
export const FAKE_SIGNATURE = 'A'.repeat(86);

export interface UplinkOptions {
  readonly world: World;
  readonly host: Host;
  readonly manager: ManagerNode;
  readonly instance: string;
  readonly stream: Stream;
  readonly onUp: (welcome: ManagerFrameOf<'welcome'>) => void;
  readonly onDown: () => void;
  readonly onFrame: (
    frame: Extract<ManagerFrame, { t: 'order' | 'targetCurrent' | 'beatAck' | 'statusAck' | 'receiptsAck' }>,
  ) => void;
}

export class Uplink {
  readonly #options: UplinkOptions;
  #connection: Connection | null = null;
  #session: string | null = null;
  #sequence = 0;
  #welcomed: { wall: number; mono: number } = { wall: 0, mono: 0 };
  #attempt = 0;
  #alive = true;
  #notBefore = 0;
  readonly #blobWaiters = new Map<string, ((data: string | null) => void)[]>();

  constructor(options: UplinkOptions) {
    this.#options = options;
  }

  get connection(): Connection | null {
    return this.#connection;
  }
  get session(): string | null {
    return this.#session;
  }

  /** The process died; `machineOff`: so did its kernel, and nobody is told. */
  die(machineOff: boolean): void {
    this.#alive = false;
    if (machineOff) this.#connection?.becomeHalfOpen('orchestrator');
    else this.#connection?.processDied('orchestrator');
    this.#connection = null;
  }

  dial(): void {
    const { world, host, manager, stream } = this.#options;
    if (!this.#alive || this.#connection !== null) return;
    this.#attempt += 1;
    const roundTrip = 2 * world.swarm.networkMs;
    world.schedule.after(roundTrip * stream.between(0.5, 1.5), 'dial', () => {
      if (!this.#alive || this.#connection !== null) return;
      const { line } = host;
      if (line.anyBlocked) return this.#dialLater(stream.between(1_000, 8_000));
      if (line.refusesDials || !manager.up) return this.#dialLater(0);
      this.#open();
    });
  }

  /** Close and dial anew. */
  drop(): void {
    const connection = this.#connection;
    if (connection === null) return;
    connection.close('orchestrator');
    this.#lost(connection);
  }

  /** False: there is no session, the frame is gone. */
  send(frame: OrchestratorFrame): boolean {
    if (this.#connection === null || this.#session === null) return false;
    this.#connection.send('up', encodeFrame(frame));
    return true;
  }

  sendRaw(text: string): void {
    this.#connection?.send('up', text);
  }

  /** Ask the manager for the bytes of a blob; null: it has none, or the link is gone. */
  fetchBlob(digest: string, answer: (data: string | null) => void): void {
    let answered = false;
    const once = (data: string | null): void => {
      if (answered) return;
      answered = true;
      if (this.#alive) answer(data);
    };
    this.#blobWaiters.set(digest, [...(this.#blobWaiters.get(digest) ?? []), once]);
    if (!this.send({ t: 'blobGet', digest })) return once(null);
    this.#options.world.schedule.after(BLOB_LIMIT_MS, 'blob-limit', () => once(null));
  }

  #open(): void {
    const { world, host, manager, instance, stream } = this.#options;
    const connection: Connection = manager.accept(host.line, {
      onText: (text) => {
        if (this.#alive && this.#connection === connection) this.#onText(connection, text);
      },
      onClosed: () => {
        if (this.#alive && this.#connection === connection) this.#lost(connection);
      },
    });
    this.#connection = connection;
    const identity = host.identity;
    if (identity === null) throw new Error(`${host.name} dials without an identity`);
    const hello: OrchestratorFrame = {
      t: 'hello',
      v: 1,
      orchestratorId: identity.orchestratorId,
      publicKey: identity.publicKey,
      instance,
      bootId: host.bootId,
      nonce: stream.word(20),
      software: 'simulated',
    };
    connection.send('up', encodeFrame(hello));
    world.schedule.after(HANDSHAKE_LIMIT_MS, 'handshake-limit', () => {
      if (this.#connection !== connection || this.#session !== null) return;
      world.count('handshake timed out');
      this.drop();
    });
  }

  #lost(connection: Connection): void {
    if (this.#connection !== connection) return;
    this.#connection = null;
    const wasUp = this.#session !== null;
    this.#session = null;
    for (const waiters of this.#blobWaiters.values()) for (const tell of waiters) tell(null);
    this.#blobWaiters.clear();
    if (wasUp) this.#options.onDown();
    this.#dialLater(0);
  }

  #dialLater(afterMs: number): void {
    const { world, stream } = this.#options;
    const ceiling = Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** Math.min(10, this.#attempt));
    const wait = Math.max(afterMs + stream.between(0, ceiling), this.#notBefore - world.now);
    world.schedule.after(wait, 'redial', () => this.dial());
  }

  #onText(connection: Connection, text: string): void {
    const { world, host, onUp, onFrame } = this.#options;
    const decoded = decodeManagerFrame(text);
    if (!decoded.ok) {
      world.count('garbage refused by an orchestrator');
      return this.drop();
    }
    const { frame } = decoded;
    switch (frame.t) {
      case 'challenge':
        connection.send('up', encodeFrame({ t: 'proof', sig: FAKE_SIGNATURE }));
        return;
      case 'welcome':
        this.#session = frame.session;
        this.#sequence = 0;
        this.#attempt = 0;
        this.#welcomed = { wall: frame.wall, mono: host.clock.at(world.now).mono };
        return onUp(frame);
      case 'reject':
        world.count(`rejected ${frame.code}`);
        world.line(host.name, `rejected: ${frame.code}`);
        this.#notBefore = world.now + frame.retryAfterMs;
        return;
      case 'order':
        if (!this.#accepts(frame)) {
          world.count('order refused by an orchestrator');
          return this.drop();
        }
        this.#sequence = frame.doc.sequence;
        return onFrame(frame);
      case 'blob': {
        const waiters = this.#blobWaiters.get(frame.digest) ?? [];
        this.#blobWaiters.delete(frame.digest);
        for (const tell of waiters) tell(frame.data);
        return;
      }
      case 'call':
        return;
      default:
        return onFrame(frame);
    }
  }

  #accepts({ doc }: ManagerFrameOf<'order'>): boolean {
    const { world, host } = this.#options;
    const managerWall = this.#welcomed.wall + host.clock.at(world.now).mono - this.#welcomed.mono;
    return (
      doc.session === this.#session &&
      doc.sequence > this.#sequence &&
      doc.orchestratorId === host.identity?.orchestratorId &&
      doc.customerId === host.customerId &&
      managerWall < doc.expiresAt
    );
  }
}
