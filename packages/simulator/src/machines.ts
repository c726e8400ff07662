/** The two machines under test and the types they speak, in one place. */
export {
  type Actor,
  applyRecord,
  type CommandResult,
  type ManagerCommand,
  type ManagerEffect,
  type ManagerInput,
  ManagerMachine,
  type ManagerRecord,
  type ManagerSnapshot,
  type Orchestrator,
  type OrchestratorFields,
} from '@muster/core/manager';
export {
  type LocalCommand,
  type LocalResult,
  type OrchestratorEffect,
  type OrchestratorInput,
  OrchestratorMachine,
  type OrchestratorRecord,
  type OrchestratorSnapshot,
} from '@muster/core/orchestrator';
