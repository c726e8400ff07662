/**
 * Commands about orchestrators: rebalance, drain, deregister. Rules as for the commands about agents: refuse and change
 * nothing, or commit and answer, perhaps after a confirmation.
 */
import {
  type Outcome,
  orchestratorFor,
  reachable,
  refused,
  visible,
  WAIT_LIMIT_MS,
} from './agent-commands.ts';
import { type AgentLives, candidatesOf } from './agents.ts';
import { type Desk, done, refuse } from './desk.ts';
import type { Actor, CommandOf, CommandResult } from './inputs.ts';
import type { Agent, Orchestrator } from './model.ts';
import { byRegistration } from './placement.ts';

/** Even out the number of agents within each customer, moving as few as possible. */
export function rebalance(desk: Desk, lives: AgentLives, actor: Actor): Outcome {
  const moves: { agent_id: string; from: string; to: string }[] = [];
  const customers = actor.customerId === null ? [...desk.facts.customers.keys()] : [actor.customerId];
  for (const customerId of customers) moves.push(...planMoves(desk, customerId));
  for (const move of moves) {
    const agent = desk.facts.agents.get(move.agent_id);
    if (agent !== undefined)
      lives.close(desk, agent, {
        why: 'moved: rebalance',
        then: 'place',
        to: move.to,
        keepState: true,
        by: actor.id,
      });
  }
  const answer = (later: Desk, complete: boolean): CommandResult => {
    const performed = moves.filter(
      ({ agent_id, to }) => later.facts.agents.get(agent_id)?.placement?.orchestratorId === to,
    ).length;
    const distribution: Record<string, number> = {};
    for (const orchestrator of later.facts.orchestrators.values()) {
      if (orchestrator.deregisteredAt === null && visible(actor, orchestrator.customerId))
        distribution[orchestrator.id] = orchestrator.target.entries.size;
    }
    return done({
      rebalanced: complete,
      migrations: moves,
      migrations_performed: performed,
      final_distribution: distribution,
    });
  };
  if (moves.length === 0) return answer(desk, true);
  return {
    waiting: {
      agentIds: moves.map((move) => move.agent_id),
      until: 'placed',
      limitMs: WAIT_LIMIT_MS,
      answer,
    },
  };
}

/** One machine in the plan: its agents that may move, and places taken or promised, about to be free, newly promised. */
interface Share {
  readonly orchestrator: Orchestrator;
  readonly agents: string[];
  readonly placed: number;
  readonly leaving: number;
  incoming: number;
}

function planMoves(desk: Desk, customerId: string): { agent_id: string; from: string; to: string }[] {
  const counts = new Map<string, Share>();
  for (const candidate of candidatesOf(desk, customerId)) {
    if (!candidate.eligible || candidate.orchestrator.draining || candidate.orchestrator.link !== 'channel')
      continue;
    const { orchestrator, placed } = candidate;
    const entries = [...orchestrator.target.entries.values()];
    const agents = entries.map((entry) => entry.agentId).filter((id) => movable(desk, id));
    const leaving = entries.filter((entry) => entry.want === 'closing').length;
    counts.set(orchestrator.id, { orchestrator, agents, placed, leaving, incoming: 0 });
  }
  const size = (item: Share): number => item.placed - item.leaving + item.incoming;
  const moves: { agent_id: string; from: string; to: string }[] = [];
  for (let guard = 0; guard < 10_000; guard += 1) {
    const sorted = [...counts.values()].sort(
      (a, b) => size(a) - size(b) || byRegistration(a.orchestrator, b.orchestrator),
    );
    // Room is what is neither taken nor promised already: who is leaving still has its place, and may have to stay.
    const least = sorted.find((item) => item.placed + item.incoming < item.orchestrator.maxAgents);
    const most = sorted.toReversed().find((item) => item.agents.length > 0);
    if (least === undefined || most === undefined || size(most) - size(least) < 2) return moves;
    const agentId = most.agents.pop() as string;
    most.incoming -= 1;
    least.incoming += 1;
    moves.push({ agent_id: agentId, from: most.orchestrator.id, to: least.orchestrator.id });
  }
  return moves;
}

