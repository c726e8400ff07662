/**
 * An agent always starts from the state it last wrote, whichever machine it wrote it on, unless somebody chose otherwise: a
 * move without state, a machine declared dead (its state died with it), or a state that could not be packed. And nobody
 * replaces a state directory under a live process (`Host.changeState`).
 */
import type { Fleet } from '../fleet.ts';
import type { Observer } from '../observer.ts';
import type { World } from '../world.ts';

export function stateFollowsAgent(world: World, fleet: Fleet): Observer {
  const property = 'state-follows-agent';
  const expected = new Map<string, number | null>();
  /** Agents whose last state is given up: whatever they start from next is right. */
  const givenUp = new Set<string>();
  return {
    property,
    managerDurable(records) {
      for (const record of records) {
        if (record.kind !== 'placementReleased') continue;
        if (record.body.how === 'declared-dead' || record.body.forgetState) givenUp.add(record.body.agentId);
      }
    },
    managerStepped(input) {
      if (input.kind === 'frame' && input.frame.t === 'stopped' && input.frame.stateError !== null)
        givenUp.add(input.frame.agentId);
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
