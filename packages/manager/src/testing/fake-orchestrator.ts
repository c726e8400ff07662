/**
 * An orchestrator for tests: real joining, real hand-shake, real signatures over a real WebSocket, and agents that are only
 * entries in a map. It does what it is told at once, unless a test tells it otherwise through `behaviour`.
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import {
  type AgentReport,
  decodeManagerFrame,
  encodeFrame,
  handshakeText,
  type JoinAnswer,
  type JoinIdentity,
  type JoinRequest,
  joinProofText,
  joinSealContext,
  LINK_PATH,
  LINK_SUBPROTOCOL,
  LINK_VERSION,
  type ManagerFrame,
  type ManagerFrameOf,
  type OrchestratorFrame,
  type Receipt,
  type TargetEntry,
} from '@muster/contract';
import {
  fingerprint,
  generateKey,
  parseJoinToken,
  type SigningKey,
  seal,
  sign,
  signDocument,
  verifyDelegation,
  verifyDocument,
} from '@muster/runtime';
import { WebSocket } from 'ws';

export interface Behaviour {
  /** How an agent that was ordered to run is reported; null: never. Default running. */
  statusOf: (entry: TargetEntry) => AgentReport['status'] | null;
  /** Answer stop challenges. Default true. */
  answersStops: boolean;
  /** State left by a stopped agent, text; null: none. */
  stateOf: (agentId: string) => string | null;
  /** Answer to a call. Default: a plausible one. */
  onCall: (frame: ManagerFrameOf<'call'>) => unknown;
}

export interface JoinFields {
  readonly agentId: string;
  readonly name?: string;
  readonly orchestratorId?: string;
  readonly capabilities?: readonly string[];
  readonly maxAgents?: number;
  readonly resources?: Record<string, unknown>;
}

/** The body of a join request, with every proof in place. */
export async function joinRequest(
  url: string,
  key: SigningKey,
  token: string | null,
  fields: JoinFields,
): Promise<JoinRequest> {
  const nonce = randomBytes(24).toString('base64url');
  const identity = (await (await fetch(`${url}/api/v1/join/identity?nonce=${nonce}`)).json()) as JoinIdentity;
  const parsed = token === null ? null : parseJoinToken(token);
  if (parsed !== null && fingerprint(identity.root_key) !== parsed.rootKeyHash)
    throw new Error('another manager answered');
  if (!verifyDelegation(identity.root_key, identity.delegation, Date.now()).ok)
    throw new Error('the delegation is not valid');
  const base = {
    box_key: identity.box_key,
    agent_id: fields.agentId,
    public_key: key.publicKeyText,
    proof: sign(key, joinProofText(identity.box_key, fields.agentId, key.publicKeyText, parsed?.id)),
    container_name: fields.name ?? fields.agentId,
    host_address: '127.0.0.1',
    api_port: 8001,
    capabilities: [...(fields.capabilities ?? [])],
    max_agents: fields.maxAgents ?? 10,
    resources: fields.resources ?? { cpu_count: 8, memory_limit: 16_000_000_000 },
    metadata: { orchestrator_id: fields.orchestratorId ?? fields.agentId },
  };
  if (parsed === null) return base;
  const sealed = seal(parsed.secret, identity.box_key, joinSealContext(parsed.id, key.publicKeyText));
  return { ...base, token_id: parsed.id, sealed_secret: sealed };
}

