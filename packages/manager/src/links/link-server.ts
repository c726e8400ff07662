/**
 * All links: accepts WebSockets on the link path, gives frames to the machine and carries its words back.
 *
 * Orders are numbered, dated and signed here, with the key that the root's delegation names. Receipts are checked against the
 * orchestrator's own key before the machine sees them; blobs are stored before the frame that names them is passed on.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  type ErrorCode,
  encodeFrame,
  LINK_FRAME_MAX_BYTES,
  LINK_PATH,
  LINK_SUBPROTOCOL,
  MusterError,
  type OrchestratorFrame,
  type OrchestratorFrameOf,
  type OrderDocument,
} from '@muster/contract';
import type { ManagerEffect } from '@muster/core/manager';
import { type Clock, type Logger, signDocument, verifyDocument } from '@muster/runtime';
import { WebSocketServer } from 'ws';
import type { Engine } from '../engine.ts';
import { answerOnSocket } from '../http/raw-answers.ts';
import type { ManagerIdentity } from '../identity.ts';
import type { Measures } from '../measures.ts';
import type { BlobStore } from './blobs.ts';
import { type CallRequest, Calls, type StreamReader } from './calls.ts';
import { type BadFrame, Link, type LinkOwner } from './link.ts';

/** How long an order may be taken after it was signed, ms. */
const ORDER_VALID_MS = 600_000;
const PROBE_INTERVAL_MS = 15_000;
/** Hand-shakes under way at one time; orchestrators that find the door full come again. */
const HANDSHAKES_LIMIT = 2_000;

export interface LinkServerOptions {
  readonly identity: ManagerIdentity;
  readonly measures: Measures;
  readonly clock: Clock;
  readonly log: Logger;
  readonly blobs: BlobStore;
  /** Where a request comes from, proxies taken into account. */
  readonly addressOf: (request: IncomingMessage) => string;
  /** Why an address may not link, or null. */
  readonly refusalOf: (address: string) => ErrorCode | null;
  /** Whether this orchestrator's customer lets it come from there. */
  readonly mayLink: (orchestratorId: string, address: string) => boolean;
}

const forBrowsers = { detail: 'A link is for orchestrators; pages of a browser may not open one.' };

