/**
 * The customer's own word, with the manager or without: stop (durable, the vendor cannot lift it), resume, and agents he
 * deploys himself.
 */
import { type OrchestratorDesk, touch } from './desk.ts';
import type { LocalCommand, LocalResult } from './inputs.ts';

export function onLocal(desk: OrchestratorDesk, command: LocalCommand): LocalResult {
  if (command.kind === 'deploy') return deployHere(desk, command);
  const { facts } = desk;
  const known = new Set([...facts.entries.keys(), ...facts.local.keys()]);
  const { agentId, by } = command;
  if (agentId !== null && !known.has(agentId))
    return { ok: false, code: 'not-found', detail: `No agent ${agentId} here.` };
  if (command.kind === 'stop') desk.commit('held', { agentId, by, reason: command.reason });
  else desk.commit('holdLifted', { agentId, by });
  // "Everything" includes what runs here without an order that is known.
  for (const agent of desk.agents.values()) if (agent.process !== null) known.add(agent.id);
  const touched = agentId === null ? [...known] : [agentId];
  for (const id of touched) touch(desk, id).notBefore = 0;
  desk.note('warn', command.kind === 'stop' ? 'local.stopped' : 'local.resumed', {
    agentId: agentId ?? 'everything',
    by,
  });
  return { ok: true, agentIds: touched };
}

function deployHere(desk: OrchestratorDesk, command: Extract<LocalCommand, { kind: 'deploy' }>): LocalResult {
  const { facts } = desk;
  const { agentId, spec, by } = command;
  const held = facts.entries.size + facts.local.size;
  if (facts.entries.has(agentId)) {
    return {
      ok: false,
      code: 'managed-by-link',
      detail: `Agent ${agentId} is the manager's; deploy under another id.`,
    };
  }
  if (facts.local.has(agentId))
    return { ok: false, code: 'conflict', detail: `Agent ${agentId} exists here already.` };
  if (held >= desk.maxAgents) {
    return {
      ok: false,
      code: 'nothing-fits',
      detail: `This machine holds ${held} agents; max_agents is ${desk.maxAgents}.`,
    };
  }
  const epoch = (desk.agents.get(agentId)?.knownEpoch ?? 0) + 1;
  desk.commit('localDeployed', { agentId, epoch, spec, by });
  touch(desk, agentId);
  return { ok: true, agentIds: [agentId] };
}
