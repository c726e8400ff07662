/**
 * A restart order restarts once: a process that was started to satisfy restart n is never stopped again for restart n, also
 * not by a daemon that has just come back and found it running.
 */
import type { Observer } from '../observer.ts';
import type { World } from '../world.ts';

export function restartSatisfiedOnce(world: World): Observer {
  const property = 'restart-satisfied-once';
  /** Restart count of the target entry when the latest spawn of an agent was decided, by host, agent and epoch. */
  const satisfied = new Map<string, number>();
  return {
    property,
    orchestratorStepped(host, _input, effects) {
      const entries = host.daemon?.machine.facts.entries;
      for (const effect of effects) {
        if (effect.kind === 'spawn') {
          const entry = entries?.get(effect.agentId);
          if (entry?.epoch === effect.epoch)
            satisfied.set(`${host.name} ${effect.agentId} ${effect.epoch}`, entry.restarts);
        }
        if (effect.kind !== 'stopProcess' || effect.reason !== 'restart ordered') continue;
        const entry = entries?.get(effect.agentId);
        const living = [...(world.processes.get(effect.agentId) ?? [])].find(
          (process) => process.host === host.name,
        );
        if (entry === undefined || living?.epoch !== entry.epoch) continue;
        const already = satisfied.get(`${host.name} ${effect.agentId} ${entry.epoch}`) ?? 0;
        if (already >= entry.restarts && living.requested === false) {
          world.fail(
            property,
            `${host.name} stops ${effect.agentId} ${living.epoch}.${living.sub} for restart ${entry.restarts}, which it was started for`,
          );
        }
      }
    },
  };
}