export class LinkServer implements LinkOwner {
  readonly identity: ManagerIdentity;
  readonly measures: Measures;
  readonly #options: LinkServerOptions;
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: LINK_FRAME_MAX_BYTES,
    perMessageDeflate: false,
    clientTracking: false,
    handleProtocols: (offered) => (offered.has(LINK_SUBPROTOCOL) ? LINK_SUBPROTOCOL : false),
  });
  readonly #links = new Map<string, Link>();
  readonly #calls = new Calls();
  readonly #probeTimer: NodeJS.Timeout;
  #engine: Engine | undefined;
  #closing = false;
  readonly #handshakes = new Set<Link>();

  constructor(options: LinkServerOptions) {
    this.#options = options;
    this.identity = options.identity;
    this.measures = options.measures;
    this.#server.on('wsClientError', (error, socket) =>
      answerOnSocket(socket, 'bad-request', {
        detail: `This is not a WebSocket hand-shake: ${error.message}.`,
      }),
    );
    this.#probeTimer = setInterval(() => {
      for (const link of this.#links.values()) link.probe();
    }, PROBE_INTERVAL_MS);
    this.#probeTimer.unref();
  }

  get count(): number {
    return this.#links.size;
  }

  /** Accept links on `server`, which serves HTTP as well. */
  attach(server: Server, engine: Engine): void {
    this.#engine = engine;
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const path = (request.url ?? '').split('?')[0];
    const address = this.#options.addressOf(request);
    if (path !== LINK_PATH) return answerOnSocket(socket, 'not-found');
    if (this.#closing || this.#handshakes.size >= HANDSHAKES_LIMIT)
      return answerOnSocket(socket, 'overloaded');
    const code = this.#options.refusalOf(address);
    // Orchestrators are no browsers: a page that makes one connect is refused.
    if (code !== null || request.headers.origin !== undefined) {
      this.measures.linkRefusals.add(1, { code: code ?? 'origin' });
      return answerOnSocket(socket, code ?? 'forbidden', code === null ? forBrowsers : {});
    }
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
    if (!offered.includes(LINK_SUBPROTOCOL)) {
      const detail = `A link speaks the subprotocol ${LINK_SUBPROTOCOL}. Update the orchestrator.`;
      return answerOnSocket(socket, 'bad-request', { detail });
    }
    this.#server.handleUpgrade(request, socket, head, (websocket) => {
      const link = new Link(websocket, address, this);
      this.#links.set(link.id, link);
      this.#handshakes.add(link);
      websocket.once('close', () => {
        this.#links.delete(link.id);
        this.#handshakes.delete(link);
      });
    });
  }

  // ---- what comes in ---------------------------------------------------------------------------------------------------

  opened(link: Link, hello: OrchestratorFrameOf<'hello'>): boolean {
    this.#handshakes.delete(link);
    const { orchestratorId, publicKey, instance, bootId, software } = hello;
    if (!this.#options.mayLink(orchestratorId, link.address)) {
      link.reject('address-not-allowed', `The address ${link.address} may not act for this customer.`);
      return true;
    }
    return this.#submit({
      kind: 'linkOpened',
      link: link.id,
      orchestratorId,
      publicKey,
      instance,
      bootId,
      software,
    });
  }

  failed(link: Link, error: unknown): void {
    const fields = { orchestratorId: link.orchestratorId, address: link.address };
    this.#options.log.error({ err: error, fields }, 'link.frame-failed');
  }

  closed(link: Link): void {
    this.#calls.onLinkClosed(link.id);
    this.#submit({ kind: 'linkClosed', link: link.id });
  }

  frame(link: Link, frame: OrchestratorFrame): Promise<BadFrame | null> | BadFrame | null {
    switch (frame.t) {
      case 'answer':
      case 'chunk':
        // An answer that comes too late is no fault.
        this.#calls.onFrame(link.id, frame);
        return null;
      case 'blob':
        return this.#storeBlob(frame.digest, frame.data);
      case 'blobGet':
        return this.#sendBlob(link, frame.digest);
      case 'stopped':
        return frame.state === null
          ? this.#pass(link, frame)
          : this.#passWithState(link, frame, frame.state.digest);
      case 'receipts':
        return this.#receiptRefusal(link, frame) ?? this.#pass(link, frame);
      default:
        return this.#pass(link, frame);
    }
  }

  #pass(link: Link, frame: OrchestratorFrame): BadFrame | null {
    if (this.#submit({ kind: 'frame', link: link.id, frame })) return null;
    // Leaving one frame out would break their order: rather begin anew.
    return { code: 'overloaded', detail: 'The manager is overloaded. Try again in a few seconds.' };
  }

  #submit(input: Parameters<Engine['submit']>[0]): boolean {
    return this.#engine?.submit(input) ?? false;
  }

  async #storeBlob(digest: string, data: string): Promise<BadFrame | null> {
    const why = await this.#options.blobs.put(digest, data);
    return why === null ? null : { code: 'link-protocol', detail: `A blob was refused: ${why}.` };
  }

  async #passWithState(link: Link, frame: OrchestratorFrame, digest: string): Promise<BadFrame | null> {
    if (await this.#options.blobs.touch(digest)) return this.#pass(link, frame);
    return { code: 'link-protocol', detail: 'A stopped frame names a state that was not sent before it.' };
  }

  /** Only what this orchestrator's own target starts from. */
  async #sendBlob(link: Link, digest: string): Promise<null> {
    const orchestrator = this.#engine?.machine.facts.orchestrators.get(link.orchestratorId ?? '');
    const entries = [...(orchestrator?.target.entries.values() ?? [])];
    const own = entries.some((entry) => entry.initialState?.digest === digest);
    link.send({ t: 'blob', digest, data: own ? await this.#options.blobs.get(digest) : null });
    return null;
  }

  #receiptRefusal(link: Link, frame: OrchestratorFrameOf<'receipts'>): BadFrame | null {
    const key = link.publicKey ?? '';
    for (const { doc, sig } of frame.receipts) {
      const own = doc.orchestratorId === link.orchestratorId;
      if (!own || !verifyDocument('receipt', { doc, sig, key }, key).ok) {
        return {
          code: 'link-protocol',
          detail: `The receipt of order ${doc.orderId} is not signed by this orchestrator.`,
        };
      }
    }
    return null;
  }

  // ---- what goes out ---------------------------------------------------------------------------------------------------

  send(effect: Extract<ManagerEffect, { kind: 'send' }>): void {
    this.#links.get(effect.link)?.send(effect.frame);
  }

  order(effect: Extract<ManagerEffect, { kind: 'order' }>): void {
    const link = this.#links.get(effect.link);
    if (link === undefined || !link.isOpen) return;
    const { wall } = this.#options.clock.now();
    const document: OrderDocument = {
      customerId: effect.customerId,
      orchestratorId: effect.orchestratorId,
      session: effect.session,
      sequence: link.nextOrder(),
      issuedAt: wall,
      expiresAt: wall + ORDER_VALID_MS,
      body: effect.body,
    };
    const { doc, sig } = signDocument('order', document, this.identity.signing);
    const frame = { t: 'order', doc, sig } as const;
    if (Buffer.byteLength(encodeFrame(frame)) > LINK_FRAME_MAX_BYTES) {
      this.#options.log.error({ fields: { orchestratorId: effect.orchestratorId } }, 'link.order-too-large');
      return;
    }
    link.send(frame);
  }

  closeLink(id: string, code: ErrorCode, detail: string, retryAfterMs: number): void {
    this.#links.get(id)?.reject(code, detail, retryAfterMs);
  }

  /** Ask a connected orchestrator. Rejects with `link-out-of-reach` when it is not, or does not answer in time. */
  async call(orchestratorId: string, request: CallRequest): Promise<unknown> {
    const link = this.#linkOf(orchestratorId);
    return this.#calls.ask(link.id, (frame) => link.send(frame), request);
  }

  /** Follow the logs of one agent. Throws `link-out-of-reach`. The returned function stops it. */
  follow(orchestratorId: string, args: Record<string, unknown>, reader: StreamReader): () => void {
    const link = this.#linkOf(orchestratorId);
    return this.#calls.follow(link.id, (frame) => link.send(frame), 'logs', args, reader);
  }

  isConnected(orchestratorId: string): boolean {
    const id = this.#engine?.machine.presence.of(orchestratorId)?.link;
    return id != null && this.#links.get(id)?.isOpen === true;
  }

  #linkOf(orchestratorId: string): Link {
    const id = this.#engine?.machine.presence.of(orchestratorId)?.link;
    const link = id == null ? undefined : this.#links.get(id);
    if (link?.isOpen === true) return link;
    throw new MusterError('link-out-of-reach', 'The orchestrator is not connected at the moment.');
  }

  /** Close every link; the orchestrators go on and come back. */
  close(): void {
    this.#closing = true;
    clearInterval(this.#probeTimer);
    for (const link of this.#links.values()) link.leave();
    this.#server.close();
  }
}
