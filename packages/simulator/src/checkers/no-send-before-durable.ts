/**
 * Nothing leaves a process before every record decided earlier is on its disk. What may overtake is listed here and nowhere
 * else: beats and acknowledgements that tell of no decision.
 */
import type { Observer } from '../observer.ts';
import type { World } from '../world.ts';

const harmless = new Set(['beat', 'beatAck', 'statusAck']);

export function noSendBeforeDurable(world: World): Observer {
  const property = 'no-send-before-durable';
  let managerAppended = 0;
  /** Records that must be on disk for each effect, counted here from the steps themselves. */
  const required = new WeakMap<object, number>();
  const judge = (who: string, effect: { kind: string }, durable: number, frame: string | null): void => {
    if (effect.kind === 'publish' || (frame !== null && harmless.has(frame))) return;
    const needed = required.get(effect);
    if (needed === undefined) world.fail(property, `${who} carries out a ${effect.kind} that no step pushed`);
    if (durable < needed) {
      world.fail(
        property,
        `${who} carries out ${effect.kind} ${frame ?? ''} after ${needed} records, ${durable} are on disk`,
      );
    }
  };
  return {
    property,
    managerStepped(_input, effects, appended) {
      managerAppended = appended;
      for (const effect of effects) required.set(effect, managerAppended);
    },
    managerExecutes(effect, _required, durable) {
      judge('the manager', effect, durable, effect.kind === 'send' ? effect.frame.t : null);
    },
    orchestratorStepped(_host, _input, effects, appended) {
      for (const effect of effects) required.set(effect, appended);
    },
    orchestratorExecutes(host, effect, _required, durable) {
      judge(host.name, effect, durable, effect.kind === 'send' ? effect.frame.t : null);
    },
  };
}
