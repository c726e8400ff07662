/** The public door of the orchestrator: starting one in this process, and where its operator's token lies. */
export type { AgentTypeSource } from './agent-catalogue.ts';
export { type OrchestratorConfig, readConfig } from './config.ts';
export {
  ORCHESTRATOR_VERSION,
  type OrchestratorStartOptions,
  type RunningOrchestrator,
  startOrchestrator,
} from './daemon.ts';
export { IdentityDamaged } from './identity.ts';
export { LOCAL_TOKEN_FILE } from './local-api/local-token.ts';
export type { UplinkState, UplinkStatus } from './uplink/uplink.ts';
