/**
 * What goes into the orchestrator machine and what comes out. The shell has checked signatures, scope and sequence of every
 * order before it gets here; the keeper's answers come back as inputs.
 */
import type {
  AgentExit,
  AgentLifecycle,
  AgentSpec,
  BlobRef,
  HostFacts,
  KeeperAgent,
  KeeperErrorCode,
  ManagerFrame,
  OrchestratorFrame,
  OrderBody,
  Receipt,
} from '@muster/contract';
import type { AppendEffect, NoteEffect } from '../machine.ts';

/** What the customer's own operator may do here, with the manager or without. */
export type LocalCommand =
  | { readonly kind: 'stop'; readonly agentId: string | null; readonly by: string; readonly reason: string }
  | { readonly kind: 'resume'; readonly agentId: string | null; readonly by: string }
  | { readonly kind: 'deploy'; readonly agentId: string; readonly spec: AgentSpec; readonly by: string };

export type LocalResult =
  | { readonly ok: true; readonly agentIds: readonly string[] }
  | {
      readonly ok: false;
      readonly code: 'not-found' | 'conflict' | 'managed-by-link' | 'nothing-fits';
      readonly detail: string;
    };

export type OrchestratorInput =
  | { readonly kind: 'tick' }
  /** The keeper is there; `agents` is what it runs and remembers. */
  | { readonly kind: 'keeperUp'; readonly agents: readonly KeeperAgent[] }
  | { readonly kind: 'keeperDown' }
  | {
      readonly kind: 'spawned';
      readonly agentId: string;
      readonly epoch: number;
      readonly sub: number;
      readonly pid: number;
      readonly hostPid: number | null;
    }
  /** `unknown-type`: this machine cannot run the type at all. */
  | {
      readonly kind: 'spawnFailed';
      readonly agentId: string;
      readonly epoch: number;
      readonly code: KeeperErrorCode | 'unknown-type';
      readonly message: string;
    }
  | { readonly kind: 'exited'; readonly agentId: string; readonly exit: AgentExit }
  /** Answer to `stopProcess`: the request was taken; the end itself comes as `exited`. */
  | { readonly kind: 'stopAnswered'; readonly agentId: string; readonly wasRunning: boolean }
  | { readonly kind: 'released'; readonly agentId: string; readonly epoch: number }
  | {
      readonly kind: 'releaseFailed';
      readonly agentId: string;
      readonly epoch: number;
      readonly message: string;
    }
  | { readonly kind: 'stateReady'; readonly agentId: string; readonly epoch: number }
  | {
      readonly kind: 'stateFailed';
      readonly agentId: string;
      readonly epoch: number;
      readonly message: string;
    }
  | {
      readonly kind: 'stateCollected';
      readonly agentId: string;
      readonly epoch: number;
      readonly state: BlobRef | null;
      readonly error: string | null;
    }
  | { readonly kind: 'statePurged'; readonly agentId: string }
  /** From the agent's own socket; `sub` tells incarnations apart. */
  | { readonly kind: 'agentReady'; readonly agentId: string; readonly epoch: number; readonly sub: number }
  | {
      readonly kind: 'agentHealth';
      readonly agentId: string;
      readonly epoch: number;
      readonly sub: number;
      readonly state: AgentLifecycle;
      readonly ok: boolean;
      readonly detail: string;
    }
  | {
      readonly kind: 'agentMetrics';
      readonly agentId: string;
      readonly values: Readonly<Record<string, number>>;
    }
  | { readonly kind: 'stateSize'; readonly agentId: string; readonly bytes: number }
  | { readonly kind: 'host'; readonly host: HostFacts }
  | {
      readonly kind: 'measured';
      readonly health: number;
      readonly resources: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: 'linkUp'; readonly generation: number; readonly beatIntervalMs: number }
  | { readonly kind: 'linkDown' }
  | { readonly kind: 'order'; readonly body: OrderBody }
  | {
      readonly kind: 'frame';
      readonly frame: Extract<ManagerFrame, { t: 'targetCurrent' | 'beatAck' | 'statusAck' | 'receiptsAck' }>;
    }
  | { readonly kind: 'local'; readonly request: string; readonly command: LocalCommand };

export type OrchestratorEffect =
  | AppendEffect
  | NoteEffect
  | {
      readonly kind: 'send';
      readonly frame: Exclude<OrchestratorFrame, { t: 'receipts' }>;
      readonly immediate?: true;
    }
  /** Sign each with this orchestrator's key and send. */
  | { readonly kind: 'sendReceipts'; readonly receipts: readonly Receipt[] }
  | { readonly kind: 'dropLink'; readonly reason: string }
  | {
      readonly kind: 'spawn';
      readonly agentId: string;
      readonly epoch: number;
      readonly spec: AgentSpec;
      readonly note: string;
    }
  /** Ask the agent to finish, then the keeper to end it after the grace. */
  | {
      readonly kind: 'stopProcess';
      readonly agentId: string;
      readonly graceMs: number;
      readonly reason: string;
    }
  | {
      readonly kind: 'release';
      readonly agentId: string;
      readonly epoch: number;
      readonly graceMs: number;
      readonly inFlightMs: number;
    }
  /** Replace the state directory by this blob (EMPTY_STATE: empty it). */
  | {
      readonly kind: 'installState';
      readonly agentId: string;
      readonly epoch: number;
      readonly state: BlobRef;
    }
  /** Pack the dead agent's state directory and hand the bytes to the manager before anything that names them. */
  | { readonly kind: 'collectState'; readonly agentId: string; readonly epoch: number }
  | { readonly kind: 'purgeState'; readonly agentId: string }
  | { readonly kind: 'reply'; readonly request: string; readonly result: LocalResult };
