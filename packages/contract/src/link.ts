/**
 * The link: every frame between a manager and an orchestrator over the one WebSocket the orchestrator dials.
 *
 * Hand-shake, in this order, anything else closes the socket: `hello` → `challenge` → `proof` → `welcome` (or `reject`) →
 * `report` (full) → `target` → `targetAck` (from then on eligible). After that frames of both directions mix freely; each is
 * one JSON text message, strict: an unknown key or kind is a protocol error. Whatever orders something (`target`,
 * `stopQuery`) travels inside a signed `order` envelope; whatever an orchestrator answers for good (`receipts`) is signed by it.
 */
import { type Static, type TSchema, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { agentStatuses, disconnectRules, receiptOutcomes } from './vocabulary.ts';

export const LINK_VERSION = 1;
export const LINK_PATH = '/api/v1/link';
export const LINK_SUBPROTOCOL = 'muster.link.v1';
/** Largest frame either side accepts, bytes. */
export const LINK_FRAME_MAX_BYTES = 16 * 1_048_576;
/** Beat period handed out by the manager unless configured otherwise, ms. */
export const DEFAULT_BEAT_INTERVAL_MS = 5_000;

const strict = { additionalProperties: false } as const;
const object = <P extends Record<string, TSchema>>(properties: P) => Type.Object(properties, strict);
const literals = <T extends readonly string[]>(words: T) =>
  Type.Unsafe<T[number]>({ type: 'string', enum: [...words] });
const Id = Type.String({ minLength: 1, maxLength: 128 });
const Text = Type.String({ maxLength: 1000 });
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Millis = Type.Number();
const Facts = Type.Record(Type.String({ maxLength: 128 }), Type.Unknown());
const PublicKey = Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' });
const Signature = Type.String({ pattern: '^[A-Za-z0-9_-]{86}$' });
const Nonce = Type.String({ minLength: 16, maxLength: 128 });

// ---- documents ---------------------------------------------------------------------------------------------------------

/** What an agent should be, fixed for the life of one placement epoch. */
export const AgentSpec = object({
  name: Text,
  customerId: Id,
  type: Id,
  typeVersion: Id,
  config: Facts,
  resources: object({ memoryBytes: Count, cpuCores: Type.Number({ minimum: 0 }) }),
  onDisconnect: object({ rule: literals(disconnectRules) }),
  stopGraceMs: Count,
  inFlightMs: Count,
});
export type AgentSpec = Static<typeof AgentSpec>;

export const BlobRef = object({ digest: Type.String({ pattern: '^[0-9a-f]{64}$' }), bytes: Count });
export type BlobRef = Static<typeof BlobRef>;
/** Stands for "start with an empty state directory". */
export const EMPTY_STATE: BlobRef = { digest: '0'.repeat(64), bytes: 0 };

/** One agent of an orchestrator's target. */
export const TargetEntry = object({
  agentId: Id,
  epoch: Count,
  /** The order this entry is the latest word of; its receipt names it. */
  orderId: Id,
  /** `run`: keep it running. `closing`: stop it; a challenge follows (`stopQuery`). */
  want: literals(['run', 'closing'] as const),
  /** How often a restart was ordered under this epoch. */
  restarts: Count,
  spec: AgentSpec,
  /** Portable state to start from, replacing what lies on this machine; null: what lies here, if anything. */
  initialState: Type.Union([BlobRef, Type.Null()]),
});
export type TargetEntry = Static<typeof TargetEntry>;

/** Explicit end of an entry: absence never means delete. */
export const Tombstone = object({
  agentId: Id,
  epoch: Count,
  orderId: Id,
  /** Also delete the agent's local state. */
  purge: Type.Boolean(),
});
export type Tombstone = Static<typeof Tombstone>;

export const TargetChange = Type.Union([
  object({ kind: Type.Literal('put'), entry: TargetEntry }),
  object({ kind: Type.Literal('remove'), tombstone: Tombstone }),
]);
export type TargetChange = Static<typeof TargetChange>;

/** The manager's word about everything (COMPLETE) or about what changed since `base` (INCREMENTAL). */
export const TargetDocument = Type.Union([
  object({
    kind: Type.Literal('complete'),
    /** Epoch of the manager's history; rises when it is restored from a backup. */
    generation: Count,
    revision: Count,
    /** Head of the chain digest(previous + change) after `revision`. */
    digest: Type.String({ maxLength: 64 }),
    entries: Type.Array(TargetEntry),
    tombstones: Type.Array(Tombstone),
  }),
  object({
    kind: Type.Literal('incremental'),
    generation: Count,
    base: Count,
    baseDigest: Type.String({ maxLength: 64 }),
    revision: Count,
    digest: Type.String({ maxLength: 64 }),
    changes: Type.Array(TargetChange, { minItems: 1 }),
  }),
]);
export type TargetDocument = Static<typeof TargetDocument>;

/** R8: "is everything of this agent up to `epoch` dead for good?" Only an answer to a query made after CLOSING counts. */
export const StopQuery = object({ agentId: Id, epoch: Count, query: Id });
export type StopQuery = Static<typeof StopQuery>;

/** What a manager's order says. Signed as a whole with the signing key; scope and sequence make it useless elsewhere or later. */
export const OrderDocument = object({
  customerId: Id,
  orchestratorId: Id,
  session: Id,
  /** Strictly rising within a session. */
  sequence: Count,
  issuedAt: Millis,
  /** Manager's wall clock after which the order must not be taken. */
  expiresAt: Millis,
  body: Type.Union([
    object({ kind: Type.Literal('target'), target: TargetDocument }),
    object({ kind: Type.Literal('stopQuery'), stopQuery: StopQuery }),
  ]),
});
export type OrderDocument = Static<typeof OrderDocument>;
export type OrderBody = OrderDocument['body'];

/** The one outcome of an order. */
export const Receipt = object({
  orderId: Id,
  orchestratorId: Id,
  agentId: Id,
  epoch: Count,
  outcome: literals(receiptOutcomes),
  detail: Text,
  at: Millis,
});
export type Receipt = Static<typeof Receipt>;

export const Delegation = object({
  doc: object({
    v: Type.Literal(1),
    root: PublicKey,
    signer: PublicKey,
    scope: Type.Literal('everything'),
    notBefore: Millis,
    notAfter: Millis,
    serial: Count,
  }),
  sig: Signature,
  key: PublicKey,
});
export type Delegation = Static<typeof Delegation>;

// ---- reports -----------------------------------------------------------------------------------------------------------

export const AgentReport = object({
  agentId: Id,
  epoch: Count,
  sub: Count,
  status: literals(agentStatuses),
  /** Host pid of the process; null when none runs. */
  pid: Type.Union([Count, Type.Null()]),
  /** Wall clock of the last status change, ms. */
  since: Millis,
  /** Local restarts under this epoch that nobody ordered. */
  crashes: Count,
  /** Why it is as it is, one sentence; empty when there is nothing to say. */
  detail: Text,
  lastExit: Type.Union([
    object({
      code: Type.Union([Type.Integer(), Type.Null()]),
      signal: Type.Union([Type.String(), Type.Null()]),
      at: Millis,
    }),
    Type.Null(),
  ]),
  /** Size of the portable state, bytes; null when unknown. */
  stateBytes: Type.Union([Count, Type.Null()]),
  /** Agents the customer's own operator deployed here; the manager only displays them. */
  local: Type.Boolean(),
});
export type AgentReport = Static<typeof AgentReport>;

/** What an orchestrator says about itself; merged into the Container's fields. */
export const HostFacts = object({
  name: Text,
  hostAddress: Text,
  apiPort: Type.Integer({ minimum: 0, maximum: 65535 }),
  capabilities: Type.Array(Text, { maxItems: 200 }),
  maxAgents: Count,
  resources: Facts,
  metadata: Facts,
});
export type HostFacts = Static<typeof HostFacts>;

// ---- frames ------------------------------------------------------------------------------------------------------------

const orchestratorFrames = {
  hello: object({
    t: Type.Literal('hello'),
    v: Type.Integer(),
    orchestratorId: Id,
    publicKey: PublicKey,
    /** Random per daemon process: the same instance may replace its own half-dead session. */
    instance: Id,
    bootId: Id,
    nonce: Nonce,
    software: Text,
  }),
  proof: object({ t: Type.Literal('proof'), sig: Signature }),
  report: object({
    t: Type.Literal('report'),
    host: HostFacts,
    agents: Type.Array(AgentReport),
    /** Highest epoch this machine ever ran or released, per agent: the manager never issues one at or below it. */
    epochs: Type.Record(Id, Count),
    generation: Count,
    revision: Count,
    digest: Type.String({ maxLength: 64 }),
  }),
  targetAck: object({ t: Type.Literal('targetAck'), generation: Count, revision: Count }),
  /** The incremental did not fit: send a complete one. */
  targetGap: object({ t: Type.Literal('targetGap'), revision: Count, reason: Text }),
  beat: object({
    t: Type.Literal('beat'),
    seq: Count,
    health: Type.Number({ minimum: 0, maximum: 100 }),
    resources: Facts,
    metrics: Type.Record(Id, Type.Record(Type.String({ maxLength: 64 }), Type.Number())),
  }),
  /** Changed agents only; acknowledged. */
  status: object({
    t: Type.Literal('status'),
    seq: Count,
    agents: Type.Array(AgentReport),
    gone: Type.Array(Id),
  }),
  stopped: object({
    t: Type.Literal('stopped'),
    agentId: Id,
    epoch: Count,
    query: Id,
    /** The agent's portable state after death; null when there is none or it is too large (then `stateError`). */
    state: Type.Union([BlobRef, Type.Null()]),
    stateError: Type.Union([Text, Type.Null()]),
  }),
  receipts: object({
    t: Type.Literal('receipts'),
    receipts: Type.Array(object({ doc: Receipt, sig: Signature }), { minItems: 1, maxItems: 1000 }),
  }),
  /** Bytes of a blob the manager does not have yet, sent before the frame that names it. */
  blob: object({
    t: Type.Literal('blob'),
    digest: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    data: Type.String(),
  }),
  blobGet: object({ t: Type.Literal('blobGet'), digest: Type.String({ pattern: '^[0-9a-f]{64}$' }) }),
  answer: object({
    t: Type.Literal('answer'),
    id: Id,
    ok: Type.Boolean(),
    value: Type.Optional(Type.Unknown()),
    error: Type.Optional(object({ code: Type.String({ maxLength: 64 }), message: Text })),
  }),
  /** One piece of a followed stream (`logs` with `follow`). `done` ends it. */
  chunk: object({
    t: Type.Literal('chunk'),
    id: Id,
    lines: Type.Array(Type.Unknown(), { maxItems: 5000 }),
    done: Type.Boolean(),
  }),
};

const managerFrames = {
  challenge: object({
    t: Type.Literal('challenge'),
    v: Type.Integer(),
    nonce: Nonce,
    delegation: Delegation,
    /** Signature of the signing key over both nonces and the orchestrator's id: proves the manager. */
    sig: Signature,
  }),
  welcome: object({
    t: Type.Literal('welcome'),
    session: Id,
    customerId: Id,
    beatIntervalMs: Type.Integer({ minimum: 100 }),
    /** Manager's wall clock, ms. */
    wall: Millis,
    generation: Count,
    software: Text,
  }),
  reject: object({
    t: Type.Literal('reject'),
    code: Type.String({ maxLength: 64 }),
    message: Text,
    next: Text,
    /** Do not try again before this, ms. */
    retryAfterMs: Count,
  }),
  order: object({ t: Type.Literal('order'), doc: OrderDocument, sig: Signature }),
  /** The reported target is the present one. */
  targetCurrent: object({ t: Type.Literal('targetCurrent'), generation: Count, revision: Count }),
  beatAck: object({
    t: Type.Literal('beatAck'),
    seq: Count,
    beatIntervalMs: Type.Integer({ minimum: 100 }),
    wall: Millis,
  }),
  statusAck: object({ t: Type.Literal('statusAck'), seq: Count }),
  receiptsAck: object({ t: Type.Literal('receiptsAck'), orderIds: Type.Array(Id) }),
  blob: object({
    t: Type.Literal('blob'),
    digest: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    data: Type.Union([Type.String(), Type.Null()]),
  }),
  /** A question that changes nothing, or a command for an agent; answered by `answer` or `chunk`s. */
  call: object({
    t: Type.Literal('call'),
    id: Id,
    op: literals(['logs', 'command', 'state', 'ping', 'cancel'] as const),
    args: Facts,
  }),
};

export const OrchestratorFrame = Type.Union(Object.values(orchestratorFrames) as TSchema[]);
export const ManagerFrame = Type.Union(Object.values(managerFrames) as TSchema[]);
export type OrchestratorFrame = {
  [K in keyof typeof orchestratorFrames]: Static<(typeof orchestratorFrames)[K]>;
}[keyof typeof orchestratorFrames];
export type ManagerFrame = {
  [K in keyof typeof managerFrames]: Static<(typeof managerFrames)[K]>;
}[keyof typeof managerFrames];
export type OrchestratorFrameOf<K extends OrchestratorFrame['t']> = Extract<OrchestratorFrame, { t: K }>;
export type ManagerFrameOf<K extends ManagerFrame['t']> = Extract<ManagerFrame, { t: K }>;

type Checker = {
  Check(value: unknown): boolean;
  Errors(value: unknown): readonly { instancePath: string; message: string }[];
};
const compiled = new Map<string, Checker>();
function checkerOf(side: string, kinds: Record<string, TSchema>, kind: string): Checker | undefined {
  if (!Object.hasOwn(kinds, kind)) return undefined;
  const key = `${side}:${kind}`;
  let checker = compiled.get(key);
  if (checker === undefined) {
    checker = Compile(kinds[kind] as TSchema) as unknown as Checker;
    compiled.set(key, checker);
  }
  return checker;
}

export type Decoded<T> = { ok: true; frame: T } | { ok: false; reason: string };

function decode<T>(side: string, kinds: Record<string, TSchema>, text: string): Decoded<T> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, reason: 'not JSON' };
  }
  const kind = typeof value === 'object' && value !== null ? (value as { t?: unknown }).t : undefined;
  if (typeof kind !== 'string') return { ok: false, reason: 'no frame kind' };
  const checker = checkerOf(side, kinds, kind);
  if (checker === undefined)
    return { ok: false, reason: `unknown frame kind ${JSON.stringify(kind.slice(0, 40))}` };
  if (checker.Check(value)) return { ok: true, frame: value as T };
  const first = checker.Errors(value)[0];
  return { ok: false, reason: `${kind}${first?.instancePath ?? ''}: ${first?.message ?? 'invalid'}` };
}

/** Parse and check one text message from an orchestrator. Never throws. */
export const decodeOrchestratorFrame = (text: string): Decoded<OrchestratorFrame> =>
  decode('orchestrator', orchestratorFrames, text);
/** Parse and check one text message from a manager. Never throws. */
export const decodeManagerFrame = (text: string): Decoded<ManagerFrame> =>
  decode('manager', managerFrames, text);
export const encodeFrame = (frame: OrchestratorFrame | ManagerFrame): string => JSON.stringify(frame);

/** The text both sides sign in the hand-shake; binds both nonces, the identity and the daemon instance. */
export function handshakeText(
  side: 'manager' | 'orchestrator',
  hello: Pick<OrchestratorFrameOf<'hello'>, 'orchestratorId' | 'publicKey' | 'instance' | 'nonce'>,
  managerNonce: string,
): string {
  return [
    `muster.handshake.${side}.v1`,
    hello.orchestratorId,
    hello.publicKey,
    hello.instance,
    hello.nonce,
    managerNonce,
  ].join('\n');
}
