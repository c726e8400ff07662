/**
 * What goes into the manager machine and what comes out. Commands come from people and programs by way of the HTTP shell,
 * which has authenticated them; link inputs come from the channel shell, which has checked key proofs and decoded frames.
 */
import type {
  ErrorCode,
  Failure,
  FieldError,
  ManagerFrame,
  OrchestratorFrame,
  OrderBody,
  Role,
} from '@muster/contract';
import type { AppendEffect, NoteEffect } from '../machine.ts';
import type { OrchestratorFields } from './records.ts';

/** Who asks. `customerId` null: sees every customer. */
export interface Actor {
  /** Stable id for the journal: `user:<id>`, `orchestrator:<id>` or `system`. */
  readonly id: string;
  readonly role: Role;
  readonly customerId: string | null;
}

export interface DeployCommand {
  readonly kind: 'deploy';
  readonly agentType: string;
  readonly agentConfig: Readonly<Record<string, unknown>>;
  readonly resourceRequirements: Readonly<Record<string, unknown>>;
  readonly preferredContainer: string | null;
  readonly strategy: string;
  readonly constraints: Readonly<Record<string, unknown>>;
  readonly name: string | null;
  readonly customerId: string | null;
  readonly onDisconnect: string;
  readonly replicas: number;
  /** Answer only when the orchestrators have confirmed the processes. */
  readonly waitRunning: boolean;
}

export type ManagerCommand =
  | { readonly kind: 'createCustomer'; readonly id: string; readonly name: string }
  | {
      readonly kind: 'changeCustomer';
      readonly id: string;
      readonly name?: string;
      readonly allowedIps?: readonly string[] | null;
    }
  | {
      readonly kind: 'createUser';
      readonly name: string;
      readonly email: string | null;
      readonly passwordHash: string;
      readonly role: Role;
      readonly customerId: string | null;
    }
  | {
      readonly kind: 'changeUser';
      readonly id: string;
      readonly passwordHash?: string;
      readonly role?: Role;
      readonly email?: string | null;
    }
  | { readonly kind: 'removeUser'; readonly id: string }
  | {
      readonly kind: 'createJoinToken';
      readonly id: string;
      readonly customerId: string;
      readonly name: string | null;
      readonly secretHash: string;
      readonly expiresAt: number;
    }
  | { readonly kind: 'revokeJoinToken'; readonly id: string }
  | {
      readonly kind: 'enrol';
      /** `token`: tokenId and secretHash prove it. `password`: the actor is an administrator. */
      readonly method: 'token' | 'password';
      readonly tokenId: string | null;
      readonly secretHash: string | null;
      readonly agentId: string;
      readonly publicKey: string;
      readonly fields: OrchestratorFields;
    }
  | {
      readonly kind: 'registerDirect';
      readonly subject: string;
      readonly agentId: string;
      readonly fields: OrchestratorFields;
    }
  | {
      readonly kind: 'directBeat';
      readonly orchestratorId: string;
      readonly subject: string;
      readonly health: number;
      readonly resources: Readonly<Record<string, unknown>>;
      readonly activeAgents: number;
      readonly metadata: Readonly<Record<string, unknown>>;
    }
  | DeployCommand
  | { readonly kind: 'stopAgent'; readonly agentId: string; readonly wait: boolean }
  | { readonly kind: 'startAgent'; readonly agentId: string; readonly wait: boolean }
  | { readonly kind: 'restartAgent'; readonly agentId: string; readonly wait: boolean }
  | { readonly kind: 'removeAgent'; readonly agentId: string; readonly wait: boolean }
  | {
      readonly kind: 'migrateAgent';
      readonly agentId: string;
      readonly to: string | null;
      readonly reason: string;
      readonly preserveState: boolean;
    }
  | { readonly kind: 'rebalance' }
  | {
      readonly kind: 'drain';
      readonly orchestratorId: string;
      readonly draining: boolean;
      readonly reason: string;
    }
  | { readonly kind: 'deregister'; readonly orchestratorId: string; readonly force: boolean };

export type CommandOf<K extends ManagerCommand['kind']> = Extract<ManagerCommand, { kind: K }>;

export type CommandResult =
  | { readonly ok: true; readonly value: Readonly<Record<string, unknown>> }
  | ({ readonly ok: false } & Failure);

export type ManagerInput =
  | { readonly kind: 'tick' }
  /** First input of every run: sets the incarnation, makes the default customer, registers agent types. */
  | { readonly kind: 'start'; readonly agentTypes: readonly import('@muster/contract').AgentTypeRecipe[] }
  | {
      readonly kind: 'command';
      readonly request: string;
      readonly actor: Actor;
      readonly command: ManagerCommand;
    }
  | {
      readonly kind: 'linkOpened';
      readonly link: string;
      readonly orchestratorId: string;
      readonly publicKey: string;
      readonly instance: string;
      readonly bootId: string;
      readonly software: string;
    }
  | { readonly kind: 'frame'; readonly link: string; readonly frame: OrchestratorFrame }
  | { readonly kind: 'linkClosed'; readonly link: string };

/** Something a watcher of the fleet may want to know; scoped to one customer. */
export interface PublicEvent {
  readonly type: string;
  readonly customerId: string | null;
  readonly data: Readonly<Record<string, unknown>>;
}

export type ManagerEffect =
  | AppendEffect
  | NoteEffect
  | { readonly kind: 'reply'; readonly request: string; readonly result: CommandResult }
  | { readonly kind: 'send'; readonly link: string; readonly frame: ManagerFrame; readonly immediate?: true }
  /** Sign, number and send. */
  | {
      readonly kind: 'order';
      readonly link: string;
      readonly session: string;
      readonly orchestratorId: string;
      readonly customerId: string;
      readonly body: OrderBody;
    }
  | {
      readonly kind: 'closeLink';
      readonly link: string;
      readonly code: ErrorCode;
      readonly detail: string;
      readonly retryAfterMs: number;
    }
  | { readonly kind: 'publish'; readonly event: PublicEvent };

/** Checks a configuration against its type's schema. Pure. Defaults applied in `config`. */
export type ValidateConfig = (
  type: string,
  config: Readonly<Record<string, unknown>>,
) => {
  readonly config: Readonly<Record<string, unknown>>;
  readonly errors: readonly FieldError[];
  readonly warnings: readonly string[];
};
