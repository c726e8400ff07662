/**
 * The catalogue: which agent types there are and whether a configuration suits one. Data and pure functions only, for the
 * manager and the orchestrator; no strategy and no market data is loaded by importing it.
 */
export { agentTypes } from './config/agent-types.ts';
export { type ConfigIssue, validateConfig } from './config/validate-config.ts';
