/**
 * Commands about one existing agent: stop, start, restart, remove, migrate. Each either refuses and changes nothing, or commits and answers; some answers wait for a confirmation (`Waiting`).
 */
import type { AgentLives } from './agents.ts';
import { type Desk, done, type Refusal, refuse } from './desk.ts';
import type { Actor, CommandOf, CommandResult } from './inputs.ts';
import type { Agent, Orchestrator } from './model.ts';

/** An answer that is given once the listed agents have got where they should, or when time is up. */
export interface Waiting {
  readonly agentIds: readonly string[];
  readonly until: 'running' | 'restarted' | 'released' | 'placed';
  readonly limitMs: number;
  /** Makes the answer when all have arrived (`complete`) or time is up. */
  readonly answer: (desk: Desk, complete: boolean) => CommandResult;
}
export type Outcome = CommandResult | { readonly waiting: Waiting };

/** How long an answer waits for a confirmation before it says how far things are, ms. */
export const WAIT_LIMIT_MS = 30_000;
/** Largest state a move carries, bytes. */
export const MAX_STATE_BYTES = 1_048_576;

export const visible = (actor: Actor, customerId: string): boolean =>
  actor.customerId === null || actor.customerId === customerId;

function agentFor(desk: Desk, actor: Actor, id: string): Agent | Refusal {
  const agent = desk.facts.agents.get(id);
  if (agent === undefined || !visible(actor, agent.customerId))
    return refuse('not-found', `Agent ${JSON.stringify(id)} does not exist.`);
  return agent;
}
export function orchestratorFor(desk: Desk, actor: Actor, id: string): Orchestrator | Refusal {
  const orchestrator = desk.facts.orchestrators.get(id);
  if (
    orchestrator === undefined ||
    orchestrator.deregisteredAt !== null ||
    !visible(actor, orchestrator.customerId)
  ) {
    return refuse('not-found', `Container ${JSON.stringify(id)} does not exist.`);
  }
  return orchestrator;
}
export const refused = (value: Agent | Orchestrator | Refusal): value is Refusal => 'ok' in value;

export const reachable = (desk: Desk, orchestratorId: string): boolean =>
  desk.presence.of(orchestratorId)?.link != null;

export function stopAgent(
  desk: Desk,
  lives: AgentLives,
  actor: Actor,
  command: CommandOf<'stopAgent'>,
): Outcome {
  const agent = agentFor(desk, actor, command.agentId);
  if (refused(agent)) return agent;
  if (agent.desired === 'removed') return refuse('agent-busy', 'The agent is being removed.');
  if (agent.desired !== 'stopped')
    desk.commit('agentDesired', { agentId: agent.id, desired: 'stopped', by: actor.id });
  if (agent.placement === null) return done({ agentId: agent.id, status: 'stopped' });
  if (agent.placement.closing?.then !== 'stop') {
    lives.close(desk, agent, { why: 'stopped', then: 'stop', to: null, keepState: true, by: actor.id });
  }
  const connected = reachable(desk, agent.placement.orchestratorId);
  const answer = (_desk: Desk, complete: boolean): CommandResult =>
    done({ agentId: agent.id, status: complete ? 'stopped' : 'stopping', connected });
  if (!command.wait || !connected) return answer(desk, false);
  return { waiting: { agentIds: [agent.id], until: 'released', limitMs: WAIT_LIMIT_MS, answer } };
}

export function startAgent(
  desk: Desk,
  lives: AgentLives,
  actor: Actor,
  command: CommandOf<'startAgent'>,
): Outcome {
  const agent = agentFor(desk, actor, command.agentId);
  if (refused(agent)) return agent;
  if (agent.desired === 'removed') return refuse('agent-busy', 'The agent is being removed.');
  if (agent.desired === 'running' && agent.placement?.phase === 'OPEN') {
    return done({
      agentId: agent.id,
      orchestratorId: agent.placement.orchestratorId,
      epoch: agent.epoch,
      already: true,
    });
  }
  if (agent.placement !== null) {
    // Its stop is still on the way: let it end, then place it again where it was.
    desk.commit('agentDesired', { agentId: agent.id, desired: 'running', by: actor.id });
    lives.close(desk, agent, {
      why: 'restarted while stopping',
      then: 'place',
      to: agent.placement.orchestratorId,
      keepState: true,
      by: actor.id,
    });
  } else {
    const answer = lives.find(desk, agent);
    if (!answer.ok) {
      const summary =
        answer.reasons.map((item) => `${item.name} ${item.reason}`).join('; ') ||
        'no orchestrator is registered';
      return refuse('nothing-fits', `Nothing fits: ${summary}.`, {
        extra: {
          orchestrators: answer.reasons.map((item) => ({
            container_id: item.id,
            container_name: item.name,
            reason: item.reason,
          })),
        },
      });
    }
    desk.commit('agentDesired', { agentId: agent.id, desired: 'running', by: actor.id });
    lives.placeAnew(desk, agent, { by: actor.id });
  }
  const reply = (): CommandResult =>
    done({
      agentId: agent.id,
      orchestratorId: agent.placement?.orchestratorId ?? null,
      epoch: agent.epoch,
      already: false,
    });
  if (!command.wait) return reply();
  return { waiting: { agentIds: [agent.id], until: 'running', limitMs: WAIT_LIMIT_MS, answer: reply } };
}

