/** Public door of the agent SDK: what an agent author needs. It has no runtime dependency and loads node:net, node:fs and node:os only. */
export { type AgentCommand, type CommandHandler, CommandRefused } from './commands.ts';
export type { AgentLog, LogLevel } from './log.ts';
export {
  type AgentContext,
  type AgentDefinition,
  type AgentHost,
  type AgentProgram,
  AgentRunner,
  exitCodes,
  type Fence,
  runAgent,
  type StopRequest,
  sdkVersion,
} from './run-agent.ts';
export { type AgentState, StateRefused, stateValueMaxBytes } from './state-client.ts';
