/** The agent type of the tests: the small agent beside this file. */
import type { AgentSpec, AgentTypeRecipe } from '@muster/contract';
import type { AgentTypeSource } from '../agent-catalogue.ts';

const recipe: AgentTypeRecipe = {
  type: 'fixture_agent',
  version: '1.0.0',
  title: 'Fixture',
  description: 'Answers commands and counts.',
  trading: false,
  run: { kind: 'node', entry: new URL('fixture-agent.mjs', import.meta.url).href },
  configSchema: { type: 'object' },
  defaults: { greeting: 'hello' },
  resources: { memoryBytes: 0, cpuCores: 0 },
  verbs: ['echo', 'count', 'print', 'garbage', 'crash'],
  stopGraceMs: 2_000,
  inFlightMs: 0,
};

export const fixtureTypes: AgentTypeSource = {
  recipes: [recipe],
  validate: (_type, config) =>
    Object.hasOwn(config as object, 'bad') ? [{ path: '/bad', message: 'must not be there' }] : [],
};

export function fixtureSpec(changes: Partial<AgentSpec> = {}): AgentSpec {
  return {
    name: 'fixture',
    customerId: 'acme',
    type: recipe.type,
    typeVersion: recipe.version,
    config: {},
    resources: { memoryBytes: 0, cpuCores: 0 },
    onDisconnect: { rule: 'continue' },
    stopGraceMs: 2_000,
    inFlightMs: 0,
    ...changes,
  };
}