function movable(desk: Desk, agentId: string): boolean {
  const agent = desk.facts.agents.get(agentId);
  return agent?.placement?.phase === 'OPEN' && agent.pinnedTo === null && agent.desired === 'running';
}

export function drain(desk: Desk, lives: AgentLives, actor: Actor, command: CommandOf<'drain'>): Outcome {
  const orchestrator = orchestratorFor(desk, actor, command.orchestratorId);
  if (refused(orchestrator)) return orchestrator;
  if (orchestrator.draining !== command.draining) {
    desk.commit('orchestratorDraining', {
      id: orchestrator.id,
      draining: command.draining,
      by: actor.id,
      reason: command.reason,
    });
    desk.publish('orchestrator.draining', orchestrator.customerId, {
      container_id: orchestrator.id,
      draining: command.draining,
      reason: command.reason,
    });
  }
  if (!command.draining) lives.placePending(desk);
  return done({ orchestratorId: orchestrator.id, draining: command.draining });
}

export function deregister(
  desk: Desk,
  lives: AgentLives,
  actor: Actor,
  command: CommandOf<'deregister'>,
): Outcome {
  const orchestrator = orchestratorFor(desk, actor, command.orchestratorId);
  if (refused(orchestrator)) return orchestrator;
  const placed = (): Agent[] =>
    [...orchestrator.target.entries.keys()].flatMap((id) => desk.facts.agents.get(id) ?? []);
  if (command.force) {
    // Deregistered first, so that nothing is placed back on it.
    const agents = placed();
    desk.commit('orchestratorDeregistered', {
      id: orchestrator.id,
      by: actor.id,
      forced: true,
      reason: 'declared dead',
    });
    for (const agent of agents) lives.declareDead(desk, agent, actor.id);
    return gone(desk, orchestrator, agents.length);
  }
  const agents = placed();
  if (agents.length > 0 && !reachable(desk, orchestrator.id)) return remaining(orchestrator, agents);
  if (agents.length === 0) {
    desk.commit('orchestratorDeregistered', {
      id: orchestrator.id,
      by: actor.id,
      forced: false,
      reason: 'removed',
    });
    return gone(desk, orchestrator, 0);
  }
  if (!orchestrator.draining)
    desk.commit('orchestratorDraining', {
      id: orchestrator.id,
      draining: true,
      by: actor.id,
      reason: 'is being removed',
    });
  for (const agent of agents) {
    if (agent.placement?.phase === 'OPEN') {
      lives.close(desk, agent, {
        why: 'its orchestrator is being removed',
        then: 'place',
        to: null,
        keepState: true,
        by: actor.id,
      });
    }
  }
  const answer = (later: Desk, complete: boolean): CommandResult => {
    if (!complete || orchestrator.target.entries.size > 0) return remaining(orchestrator, placed());
    later.commit('orchestratorDeregistered', {
      id: orchestrator.id,
      by: actor.id,
      forced: false,
      reason: 'removed',
    });
    return gone(later, orchestrator, agents.length);
  };
  return {
    waiting: { agentIds: agents.map((agent) => agent.id), until: 'released', limitMs: WAIT_LIMIT_MS, answer },
  };
}

function remaining(orchestrator: Orchestrator, agents: readonly Agent[]): CommandResult {
  const list = agents.map((agent) => agent.id);
  return refuse(
    'agents-remain',
    `${list.length} agent(s) on ${orchestrator.name} are not confirmed stopped: ${list.join(', ')}.`,
    { extra: { agents: list } },
  );
}

function gone(desk: Desk, orchestrator: Orchestrator, agents: number): CommandResult {
  desk.publish('orchestrator.deregistered', orchestrator.customerId, {
    container_id: orchestrator.id,
    container_name: orchestrator.name,
  });
  return done({ orchestratorId: orchestrator.id, agents });
}
