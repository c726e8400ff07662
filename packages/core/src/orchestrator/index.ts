export type { LocalCommand, LocalResult, OrchestratorEffect, OrchestratorInput } from './inputs.ts';
export { ManagerLink } from './link.ts';
export { type LocalAgent, nextStep, reportOf, type Step, statusOf, type Wish } from './local-agent.ts';
export { OrchestratorMachine, type OrchestratorOptions } from './machine.ts';
export {
  applyOrchestratorRecord,
  emptyOrchestratorFacts,
  type Hold,
  type OrchestratorFacts,
  type OrchestratorRecord,
  type OrchestratorSnapshot,
  orchestratorFactsOf,
  orchestratorSnapshotOf,
} from './model.ts';
export { restartDelayMs } from './restart-policy.ts';
