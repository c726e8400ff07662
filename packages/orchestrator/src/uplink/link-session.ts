/**
 * One session over one WebSocket: the hand-shake, then frames both ways until it ends.
 *
 * Order: hello, challenge (the manager proves a signing key that the pinned root vouches for), proof, welcome. Anything else,
 * any frame that does not decode, and any order that does not pass the gate ends the session. Output is bounded: a manager
 * that does not read is dropped instead of filling this process. Silence is noticed twice: by the machine's beats and by
 * WebSocket pings, which also cover a session that is not past its hand-shake.
 */
import { randomBytes } from 'node:crypto';
import {
  decodeManagerFrame,
  encodeFrame,
  handshakeText,
  LINK_VERSION,
  type ManagerFrame,
  type ManagerFrameOf,
  type OrchestratorFrame,
  type OrderBody,
} from '@muster/contract';
import { type SigningKey, sign, verify, verifyDelegation } from '@muster/runtime';
import type { WebSocket } from 'ws';
import type { Identity } from '../identity.ts';
import { OrderGate } from './order-gate.ts';

const HANDSHAKE_LIMIT_MS = 20_000;
const PING_INTERVAL_MS = 20_000;
const OUT_BUFFER_MAX_BYTES = 16 * 1_048_576;

export type SessionEnd =
  | {
      readonly kind: 'rejected';
      readonly code: string;
      readonly message: string;
      readonly next: string;
      readonly retryAfterMs: number;
    }
  /** The manager, or something in its name, broke the protocol or could not prove itself. */
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'lost'; readonly reason: string };

export interface SessionEvents {
  welcomed(welcome: ManagerFrameOf<'welcome'>): void;
  /** An order that passed the gate. */
  order(body: OrderBody): void;
  frame(frame: Exclude<ManagerFrame, { t: 'order' | 'challenge' | 'welcome' | 'reject' }>): void;
  /** Once, whatever the reason. `wasUp`: it got as far as the welcome. */
  ended(end: SessionEnd, wasUp: boolean): void;
}

export interface SessionOptions {
  readonly socket: WebSocket;
  readonly identity: Identity;
  readonly key: SigningKey;
  readonly instance: string;
  readonly bootId: string;
  readonly software: string;
  readonly nowWall: () => number;
  readonly nowMono: () => number;
  readonly sawDelegation: (serial: number) => void;
  readonly events: SessionEvents;
}

export class LinkSession {
  readonly #options: SessionOptions;
  readonly #hello: Extract<OrchestratorFrame, { t: 'hello' }>;
  readonly #handshake: NodeJS.Timeout;
  readonly #ping: NodeJS.Timeout;
  #phase: 'greeted' | 'proved' | 'up' | 'ended' = 'greeted';
  #signer = { key: '', until: 0 };
  #gate: OrderGate | null = null;
  #managerClock = { wall: 0, mono: 0 };
  #alive = true;

