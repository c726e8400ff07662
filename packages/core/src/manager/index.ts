export { MAX_STATE_BYTES } from './agent-commands.ts';
export { MAX_REPLICAS } from './deploy.ts';
export {
  type Actor,
  type CommandOf,
  type CommandResult,
  type DeployCommand,
  type ManagerCommand,
  type ManagerEffect,
  type ManagerInput,
  type PublicEvent,
  type ValidateConfig,
} from './inputs.ts';
export { applyRecord } from './ledger.ts';
export { ManagerMachine, type ManagerOptions } from './machine.ts';
export * from './model.ts';
export { byRegistration, freeOf } from './placement.ts';
export { Presence, type PresentOrchestrator, type Reachability } from './presence.ts';
export {
  asManagerRecord,
  type ManagerRecord,
  type OrchestratorFields,
  type RecordBodies,
  type RecordKind,
} from './records.ts';
export { factsOf, type ManagerSnapshot, snapshotOf } from './snapshot.ts';
export { type AgentView, agentView, connectionWord, orchestratorStatus, syncWord } from './views.ts';
