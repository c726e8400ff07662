/** Public door of the agents package: what agent types there are and whether a configuration suits one. The agents themselves are started by their entries `@muster/agents/trading` and `@muster/agents/analysis`. */
export { agentTypes, type ConfigIssue, validateConfig } from './catalogue.ts';
