/**
 * What the checkers may watch. Observers see everything, influence nothing, and keep their own books: they never ask the code
 * under test what is right.
 */
import type { JournalRecord } from '@muster/core';
import type { Fleet } from './fleet.ts';
import type { Host } from './host.ts';
import type { AgentProcess } from './keeper.ts';
import type {
  CommandResult,
  LocalCommand,
  LocalResult,
  ManagerCommand,
  ManagerEffect,
  ManagerInput,
  ManagerRecord,
  OrchestratorEffect,
  OrchestratorInput,
  OrchestratorRecord,
} from './machines.ts';

export interface Observer {
  readonly property: string;
  /** Records of the manager that are now durable, in journal order. */
  managerDurable?(records: readonly ManagerRecord[]): void;
  /** The manager's machine was stepped; `appended` counts all records handed to its journal in its life. */
  managerStepped?(input: ManagerInput, effects: readonly ManagerEffect[], appended: number): void;
  /** The manager carries out an effect that follows `required` records; `durable` of them are on its disk. */
  managerExecutes?(effect: ManagerEffect, required: number, durable: number): void;
  /** The manager starts (again) from what its disk holds. */
  managerStarted?(records: readonly JournalRecord[]): void;
  managerCrashed?(): void;
  /** A client's command was answered. */
  replied?(command: ManagerCommand, result: CommandResult): void;
  orchestratorDurable?(host: Host, records: readonly OrchestratorRecord[]): void;
  orchestratorStepped?(
    host: Host,
    input: OrchestratorInput,
    effects: readonly OrchestratorEffect[],
    appended: number,
  ): void;
  orchestratorExecutes?(host: Host, effect: OrchestratorEffect, required: number, durable: number): void;
  /** A daemon starts (again) from what its disk holds. */
  daemonStarted?(host: Host): void;
  /** The data directory of a host is gone. */
  hostWiped?(host: Host): void;
  localReplied?(host: Host, command: LocalCommand, result: LocalResult): void;
  processStarted?(process: AgentProcess): void;
  processEnded?(process: AgentProcess): void;
  /** An agent wrote a new state; the number is its content. */
  stateWritten?(agentId: string, content: number): void;
  /** From time to time, and at the end. */
  inspect?(fleet: Fleet): void;
  /** The world has healed and time is up. */
  atEnd?(fleet: Fleet): void;
}
