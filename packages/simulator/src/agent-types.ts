/** The agent types of a simulated fleet: different graces and in-flight times, any configuration. */
import type { AgentTypeRecipe } from '@muster/contract';

const recipe = (type: string, stopGraceMs: number, inFlightMs: number): AgentTypeRecipe => ({
  type,
  version: '1.0.0',
  title: type,
  description: 'A simulated agent.',
  trading: inFlightMs > 0,
  run: { kind: 'node', entry: 'none' },
  configSchema: {},
  defaults: {},
  resources: { memoryBytes: 64 * 2 ** 20, cpuCores: 0.1 },
  verbs: [],
  stopGraceMs,
  inFlightMs,
});

export const agentTypes: readonly AgentTypeRecipe[] = [
  recipe('trading_agent', 5_000, 6_000),
  recipe('analysis_agent', 2_000, 0),
  recipe('quick_agent', 200, 500),
];

export const validateConfig = (
  _type: string,
  config: Readonly<Record<string, unknown>>,
): { config: Readonly<Record<string, unknown>>; errors: []; warnings: [] } => ({
  config,
  errors: [],
  warnings: [],
});
