/**
 * A manager small enough to read, with the real hand-shake, join and signatures, for tests of the orchestrator.
 *
 * It records every frame and every byte it was sent. Knobs make it lie: another root key than the token names, or an order with
 * a broken signature.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  decodeOrchestratorFrame,
  encodeFrame,
  handshakeText,
  JOIN_IDENTITY_PATH,
  JOIN_PATH,
  type JoinRequest,
  joinIdentityText,
  joinProofText,
  joinSealContext,
  LINK_PATH,
  LINK_SUBPROTOCOL,
  type ManagerFrame,
  type OrchestratorFrame,
  type OrchestratorFrameOf,
  type OrderBody,
  type TargetEntry,
  type Tombstone,
} from '@muster/contract';
import {
  createJoinSecret,
  delegate,
  encodeJoinToken,
  fingerprint,
  generateKey,
  generateSealingKey,
  open as openBox,
  sign,
  signDocument,
  verify,
  verifyDocument,
} from '@muster/runtime';
import { type WebSocket, WebSocketServer } from 'ws';

const DAY_MS = 86_400_000;

export class FakeManager {
  readonly root = generateKey();
  readonly signing = generateKey();
  readonly box = generateSealingKey();
  readonly secret = createJoinSecret();
  readonly orchestratorId = 'orc_1';
  readonly customerId = 'acme';
  readonly frames: OrchestratorFrame[] = [];
  readonly blobs = new Map<string, string>();
  /** Everything that arrived in bodies and messages. */
  received = '';
  joins = 0;
  links = 0;
  /** Answers every link with this instead of a challenge. */
  reject: { code: string; message: string; next: string; retryAfterMs: number } | null = null;
  beatIntervalMs = 500;
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    handleProtocols: () => LINK_SUBPROTOCOL,
  });
  readonly #delegation = delegate(this.root, {
    signer: this.signing.publicKeyText,
    notBefore: Date.now() - DAY_MS,
    notAfter: Date.now() + DAY_MS,
    serial: 1,
  });
  #socket: WebSocket | null = null;
  #session = '';
  #sequence = 0;
  #revision = 0;
  readonly #watchers = new Set<() => void>();

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.on('upgrade', (request, socket, head) => {
      if (request.url !== LINK_PATH) return socket.destroy();
      this.#sockets.handleUpgrade(request, socket, head, (link) => this.#accept(link));
    });
  }

  static async start(): Promise<FakeManager> {
    const manager = new FakeManager();
    await new Promise<void>((resolve) => manager.#server.listen(0, '127.0.0.1', resolve));
    return manager;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  /** A token of this manager; `rootKeyHash` may name another. */
  token(rootKeyHash = fingerprint(this.root.publicKeyText)): string {
    return encodeJoinToken({
      customer: this.customerId,
      id: 'token1',
      rootKeyHash,
      caHash: null,
      secret: this.secret,
    });
  }

  send(frame: ManagerFrame): void {
    this.#socket?.send(encodeFrame(frame));
  }
  sendText(text: string): void {
    this.#socket?.send(text);
  }
  cut(): void {
    this.#socket?.terminate();
  }

  /** A signed order of this session; `spoil` may change the finished frame. */
  order(
    body: OrderBody,
    spoil: (frame: Extract<ManagerFrame, { t: 'order' }>) => void = () => undefined,
  ): void {
    this.#sequence += 1;
    const now = Date.now();
    const doc = {
      customerId: this.customerId,
      orchestratorId: this.orchestratorId,
      session: this.#session,
      sequence: this.#sequence,
      issuedAt: now,
      expiresAt: now + 60_000,
      body,
    };
    const frame = { t: 'order' as const, doc, sig: signDocument('order', doc, this.signing).sig };
    spoil(frame);
    this.send(frame);
  }

  /** A complete target. */
  target(entries: TargetEntry[], tombstones: Tombstone[] = []): void {
    this.#revision += 1;
    const digest = createHash('sha256').update(String(this.#revision)).digest('hex');
    this.order({
      kind: 'target',
      target: { kind: 'complete', generation: 1, revision: this.#revision, digest, entries, tombstones },
    });
  }

  /** The first frame at or after `from` that fits; waits for it. */
  async next<T extends OrchestratorFrame['t']>(
    t: T,
    fits: (frame: OrchestratorFrameOf<T>) => boolean = () => true,
    from = 0,
  ): Promise<OrchestratorFrameOf<T>> {
    for (;;) {
      const found = this.frames
        .slice(from)
        .find((frame) => frame.t === t && fits(frame as OrchestratorFrameOf<T>));
      if (found !== undefined) return found as OrchestratorFrameOf<T>;
      await new Promise<void>((resolve) => this.#watchers.add(resolve));
    }
  }

  async close(): Promise<void> {
    this.#socket?.terminate();
    this.#sockets.close();
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    this.received += body;
    const url = new URL(request.url ?? '/', 'http://manager');
    const answer = (status: number, value: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
    if (url.pathname === JOIN_IDENTITY_PATH) {
      const sig = sign(
        this.signing,
        joinIdentityText(url.searchParams.get('nonce') ?? '', this.box.publicKeyText),
      );
      return answer(200, {
        root_key: this.root.publicKeyText,
        delegation: this.#delegation,
        box_key: this.box.publicKeyText,
        sig,
      });
    }
    if (url.pathname === JOIN_PATH) return this.#join(JSON.parse(body) as JoinRequest, answer);
    answer(404, { detail: 'no such route' });
  }

  #join(request: JoinRequest, answer: (status: number, value: unknown) => void): void {
    this.joins += 1;
    const { token_id: id, sealed_secret: sealed, public_key: key, agent_id: agent, proof } = request;
    const secret =
      id === undefined || sealed === undefined ? null : openBox(sealed, this.box, joinSealContext(id, key));
    const proved = verify(key, joinProofText(this.box.publicKeyText, agent, key, id), proof);
    if (secret === null || !secret.equals(this.secret) || !proved)
      return answer(403, { detail: 'The join token is not valid.' });
    answer(200, {
      orchestrator_id: this.orchestratorId,
      customer_id: this.customerId,
      root_key: this.root.publicKeyText,
      delegation: this.#delegation,
      rejoined: false,
    });
  }

  #accept(link: WebSocket): void {
    this.links += 1;
    let hello: OrchestratorFrameOf<'hello'> | null = null;
    const nonce = randomBytes(24).toString('base64url');
    link.on('error', () => link.terminate());
    link.on('message', (data) => {
      // Text messages arrive as one buffer.
      const text = (data as Buffer).toString('utf8');
      this.received += text;
      const decoded = decodeOrchestratorFrame(text);
      if (!decoded.ok) throw new Error(`the orchestrator sent ${decoded.reason}`);
      const { frame } = decoded;
      if (frame.t === 'hello') {
        hello = frame;
        if (this.reject !== null) return link.send(encodeFrame({ t: 'reject', ...this.reject }));
        const sig = sign(this.signing, handshakeText('manager', frame, nonce));
        link.send(encodeFrame({ t: 'challenge', v: 1, nonce, delegation: this.#delegation, sig }));
      } else if (frame.t === 'proof') {
        if (
          hello === null ||
          !verify(hello.publicKey, handshakeText('orchestrator', hello, nonce), frame.sig)
        )
          return link.close();
        this.#socket = link;
        this.#session = `s${this.links}`;
        this.#sequence = 0;
        const { beatIntervalMs, customerId } = this;
        this.send({
          t: 'welcome',
          session: this.#session,
          customerId,
          beatIntervalMs,
          wall: Date.now(),
          generation: 1,
          software: 'fake',
        });
      } else this.#answer(frame, hello?.publicKey ?? '');
      this.frames.push(frame);
      for (const wake of [...this.#watchers]) wake();
      this.#watchers.clear();
    });
  }

  #answer(frame: OrchestratorFrame, key: string): void {
    if (frame.t === 'beat')
      this.send({ t: 'beatAck', seq: frame.seq, beatIntervalMs: this.beatIntervalMs, wall: Date.now() });
    if (frame.t === 'status') this.send({ t: 'statusAck', seq: frame.seq });
    if (frame.t === 'blob') this.blobs.set(frame.digest, frame.data);
    if (frame.t === 'blobGet')
      this.send({ t: 'blob', digest: frame.digest, data: this.blobs.get(frame.digest) ?? null });
    if (frame.t === 'receipts') {
      for (const { doc, sig } of frame.receipts) {
        if (!verifyDocument('receipt', { doc, sig, key }, key).ok)
          throw new Error('a receipt with a wrong signature');
      }
      this.send({ t: 'receiptsAck', orderIds: frame.receipts.map(({ doc }) => doc.orderId) });
    }
  }
}
