/**
 * A session is granted once, to one machine, for all time, and one identity has at most one session that the manager believes
 * in. So a frame or an order of an old session can never be taken for one of the present.
 */
import type { Observer } from '../observer.ts';
import type { World } from '../world.ts';

export function sessionUnique(world: World): Observer {
  const property = 'session-unique';
  const granted = new Map<string, string>();
  return {
    property,
    managerExecutes(effect) {
      if (effect.kind !== 'send' || effect.frame.t !== 'welcome') return;
      const { session } = effect.frame;
      const before = granted.get(session);
      if (before !== undefined)
        world.fail(property, `session ${session} is granted on ${effect.link} and was on ${before}`);
      granted.set(session, effect.link);
    },
    inspect(fleet) {
      if (!fleet.manager.up) return;
      const { presence, facts } = fleet.manager.machine;
      const seen = new Map<string, string>();
      for (const id of facts.orchestrators.keys()) {
        const session = presence.of(id)?.session;
        if (session == null) continue;
        const other = seen.get(session);
        if (other !== undefined) world.fail(property, `session ${session} belongs to ${other} and ${id}`);
        seen.set(session, id);
      }
    },
  };
}
