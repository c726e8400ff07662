/**
 * The agents that a first start deploys through the public API: two trading agents and one that analyses.
 *
 * Only a fleet that has none is given them, and only once: a mark in the data directory says that it was done. A start that
 * was interrupted half-way goes on with what is missing.
 */
import { existsSync } from 'node:fs';
import type { Agent, Deployed, DeployRequest } from '@muster/contract';
import { atomicWriteFile } from '@muster/runtime';
import type { FleetClient } from './fleet-client.ts';

/** What is deployed on a fleet of `orchestrators` machines. */
export function demoAgents(orchestrators: number): readonly DeployRequest[] {
  const trading = [1, 2].map((number) => ({
    name: `momentum-${number}`,
    agent_type: 'trading_agent',
    agent_config: {
      strategy: 'distributed_momentum',
      orchestrator_id: ((number - 1) % orchestrators) + 1,
    },
  }));
  return [
    ...trading,
    { name: 'analysis-1', agent_type: 'analysis_agent', deployment_strategy: 'least_loaded' },
  ];
}

/** Deploys what is missing. Returns the names of what was deployed. @throws CommandFailure */
export async function deployDemo(
  client: FleetClient,
  markPath: string,
  orchestrators: number,
): Promise<readonly string[]> {
  if (orchestrators === 0 || existsSync(markPath)) return [];
  const wanted = demoAgents(orchestrators);
  const present = await client.call((api) => api.get<Agent[]>('/api/v1/cluster/agents'));
  const names = new Set(present.map(({ name }) => name));
  const foreign = present.some(({ name }) => !wanted.some((each) => each.name === name));
  const missing = foreign ? [] : wanted.filter(({ name }) => !names.has(name ?? ''));
  for (const request of missing) {
    await client.call((api) => api.post<Deployed>('/api/v1/cluster/agents/deploy', request));
  }
  atomicWriteFile(markPath, `${JSON.stringify({ deployed: missing.map(({ name }) => name) })}\n`, 0o600);
  return missing.map(({ name }) => name ?? '');
}