/** Join, over HTTP. Throws with the status and body of a refusal. */
export async function join(
  url: string,
  token: string,
  fields: JoinFields,
  key = generateKey(),
): Promise<FakeOrchestrator> {
  const body = await joinRequest(url, key, token, fields);
  const answer = await fetch(`${url}/api/v1/join`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (answer.status !== 200) throw new Error(`joining: ${answer.status} ${await answer.text()}`);
  return new FakeOrchestrator(url, key, (await answer.json()) as JoinAnswer, body);
}

export class FakeOrchestrator {
  readonly id: string;
  readonly key: SigningKey;
  readonly behaviour: Behaviour = {
    statusOf: () => 'running',
    answersStops: true,
    stateOf: () => null,
    onCall: plausibleAnswer,
  };
  readonly entries = new Map<string, TargetEntry>();
  readonly epochs = new Map<string, number>();
  /** Frames that came, latest last. */
  readonly received: ManagerFrame[] = [];
  instance: string = randomUUID();
  readonly #url: string;
  readonly #joined: JoinAnswer;
  readonly #fields: JoinRequest;
  readonly #blobs = new Map<string, string>();
  #socket: WebSocket | undefined;
  #beats: NodeJS.Timeout | undefined;
  #signer = '';
  #revision = 0;
  #generation = 0;
  #digest = '';
  #statusSeq = 0;
  #beatSeq = 0;

  constructor(url: string, key: SigningKey, joined: JoinAnswer, fields: JoinRequest) {
    this.id = joined.orchestrator_id;
    this.key = key;
    this.#url = url;
    this.#joined = joined;
    this.#fields = fields;
  }

  /** Dial, and resolve with the frame that ends the hand-shake: `welcome` or `reject`. */
  connect(url = this.#url): Promise<ManagerFrameOf<'welcome'> | ManagerFrameOf<'reject'>> {
    const socket = new WebSocket(`${url.replace(/^http/, 'ws')}${LINK_PATH}`, LINK_SUBPROTOCOL);
    this.#socket = socket;
    const hello = {
      t: 'hello' as const,
      v: LINK_VERSION,
      orchestratorId: this.id,
      publicKey: this.key.publicKeyText,
      instance: this.instance,
      bootId: 'boot',
      nonce: randomBytes(24).toString('base64url'),
      software: 'fake 0.0.0',
    };
    return new Promise((resolve, reject) => {
      socket.on('error', reject);
      socket.on('close', () => clearInterval(this.#beats));
      socket.on('open', () => this.send(hello));
      socket.on('message', (data) => {
        // An older socket of this instance may still speak.
        if (socket !== this.#socket) return;
        const decoded = decodeManagerFrame((data as Buffer).toString('utf8'));
        if (!decoded.ok) return reject(new Error(`the manager sent nonsense: ${decoded.reason}`));
        const { frame } = decoded;
        this.received.push(frame);
        if (frame.t === 'challenge') {
          const verdict = verifyDelegation(this.#joined.root_key, frame.delegation, Date.now());
          if (!verdict.ok) return reject(new Error(`delegation: ${verdict.reason}`));
          this.#signer = verdict.doc.signer;
          this.send({ t: 'proof', sig: sign(this.key, handshakeText('orchestrator', hello, frame.nonce)) });
        } else if (frame.t === 'reject') resolve(frame);
        else if (frame.t === 'welcome') {
          this.#begin(frame.beatIntervalMs);
          resolve(frame);
        } else this.#handle(frame);
      });
    });
  }

  send(frame: OrchestratorFrame): void {
    if (this.isConnected) this.#socket?.send(encodeFrame(frame));
  }
  /** Anything at all, for the garbage tests. */
  sendRaw(data: string | Buffer): void {
    this.#socket?.send(data);
  }
  get isConnected(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Cut the line without a word. */
  async drop(): Promise<void> {
    clearInterval(this.#beats);
    const socket = this.#socket;
    if (socket === undefined || socket.readyState === WebSocket.CLOSED) return;
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.terminate();
    await closed;
  }

  #begin(beatIntervalMs: number): void {
    const {
      container_name: name,
      host_address: hostAddress,
      api_port: apiPort,
      max_agents: maxAgents,
    } = this.#fields;
    const { capabilities, resources, metadata } = this.#fields;
    this.send({
      t: 'report',
      host: { name, hostAddress, apiPort, capabilities, maxAgents, resources, metadata },
      agents: [...this.entries.values()].flatMap((entry) => this.#reportOf(entry) ?? []),
      epochs: Object.fromEntries(this.epochs),
      generation: this.#generation,
      revision: this.#revision,
      digest: this.#digest,
    });
    const beat = (): void => {
      this.#beatSeq += 1;
      const metrics = Object.fromEntries(
        [...this.entries.keys()].map((id) => [id, { equity: 100_000, beats: this.#beatSeq }]),
      );
      this.send({
        t: 'beat',
        seq: this.#beatSeq,
        health: 97,
        resources: { cpu_usage_percent: 12.5 },
        metrics,
      });
    };
    beat();
    this.#beats = setInterval(beat, beatIntervalMs);
  }

  #handle(frame: ManagerFrame): void {
    if (frame.t === 'call') return this.#answer(frame);
    if (frame.t === 'targetCurrent')
      return this.send({ t: 'targetAck', generation: frame.generation, revision: frame.revision });
    if (frame.t !== 'order') return;
    const { doc, sig } = frame;
    const genuine = verifyDocument('order', { doc, sig, key: this.#signer }, this.#signer).ok;
    if (!genuine || doc.orchestratorId !== this.id) throw new Error('an order is not signed for me');
    if (doc.body.kind === 'stopQuery') return this.#stopped(doc.body.stopQuery);
    const { target } = doc.body;
    this.#generation = target.generation;
    this.#revision = target.revision;
    this.#digest = target.digest;
    if (target.kind === 'complete') {
      this.entries.clear();
      for (const entry of target.entries) this.#put(entry);
      for (const { agentId, epoch, orderId } of target.tombstones) this.#receipt(agentId, epoch, orderId);
    } else {
      for (const change of target.changes) {
        if (change.kind === 'put') this.#put(change.entry);
        else {
          this.entries.delete(change.tombstone.agentId);
          this.#receipt(change.tombstone.agentId, change.tombstone.epoch, change.tombstone.orderId);
        }
      }
    }
    this.send({ t: 'targetAck', generation: target.generation, revision: target.revision });
  }

  #put(entry: TargetEntry): void {
    this.entries.set(entry.agentId, entry);
    this.epochs.set(entry.agentId, Math.max(this.epochs.get(entry.agentId) ?? 0, entry.epoch));
    const report = this.#reportOf(entry);
    if (report === null) return;
    this.#statusSeq += 1;
    this.send({ t: 'status', seq: this.#statusSeq, agents: [report], gone: [] });
    this.#receipt(entry.agentId, entry.epoch, entry.orderId);
  }

  #reportOf(entry: TargetEntry): AgentReport | null {
    const status = entry.want === 'closing' ? 'stopping' : this.behaviour.statusOf(entry);
    if (status === null) return null;
    const state = this.behaviour.stateOf(entry.agentId);
    const stateBytes = state === null ? 0 : Buffer.byteLength(state);
    return {
      agentId: entry.agentId,
      epoch: entry.epoch,
      sub: 1,
      status,
      pid: 4242,
      since: Date.now(),
      crashes: 0,
      detail: '',
      lastExit: null,
      stateBytes,
      local: false,
    };
  }

  #receipt(agentId: string, epoch: number, orderId: string): void {
    const doc: Receipt = {
      orderId,
      orchestratorId: this.id,
      agentId,
      epoch,
      outcome: 'succeeded',
      detail: '',
      at: Date.now(),
    };
    const { sig } = signDocument('receipt', doc, this.key);
    this.send({ t: 'receipts', receipts: [{ doc, sig }] });
  }

  #stopped({ agentId, epoch, query }: { agentId: string; epoch: number; query: string }): void {
    if (!this.behaviour.answersStops) return;
    const text = this.behaviour.stateOf(agentId);
    let state = null;
    if (text !== null) {
      const bytes = Buffer.from(text);
      const digest = createHash('sha256').update(bytes).digest('hex');
      this.#blobs.set(digest, text);
      this.send({ t: 'blob', digest, data: bytes.toString('base64') });
      state = { digest, bytes: bytes.length };
    }
    this.send({ t: 'stopped', agentId, epoch, query, state, stateError: null });
  }

  #answer(frame: ManagerFrameOf<'call'>): void {
    const value = this.behaviour.onCall(frame);
    if (value === undefined) return;
    if (value instanceof Error)
      this.send({
        t: 'answer',
        id: frame.id,
        ok: false,
        error: { code: 'agent-command-failed', message: value.message },
      });
    else this.send({ t: 'answer', id: frame.id, ok: true, value });
  }
}

function plausibleAnswer(frame: ManagerFrameOf<'call'>): unknown {
  switch (frame.op) {
    case 'ping':
      return {};
    case 'logs':
      return { lines: [{ text: 'hello from the agent' }] };
    case 'state':
      return { files: [] };
    case 'command':
      return { verb: frame.args['verb'], done: true };
    case 'cancel':
      return {};
  }
}
