/**
 * R8: a placement ends as confirmed only in a step whose input is an answer of its machine to a challenge that this run of the
 * manager made after CLOSING. Silence, timers and unasked "stopped" end nothing. R7/R12: an agent that may run without the
 * manager is moved by nothing else, and otherwise only by a person's declaration or a machine that joined anew.
 */
import type { ManagerInput, ManagerRecord } from '../machines.ts';
import type { Observer } from '../observer.ts';
import type { World } from '../world.ts';

function mayDeclareDead(input: ManagerInput): boolean {
  if (input.kind !== 'command') return false;
  const { command } = input;
  return command.kind === 'enrol' || (command.kind === 'deregister' && command.force);
}

export function stopIsChallenged(world: World): Observer {
  const property = 'stop-is-challenged';
  /** Queries of this run of the manager, by agent and epoch. */
  let asked = new Map<string, Set<string>>();
  const judge = (record: ManagerRecord, input: ManagerInput): void => {
    if (record.kind !== 'placementReleased') return;
    const { agentId, epoch, how } = record.body;
    if (how === 'declared-dead') {
      if (!mayDeclareDead(input))
        world.fail(property, `${agentId} ${epoch} is taken from its machine by a ${input.kind}`);
      return;
    }
    const frame = input.kind === 'frame' && input.frame.t === 'stopped' ? input.frame : null;
    const answers = frame !== null && frame.agentId === agentId && frame.epoch === epoch;
    if (!answers || asked.get(`${agentId} ${epoch}`)?.has(frame.query) !== true) {
      world.fail(
        property,
        `${agentId} ${epoch} is released by ${frame === null ? input.kind : 'an unasked "stopped"'}`,
      );
    }
  };
  return {
    property,
    managerStarted() {
      asked = new Map();
    },
    managerStepped(input, effects) {
      for (const effect of effects) {
        if (effect.kind === 'append')
          for (const record of effect.records) judge(record as ManagerRecord, input);
        if (effect.kind !== 'order' || effect.body.kind !== 'stopQuery') continue;
        const { agentId, epoch, query } = effect.body.stopQuery;
        const key = `${agentId} ${epoch}`;
        asked.set(key, (asked.get(key) ?? new Set()).add(query));
      }
    },
  };
}