export function restartAgent(desk: Desk, actor: Actor, command: CommandOf<'restartAgent'>): Outcome {
  const agent = agentFor(desk, actor, command.agentId);
  if (refused(agent)) return agent;
  if (agent.placement === null)
    return refuse('agent-not-running', 'The agent has no place to run at the moment. Start it instead.');
  if (agent.placement.phase === 'CLOSING')
    return refuse('agent-busy', 'The agent is being stopped or moved.');
  desk.commit('agentRestartOrdered', {
    agentId: agent.id,
    epoch: agent.placement.epoch,
    orderId: desk.random.id('ord'),
    by: actor.id,
  });
  desk.publish('agent.restart-ordered', agent.customerId, { agent_id: agent.id });
  const { epoch, orchestratorId } = agent.placement;
  const connected = reachable(desk, orchestratorId);
  const answer = (_desk: Desk, complete: boolean): CommandResult =>
    done({ agentId: agent.id, epoch, connected, confirmed: complete });
  if (!command.wait || !connected) return answer(desk, false);
  return { waiting: { agentIds: [agent.id], until: 'restarted', limitMs: WAIT_LIMIT_MS, answer } };
}

export function removeAgent(
  desk: Desk,
  lives: AgentLives,
  actor: Actor,
  command: CommandOf<'removeAgent'>,
): Outcome {
  const agent = agentFor(desk, actor, command.agentId);
  if (refused(agent)) return agent;
  if (agent.desired !== 'removed')
    desk.commit('agentDesired', { agentId: agent.id, desired: 'removed', by: actor.id });
  if (agent.placement === null) {
    desk.commit('agentRemoved', { agentId: agent.id });
    desk.publish('agent.removed', agent.customerId, { agent_id: agent.id });
    return done({ agentId: agent.id, status: 'removed' });
  }
  if (agent.placement.closing?.then !== 'remove') {
    lives.close(desk, agent, { why: 'removed', then: 'remove', to: null, keepState: false, by: actor.id });
  }
  const connected = reachable(desk, agent.placement.orchestratorId);
  const answer = (_desk: Desk, complete: boolean): CommandResult =>
    done({ agentId: agent.id, status: complete ? 'removed' : 'removing', connected });
  if (!command.wait || !connected) return answer(desk, false);
  return { waiting: { agentIds: [agent.id], until: 'released', limitMs: WAIT_LIMIT_MS, answer } };
}

export function migrateAgent(
  desk: Desk,
  lives: AgentLives,
  actor: Actor,
  command: CommandOf<'migrateAgent'>,
): Outcome {
  const agent = agentFor(desk, actor, command.agentId);
  if (refused(agent)) return agent;
  const { placement } = agent;
  if (placement === null)
    return refuse('agent-not-running', 'The agent is not placed anywhere. Start it instead.');
  if (placement.phase === 'CLOSING')
    return refuse('agent-busy', 'The agent is being stopped or moved already.');
  const source = placement.orchestratorId;
  if (command.to !== null) {
    const target = orchestratorFor(desk, actor, command.to);
    if (refused(target)) return target;
    if (target.id === source) return refuse('already-there', `The agent runs on ${target.name} already.`);
    if (target.customerId !== agent.customerId)
      return refuse('not-found', `Container ${JSON.stringify(command.to)} does not exist.`);
  }
  if (!reachable(desk, source)) {
    return refuse(
      'link-out-of-reach',
      'The orchestrator that runs the agent is not connected: its stop could not be confirmed, so nothing is moved.',
    );
  }
  const stateBytes = desk.presence.of(source)?.observed.get(agent.id)?.stateBytes ?? 0;
  if (command.preserveState && stateBytes > MAX_STATE_BYTES) {
    return refuse(
      'state-too-large',
      `The agent's state is ${stateBytes} bytes; at most ${MAX_STATE_BYTES} can be moved.`,
    );
  }
  // A pin says where to deploy; an explicit move is a newer word.
  const where = lives.find(desk, { ...agent, pinnedTo: command.to }, [source]);
  if (!where.ok) {
    const asked = where.reasons.filter((item) => command.to === null || item.id === command.to);
    return refuse(
      'nothing-fits',
      `The agent stays where it is: ${asked.map((item) => `${item.name} ${item.reason}`).join('; ') || 'no other orchestrator of this customer is registered'}.`,
      {
        extra: {
          orchestrators: asked.map((item) => ({
            container_id: item.id,
            container_name: item.name,
            reason: item.reason,
          })),
        },
      },
    );
  }
  lives.close(desk, agent, {
    why: `moved: ${command.reason}`,
    then: 'place',
    to: where.orchestratorId,
    keepState: command.preserveState,
    by: actor.id,
  });
  const answer = (_desk: Desk, complete: boolean): CommandResult =>
    done({
      agentId: agent.id,
      from: source,
      to: complete ? (agent.placement?.orchestratorId ?? where.orchestratorId) : where.orchestratorId,
      complete,
    });
  return { waiting: { agentIds: [agent.id], until: 'placed', limitMs: WAIT_LIMIT_MS, answer } };
}
