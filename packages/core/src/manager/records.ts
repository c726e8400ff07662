/**
 * The manager's journal records, one type per decision. `kind` is a past-tense event. Bodies are plain JSON and are never
 * changed in meaning: a new meaning gets a new kind, so that old journals replay for ever.
 */
import type {
  AgentSpec,
  AgentTypeRecipe,
  BlobRef,
  LinkKind,
  ReceiptOutcome,
  Role,
  Strategy,
} from '@muster/contract';
import type { JournalRecord } from '../machine.ts';
import type { ClosingThen } from './model.ts';

export interface OrchestratorFields {
  readonly name: string;
  readonly hostAddress: string;
  readonly apiPort: number;
  readonly apiEndpoint: string | null;
  readonly capabilities: readonly string[];
  readonly maxAgents: number;
  readonly resources: Readonly<Record<string, unknown>>;
  readonly metadata: Readonly<Record<string, unknown>>;
}

export interface RecordBodies {
  managerStarted: { incarnation: number };
  generationRaised: { generation: number; reason: string };
  customerCreated: { id: string; name: string; by: string };
  customerChanged: { id: string; name?: string; allowedIps?: readonly string[] | null; by: string };
  userCreated: {
    id: string;
    name: string;
    email: string | null;
    passwordHash: string;
    role: Role;
    customerId: string | null;
    by: string;
  };
  userChanged: { id: string; passwordHash?: string; role?: Role; email?: string | null; by: string };
  userRemoved: { id: string; by: string };
  joinTokenCreated: {
    id: string;
    customerId: string;
    name: string | null;
    secretHash: string;
    expiresAt: number;
    by: string;
  };
  joinTokenRevoked: { id: string; by: string };
  agentTypeRegistered: { recipe: AgentTypeRecipe };
  orchestratorEnrolled: {
    id: string;
    customerId: string;
    agentId: string;
    link: LinkKind;
    publicKey: string | null;
    subject: string | null;
    method: 'token' | 'password' | 'direct';
    /** Join token used up by this enrolment, in the same record: one decision, one write. */
    tokenId: string | null;
    fields: OrchestratorFields;
  };
  /** The same identity joined anew after its data directory was lost, or re-registered. */
  orchestratorRejoined: {
    id: string;
    publicKey: string | null;
    subject: string | null;
    method: 'token' | 'password' | 'direct';
    tokenId: string | null;
    fields: OrchestratorFields;
  };
  /** The first time it connected (or, direct, beat). */
  orchestratorFirstSeen: { id: string };
  orchestratorChanged: { id: string; fields: OrchestratorFields };
  orchestratorDraining: { id: string; draining: boolean; by: string; reason: string };
  orchestratorDeregistered: { id: string; by: string; forced: boolean; reason: string };
  agentDeployed: {
    id: string;
    customerId: string;
    deploymentId: string;
    spec: AgentSpec;
    strategy: Strategy;
    constraints: Readonly<Record<string, unknown>>;
    pinnedTo: string | null;
    by: string;
  };
  /** R1: the epoch is raised and the holder fixed in one record. */
  agentPlaced: {
    agentId: string;
    epoch: number;
    orchestratorId: string;
    orderId: string;
    reason: string;
    initialState: BlobRef | null;
    by: string;
  };
  agentUnplaced: { agentId: string; reason: string };
  agentDesired: { agentId: string; desired: 'running' | 'stopped' | 'removed'; by: string };
  agentRestartOrdered: { agentId: string; epoch: number; orderId: string; by: string };
  /** R6: from here on nothing is granted for this epoch, ever. */
  placementClosing: {
    agentId: string;
    epoch: number;
    orderId: string;
    why: string;
    then: ClosingThen;
    to: string | null;
    keepState: boolean;
    by: string;
  };
  /** The intention of a running close changed (a stop became a removal, say); the close itself goes on. */
  closingRedirected: { agentId: string; epoch: number; then: ClosingThen; to: string | null; by: string };
  /** R8: confirmed by an answer to a challenge made after CLOSING, or declared with evidence by a person. */
  placementReleased: {
    agentId: string;
    epoch: number;
    orderId: string;
    how: 'confirmed' | 'declared-dead';
    /** Portable state the stopped agent left; null: none was taken. */
    state: BlobRef | null;
    /** Start empty next time, whatever was left. */
    forgetState: boolean;
    /** The machine's own copy of the state, if there is one, is not to be started from; with `state` null: there is none anywhere. */
    copyless?: boolean;
    /** The state is there but could not be packed: only this machine has the latest. */
    stranded?: boolean;
    /** The machine may delete its copy of the state. */
    purge: boolean;
    by: string;
  };
  agentRemoved: { agentId: string };
  tombstonesCleared: { orchestratorId: string; revision: number };
  /** A machine has run an epoch the manager did not know (restored backup): never issue one at or below it. */
  epochFloorRaised: { agentId: string; epoch: number; orchestratorId: string };
  orderConcluded: {
    orderId: string;
    orchestratorId: string;
    agentId: string;
    epoch: number;
    outcome: ReceiptOutcome;
    detail: string;
    at: number;
    sig: string;
  };
}

export type RecordKind = keyof RecordBodies;
export type ManagerRecord = {
  [K in RecordKind]: { readonly kind: K; readonly at: number; readonly body: RecordBodies[K] };
}[RecordKind];
/** A journal record is accepted as ours by its kind; `ledger.apply` is exhaustive over them. */
export const asManagerRecord = (record: JournalRecord): ManagerRecord => record as ManagerRecord;
