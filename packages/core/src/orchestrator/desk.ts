/**
 * The desk of the orchestrator machine: what its parts work with during one step. `commit` is the only way to change a
 * durable fact; `touch` marks an agent to be looked at again before the step ends.
 */
import type { TargetEntry } from '@muster/contract';
import type { Digest, Note, Now, Random } from '../machine.ts';
import type { OrchestratorEffect } from './inputs.ts';
import type { ManagerLink } from './link.ts';
import { freshAgent, type LocalAgent } from './local-agent.ts';
import type { OrchestratorFacts, RecordBodies, RecordKind } from './model.ts';

export interface OrchestratorDesk {
  readonly now: Now;
  readonly facts: OrchestratorFacts;
  readonly agents: Map<string, LocalAgent>;
  readonly link: ManagerLink;
  readonly random: Random;
  readonly digest: Digest;
  readonly orchestratorId: string;
  readonly maxAgents: number;
  /** Planted bugs for the simulator's self-test; always empty in production. */
  readonly mutants: ReadonlySet<string>;
  /** Agents to look at before the step ends. */
  readonly dirty: Set<string>;
  /** When to look at an agent again of its own accord. */
  readonly waiting: Map<string, number>;
  commit<K extends RecordKind>(kind: K, body: RecordBodies[K]): void;
  readonly emit: (effect: Exclude<OrchestratorEffect, { kind: 'append' }>) => void;
  note(level: Note['level'], event: string, fields: Record<string, unknown>): void;
}

/** What should run here under an id: the manager's entry, or the operator's own. */
export function entryOf(facts: OrchestratorFacts, agentId: string): TargetEntry | null {
  return facts.entries.get(agentId) ?? facts.local.get(agentId) ?? null;
}

/** The agent, made if unknown, marked to be looked at. */
export function touch(desk: OrchestratorDesk, agentId: string): LocalAgent {
  let agent = desk.agents.get(agentId);
  if (agent === undefined) {
    agent = freshAgent(agentId, desk.now.wall);
    desk.agents.set(agentId, agent);
  }
  desk.dirty.add(agentId);
  return agent;
}