  constructor(options: SessionOptions) {
    this.#options = options;
    const { socket, identity, key, instance, bootId, software } = options;
    this.#hello = {
      t: 'hello',
      v: LINK_VERSION,
      orchestratorId: identity.orchestratorId,
      publicKey: key.publicKeyText,
      instance,
      bootId,
      nonce: randomBytes(24).toString('base64url'),
      software,
    };
    this.#handshake = setTimeout(() => this.drop('the hand-shake took too long'), HANDSHAKE_LIMIT_MS);
    this.#ping = setInterval(() => this.#pingManager(), PING_INTERVAL_MS);
    socket.on('message', (data, isBinary) => {
      this.#alive = true;
      if (isBinary) this.#refuse('a binary message');
      else this.#receive((data as Buffer).toString('utf8'));
    });
    socket.on('pong', () => {
      this.#alive = true;
    });
    socket.on('error', (error) => this.#end({ kind: 'lost', reason: error.message }));
    socket.on('close', (code, reason) => {
      const said = reason.toString('utf8').slice(0, 120);
      this.#end({
        kind: 'lost',
        reason: said === '' ? `the connection was closed (${code})` : `the connection was closed: ${said}`,
      });
    });
    this.#write(this.#hello);
  }

  get isUp(): boolean {
    return this.#phase === 'up';
  }

  /** The manager's wall clock now, as far as it told us, Unix ms. */
  managerWall(): number {
    return this.#managerClock.wall + (this.#options.nowMono() - this.#managerClock.mono);
  }

  /** False: the session is not up, or ended because the manager does not read. */
  send(frame: OrchestratorFrame): boolean {
    if (this.#phase !== 'up') return false;
    this.#write(frame);
    return this.isUp;
  }

  /** Ends the session from our side. */
  drop(reason: string): void {
    this.#end({ kind: 'lost', reason });
  }

  #write(frame: OrchestratorFrame): void {
    const { socket } = this.#options;
    if (socket.bufferedAmount > OUT_BUFFER_MAX_BYTES)
      return this.drop('the manager does not read what it is sent');
    socket.send(encodeFrame(frame));
  }

  #receive(text: string): void {
    if (this.#phase === 'ended') return;
    const decoded = decodeManagerFrame(text);
    if (!decoded.ok) return this.#refuse(`a frame that is not understood: ${decoded.reason}`);
    const { frame } = decoded;
    if (frame.t === 'reject') {
      const { code, message, next, retryAfterMs } = frame;
      return this.#end({ kind: 'rejected', code, message, next, retryAfterMs });
    }
    if (this.#phase === 'greeted') {
      return frame.t === 'challenge'
        ? this.#prove(frame)
        : this.#refuse(`${frame.t} in place of a challenge`);
    }
    if (this.#phase === 'proved') {
      return frame.t === 'welcome' ? this.#welcome(frame) : this.#refuse(`${frame.t} in place of a welcome`);
    }
    if (frame.t === 'challenge' || frame.t === 'welcome') return this.#refuse(`a second ${frame.t}`);
    if (frame.t === 'beatAck') this.#setManagerClock(frame.wall);
    if (frame.t !== 'order') return this.#options.events.frame(frame);
    const verdict = this.#gate?.check(frame) ?? { ok: false as const, reason: 'no session' };
    if (!verdict.ok) return this.#refuse(`an order that does not verify: ${verdict.reason}`);
    this.#options.events.order(verdict.body);
  }

  #prove(challenge: ManagerFrameOf<'challenge'>): void {
    const { identity, key, nowWall, sawDelegation } = this.#options;
    if (challenge.v !== LINK_VERSION)
      return this.#refuse(`link version ${challenge.v}, this side speaks ${LINK_VERSION}`);
    const delegation = verifyDelegation(
      identity.rootKey,
      challenge.delegation,
      nowWall(),
      identity.delegationSerial,
    );
    if (!delegation.ok) {
      const clock =
        delegation.reason === 'expired' || delegation.reason === 'not-yet-valid'
          ? '; is the clock of this machine right?'
          : '';
      return this.#refuse(
        `a signing key that the pinned root key does not vouch for: ${delegation.reason}${clock}`,
      );
    }
    const { signer, notAfter, serial } = delegation.doc;
    if (!verify(signer, handshakeText('manager', this.#hello, challenge.nonce), challenge.sig)) {
      return this.#refuse('a challenge whose signature is wrong: this is not our manager');
    }
    sawDelegation(serial);
    this.#signer = { key: signer, until: notAfter };
    this.#phase = 'proved';
    this.#write({ t: 'proof', sig: sign(key, handshakeText('orchestrator', this.#hello, challenge.nonce)) });
  }

  #welcome(welcome: ManagerFrameOf<'welcome'>): void {
    const { customerId, session } = welcome;
    const { orchestratorId } = this.#options.identity;
    if (customerId !== this.#options.identity.customerId)
      return this.#refuse('another customer than this machine joined');
    clearTimeout(this.#handshake);
    this.#phase = 'up';
    this.#setManagerClock(welcome.wall);
    const scope = {
      customerId,
      orchestratorId,
      session,
      signer: this.#signer.key,
      signerUntil: this.#signer.until,
    };
    this.#gate = new OrderGate(scope, () => this.managerWall());
    this.#options.events.welcomed(welcome);
  }

  #setManagerClock(wall: number): void {
    this.#managerClock = { wall, mono: this.#options.nowMono() };
  }

  #pingManager(): void {
    if (!this.#alive) return this.drop('the manager has been silent');
    this.#alive = false;
    this.#options.socket.ping();
  }

  #refuse(reason: string): void {
    this.#end({ kind: 'refused', reason: reason.slice(0, 300) });
  }

  #end(end: SessionEnd): void {
    if (this.#phase === 'ended') return;
    const wasUp = this.#phase === 'up';
    this.#phase = 'ended';
    clearTimeout(this.#handshake);
    clearInterval(this.#ping);
    const { socket, events } = this.#options;
    socket.removeAllListeners('message');
    if (socket.readyState === socket.OPEN) socket.close(1000);
    setTimeout(() => socket.terminate(), 1_000).unref();
    events.ended(end, wasUp);
  }
}
