/**
 * R1, R4, S2: an epoch is issued once and has one holder for all time, and no two processes anywhere ever share
 * (agent, epoch, incarnation). Judged from the manager's durable records and from the processes that really started.
 */
import type { Observer } from '../observer.ts';
import type { World } from '../world.ts';

export function epochNeverReused(world: World): Observer {
  const property = 'epoch-never-reused';
  const issued = new Map<string, number>();
  const started = new Set<string>();
  const holders = new Map<string, string>();
  return {
    property,
    managerDurable(records) {
      for (const record of records) {
        if (record.kind !== 'agentPlaced') continue;
        const { agentId, epoch, orchestratorId } = record.body;
        const last = issued.get(agentId) ?? 0;
        if (epoch <= last)
          world.fail(property, `epoch ${epoch} of ${agentId} given to ${orchestratorId} after ${last}`);
        issued.set(agentId, epoch);
      }
    },
    processStarted({ agentId, epoch, sub, host }) {
      const incarnation = `${agentId} ${epoch}.${sub}`;
      if (started.has(incarnation)) world.fail(property, `a second process is ${incarnation}, on ${host}`);
      started.add(incarnation);
      const key = `${agentId} ${epoch}`;
      const holder = holders.get(key) ?? host;
      if (holder !== host) world.fail(property, `${key} started on ${host}, its holder is ${holder}`);
      holders.set(key, host);
    },
  };
}
