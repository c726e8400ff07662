/**
 * One link: a WebSocket of one orchestrator, from `hello` to the closed socket.
 *
 * Hand-shake (`hello` → `challenge` → `proof`) happens here; then the link belongs to the machine, which welcomes or refuses
 * it. Frames are handled strictly one after the other, also when one of them waits for the disk; meanwhile the socket is not
 * read. What cannot be understood is answered by `reject` and ends the link. What the orchestrator does not read ends it too.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import {
  decodeOrchestratorFrame,
  type ErrorCode,
  encodeFrame,
  errorCatalogue,
  handshakeText,
  LINK_VERSION,
  type ManagerFrame,
  type OrchestratorFrame,
  type OrchestratorFrameOf,
} from '@muster/contract';
import { sign, verify } from '@muster/runtime';
import type { RawData, WebSocket } from 'ws';
import type { ManagerIdentity } from '../identity.ts';
import { jsonHazard } from '../json-bounds.ts';
import type { Measures } from '../measures.ts';

/** A hand-shake that takes longer is given up, ms. */
const HANDSHAKE_LIMIT_MS = 10_000;
/** Bytes that may wait for a slow reader. */
const OUT_BUFFER_LIMIT_BYTES = 16 * 1_048_576;
/** How long a closing socket may take before it is cut, ms. */
const CLOSE_LIMIT_MS = 2_000;
const INBOX_LIMIT = 2_000;

export interface LinkOwner {
  readonly identity: ManagerIdentity;
  readonly measures: Measures;
  /** The key is proved. False: no room, try later. */
  opened(link: Link, hello: OrchestratorFrameOf<'hello'>): boolean;
  /** A frame of an open link, in order. Returns why it is refused, or null. */
  frame(link: Link, frame: OrchestratorFrame): Promise<BadFrame | null> | BadFrame | null;
  closed(link: Link): void;
  /** Handling a frame failed on our side. */
  failed(link: Link, error: unknown): void;
}

export interface BadFrame {
  readonly code: ErrorCode;
  readonly detail: string;
}

export class Link {
  readonly id = `lnk_${randomUUID()}`;
  readonly address: string;
  readonly #socket: WebSocket;
  readonly #owner: LinkOwner;
  readonly #handshakeTimer: NodeJS.Timeout;
  readonly #inbox: string[] = [];
  #hello: OrchestratorFrameOf<'hello'> | undefined;
  #nonce = '';
  #phase: 'hello' | 'proof' | 'open' | 'closed' = 'hello';
  #working = false;
  #alive = true;
  #orders = 0;

