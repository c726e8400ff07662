/**
 * The manager's durable facts: what a crash must not lose. Everything here is derived from journal records alone
 * (`ledger.ts` applies them), so replaying the journal gives the same state, bit for bit. Sessions, beats, observed agents and
 * metrics are not here: they are re-learnt from the orchestrators (`presence.ts`).
 */
import type {
  AgentSpec,
  AgentTypeRecipe,
  BlobRef,
  LinkKind,
  ReceiptOutcome,
  Role,
  Strategy,
  TargetChange,
  TargetEntry,
  Tombstone,
} from '@muster/contract';

/** Epochs are `generation * EPOCHS_PER_GENERATION + n`, so a restored manager starts above everything it ever issued. */
export const EPOCHS_PER_GENERATION = 2 ** 32;

export interface Customer {
  readonly id: string;
  readonly name: string;
  readonly createdAt: number;
  /** Addresses and CIDR ranges this customer's machines and users may come from; null: anywhere. */
  readonly allowedIps: readonly string[] | null;
}

export interface User {
  readonly id: string;
  readonly name: string;
  readonly email: string | null;
  readonly passwordHash: string;
  readonly role: Role;
  /** The one customer the user sees; null: all. */
  readonly customerId: string | null;
  readonly createdAt: number;
  /** Raised to make every token of this user invalid. */
  readonly tokenVersion: number;
}

export interface JoinToken {
  readonly id: string;
  readonly customerId: string;
  /** Orchestrator name the token is bound to; null: any. */
  readonly name: string | null;
  readonly secretHash: string;
  readonly createdAt: number;
  readonly createdBy: string;
  readonly expiresAt: number;
  usedBy: string | null;
  usedAt: number | null;
  revokedAt: number | null;
}

export interface Orchestrator {
  readonly id: string;
  readonly customerId: string;
  /** The program's own AGENT_ID: with the customer, the identity that registering again updates. */
  readonly agentId: string;
  readonly link: LinkKind;
  readonly registeredAt: number;
  /** Ed25519 public key; null for direct programs, which prove themselves with a sign-in token. */
  publicKey: string | null;
  /** Subject (user id) that registered a direct program. */
  subject: string | null;
  name: string;
  hostAddress: string;
  apiPort: number;
  apiEndpoint: string | null;
  capabilities: readonly string[];
  maxAgents: number;
  resources: Readonly<Record<string, unknown>>;
  metadata: Readonly<Record<string, unknown>>;
  draining: boolean;
  /** When it first connected; null: never. */
  connectedAt: number | null;
  /** Set when it was removed; the record stays so that a returning machine gets its standing stop. */
  deregisteredAt: number | null;
  /** Sequence number of the last placement put here; round robin picks the smallest. */
  lastPlacedSeq: number;
  target: Target;
}

export interface Target {
  revision: number;
  /** Head of the chain digest(previous + change). */
  digest: string;
  readonly entries: Map<string, TargetEntry>;
  /** By agent id; kept until the orchestrator acknowledged the revision. */
  readonly tombstones: Map<string, Tombstone & { readonly revision: number }>;
  /** The latest changes, oldest first, to send increments from. Bounded; not part of the snapshot. */
  recent: { readonly revision: number; readonly digest: string; readonly change: TargetChange }[];
}

export type ClosingThen = 'stop' | 'remove' | 'place';

export interface Placement {
  readonly orchestratorId: string;
  readonly epoch: number;
  readonly placedAt: number;
  readonly reason: string;
  /** OPEN: may run. CLOSING: is being stopped for good, nothing may ever run under this epoch again once released (R6). */
  phase: 'OPEN' | 'CLOSING';
  closing: {
    readonly why: string;
    readonly then: ClosingThen;
    readonly to: string | null;
    readonly keepState: boolean;
    readonly at: number;
  } | null;
  restarts: number;
}

export interface Agent {
  readonly id: string;
  readonly customerId: string;
  readonly deploymentId: string;
  readonly createdAt: number;
  readonly createdBy: string;
  readonly spec: AgentSpec;
  readonly strategy: Strategy;
  readonly constraints: Readonly<Record<string, unknown>>;
  /** Orchestrator this agent is pinned to (from `orchestrator_id` or `preferred_container`); null: any. */
  pinnedTo: string | null;
  desired: 'running' | 'stopped' | 'removed';
  /** Highest epoch ever issued (or learnt from a machine); never decreases. */
  epoch: number;
  placement: Placement | null;
  /** State the last confirmed stop left behind; null: none. */
  state: BlobRef | null;
  /** Machine whose local copy of the state is the latest: a placement there needs no transfer. Null: none. */
  stateAt: string | null;
  /**
   * The one machine that holds the latest state, because it could not be taken along at the last stop. The agent starts there or
   * nowhere, until that machine is removed: an older state would trade on forgotten orders. Null: no such machine.
   */
  stateOnlyAt: string | null;
  /** Why it has no placement, when it should. */
  unplacedReason: string;
}

export interface OrderRecord {
  readonly id: string;
  readonly orchestratorId: string;
  readonly agentId: string;
  readonly epoch: number;
  readonly what: 'run' | 'restart' | 'close' | 'remove';
  readonly at: number;
  readonly by: string;
  outcome: ReceiptOutcome | null;
  detail: string;
  concludedAt: number | null;
}

export interface Facts {
  /** Raised when the manager is restored from a backup. */
  generation: number;
  /** Number of the present run of the manager; makes session ids unique. */
  incarnation: number;
  /** Placements made so far. */
  placements: number;
  readonly customers: Map<string, Customer>;
  readonly users: Map<string, User>;
  readonly joinTokens: Map<string, JoinToken>;
  readonly agentTypes: Map<string, AgentTypeRecipe>;
  readonly orchestrators: Map<string, Orchestrator>;
  readonly agents: Map<string, Agent>;
  /** The latest orders, by id; bounded to `ORDERS_KEPT`. Older ones are in the journal. */
  readonly orders: Map<string, OrderRecord>;
}

export const ORDERS_KEPT = 20_000;
export const RECENT_CHANGES_KEPT = 64;

export function emptyFacts(): Facts {
  return {
    generation: 1,
    incarnation: 0,
    placements: 0,
    customers: new Map(),
    users: new Map(),
    joinTokens: new Map(),
    agentTypes: new Map(),
    orchestrators: new Map(),
    agents: new Map(),
    orders: new Map(),
  };
}
