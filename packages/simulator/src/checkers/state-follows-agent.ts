/**
 * An agent always starts from the state it last wrote, whichever machine it wrote it on, unless somebody chose otherwise: a
 * move without state, or a machine removed, declared dead or joined anew (what only it had went with it). And nobody replaces a state directory under a live process (`Host.changeState`).
 */
import type { Fleet } from '../fleet.ts';
import type { Observer } from '../observer.ts';
import type { World } from '../world.ts';

export function stateFollowsAgent(world: World, fleet: Fleet): Observer {
  const property = 'state-follows-agent';
  const expected = new Map<string, number | null>();
  /** Agents whose last state is given up: whatever they start from next is right. */
  const givenUp = new Set<string>();
  const placedAt = new Map<string, string>();
  /** Agents whose latest state could not be taken along, and where it lies. */
  const strandedAt = new Map<string, string>();
  return {
    property,
    managerDurable(records) {
      for (const { kind, body } of records) {
        if (kind === 'agentPlaced') placedAt.set(body.agentId, body.orchestratorId);
        if (kind === 'orchestratorDeregistered' || kind === 'orchestratorRejoined') {
          for (const [agentId, at] of strandedAt) if (at === body.id) givenUp.add(agentId);
        }
        if (kind !== 'placementReleased') continue;
        if (body.how === 'declared-dead' || body.forgetState) givenUp.add(body.agentId);
        if (body.stranded === true) strandedAt.set(body.agentId, placedAt.get(body.agentId) ?? '');
        else strandedAt.delete(body.agentId);
      }
    },
    stateWritten(agentId, content) {
      expected.set(agentId, content);
    },
    processStarted({ agentId, epoch, sub, host }) {
      const found = fleet.hostNamed(host)?.readState(agentId) ?? null;
      if (givenUp.delete(agentId)) expected.set(agentId, found);
      const written = expected.get(agentId) ?? null;
      if (found === written) return;
      world.fail(
        property,
        `${agentId} ${epoch}.${sub} starts on ${host} from state ${found}, it last wrote ${written}`,
      );
    },
  };
}