  constructor(socket: WebSocket, address: string, owner: LinkOwner) {
    this.#socket = socket;
    this.#owner = owner;
    this.address = address;
    this.#handshakeTimer = setTimeout(
      () => this.reject('link-protocol', 'The hand-shake took too long.'),
      HANDSHAKE_LIMIT_MS,
    );
    socket.on('message', (data, isBinary) => this.#received(data, isBinary));
    socket.on('pong', () => {
      this.#alive = true;
    });
    socket.on('close', () => this.#ended());
    // A frame that is too large or not text ends up here; `close` follows.
    socket.on('error', () => this.#owner.measures.badFrames.add(1, { reason: 'socket' }));
  }

  get isOpen(): boolean {
    return this.#phase === 'open';
  }
  get orchestratorId(): string | undefined {
    return this.#hello?.orchestratorId;
  }
  get publicKey(): string | undefined {
    return this.#hello?.publicKey;
  }

  /** The number of the next order of this session, from 1. */
  nextOrder(): number {
    this.#orders += 1;
    return this.#orders;
  }

  send(frame: ManagerFrame): void {
    if (this.#phase === 'closed') return;
    if (this.#socket.bufferedAmount > OUT_BUFFER_LIMIT_BYTES) {
      this.#owner.measures.linkRefusals.add(1, { code: 'slow-reader' });
      return this.#socket.terminate();
    }
    this.#owner.measures.frames.add(1, { direction: 'out', kind: frame.t });
    this.#socket.send(encodeFrame(frame));
  }

  /** Say why, and close. */
  reject(code: ErrorCode, detail: string, retryAfterMs = 30_000): void {
    if (this.#phase === 'closed') return;
    this.#owner.measures.linkRefusals.add(1, { code });
    this.send({
      t: 'reject',
      code,
      message: detail.slice(0, 1000),
      next: errorCatalogue[code].next,
      retryAfterMs,
    });
    this.#shut(1008, code);
  }

  /** Close because the manager stops. */
  leave(): void {
    this.#shut(1001, 'stopping');
  }

  /** Two-way liveness below the beats: cut a socket whose peer has not answered since the last call. */
  probe(): void {
    if (!this.#alive) return this.#socket.terminate();
    this.#alive = false;
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping();
  }

  #shut(code: number, reason: string): void {
    if (this.#phase === 'closed') return;
    const wasOpen = this.#phase === 'open';
    this.#phase = 'closed';
    this.#inbox.length = 0;
    clearTimeout(this.#handshakeTimer);
    this.#socket.resume();
    this.#socket.close(code, reason);
    const timer = setTimeout(() => this.#socket.terminate(), CLOSE_LIMIT_MS);
    timer.unref();
    this.#socket.once('close', () => clearTimeout(timer));
    if (wasOpen) this.#owner.closed(this);
  }

  #ended(): void {
    clearTimeout(this.#handshakeTimer);
    const wasOpen = this.#phase === 'open';
    this.#phase = 'closed';
    if (wasOpen) this.#owner.closed(this);
  }

  #received(data: RawData, isBinary: boolean): void {
    if (this.#phase === 'closed') return;
    this.#alive = true;
    if (isBinary) return this.#bad('binary', 'A binary message came; frames are JSON text.');
    this.#inbox.push((data as Buffer).toString('utf8'));
    if (this.#inbox.length > INBOX_LIMIT) this.#socket.pause();
    if (!this.#working) void this.#work();
  }

  async #work(): Promise<void> {
    this.#working = true;
    for (let text = this.#inbox.shift(); text !== undefined; text = this.#inbox.shift()) {
      try {
        const outcome = this.#handle(text);
        if (outcome instanceof Promise) {
          this.#socket.pause();
          await outcome;
        }
      } catch (error) {
        // The disk failed us, not the peer: it may try again.
        this.#owner.failed(this, error);
        this.reject('overloaded', 'The manager could not take this frame. Try again.', 5_000);
      }
    }
    this.#working = false;
    if (this.#phase !== 'closed') this.#socket.resume();
  }

  #handle(text: string): Promise<void> | undefined {
    const decoded = decodeOrchestratorFrame(text);
    const hazard = decoded.ok ? jsonHazard(decoded.frame) : null;
    if (!decoded.ok) this.#bad('undecodable', `A frame was not understood: ${decoded.reason}.`);
    else if (hazard !== null)
      this.#bad('hazard', `A frame was not understood: ${decoded.frame.t}: ${hazard}`);
    else return this.#take(decoded.frame);
    return undefined;
  }

  #take(frame: OrchestratorFrame): Promise<void> | undefined {
    this.#owner.measures.frames.add(1, { direction: 'in', kind: frame.t });
    if (this.#phase === 'open' && frame.t !== 'hello' && frame.t !== 'proof') {
      const outcome = this.#owner.frame(this, frame);
      if (outcome instanceof Promise) return outcome.then((bad) => this.#judge(bad));
      this.#judge(outcome);
    } else if (frame.t === 'hello' && this.#phase === 'hello') this.#challenge(frame);
    else if (frame.t === 'proof' && this.#phase === 'proof') this.#prove(frame.sig);
    else this.#bad('out-of-order', `A ${frame.t} frame came out of order in the hand-shake.`);
    return undefined;
  }

  #judge(bad: BadFrame | null): void {
    if (bad === null || this.#phase === 'closed') return;
    this.#owner.measures.badFrames.add(1, { reason: bad.code });
    this.reject(bad.code, bad.detail);
  }

  #bad(reason: string, detail: string): void {
    this.#owner.measures.badFrames.add(1, { reason });
    this.reject('link-protocol', detail);
  }

  #challenge(hello: OrchestratorFrameOf<'hello'>): void {
    if (hello.v !== LINK_VERSION) {
      return this.reject(
        'link-version',
        `This manager speaks link version ${LINK_VERSION}, the orchestrator ${hello.v}.`,
        300_000,
      );
    }
    const { identity } = this.#owner;
    this.#hello = hello;
    this.#nonce = randomBytes(32).toString('base64url');
    this.#phase = 'proof';
    this.send({
      t: 'challenge',
      v: LINK_VERSION,
      nonce: this.#nonce,
      delegation: identity.delegation,
      sig: sign(identity.signing, handshakeText('manager', hello, this.#nonce)),
    });
  }

  #prove(signature: string): void {
    const hello = this.#hello;
    if (
      hello === undefined ||
      !verify(hello.publicKey, handshakeText('orchestrator', hello, this.#nonce), signature)
    ) {
      return this.reject('link-proof', 'The signature does not belong to the key named in the hello.');
    }
    clearTimeout(this.#handshakeTimer);
    this.#phase = 'open';
    if (!this.#owner.opened(this, hello))
      this.reject('overloaded', 'The manager is overloaded. Try again in a few seconds.', 5_000);
  }
}
