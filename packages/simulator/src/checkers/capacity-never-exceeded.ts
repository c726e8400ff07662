/**
 * `max_agents` is a hard ceiling, at the manager's books and on the machine: what the manager places never exceeds it, and no
 * process starts on a machine that is full, whoever ordered it (the customer's own agents count).
 */
import type { Fleet } from '../fleet.ts';
import type { Observer } from '../observer.ts';
import type { World } from '../world.ts';

export function capacityNeverExceeded(world: World, fleet: Fleet): Observer {
  const property = 'capacity-never-exceeded';
  const placedOn = new Map<string, string>();
  const load = new Map<string, number>();
  const limits = new Map<string, number>();
  const release = (agentId: string): void => {
    const orchestratorId = placedOn.get(agentId);
    if (orchestratorId === undefined) return;
    placedOn.delete(agentId);
    load.set(orchestratorId, (load.get(orchestratorId) ?? 1) - 1);
  };
  return {
    property,
    managerDurable(records) {
      for (const record of records) {
        if (record.kind === 'orchestratorEnrolled') limits.set(record.body.id, record.body.fields.maxAgents);
        if (record.kind === 'placementReleased') release(record.body.agentId);
        if (record.kind !== 'agentPlaced') continue;
        const { agentId, orchestratorId } = record.body;
        placedOn.set(agentId, orchestratorId);
        const now = (load.get(orchestratorId) ?? 0) + 1;
        load.set(orchestratorId, now);
        const limit = limits.get(orchestratorId) ?? 0;
        if (now > limit)
          world.fail(property, `${orchestratorId} is given agent ${now}, its max_agents is ${limit}`);
      }
    },
    processStarted({ host, agentId }) {
      const machine = fleet.hostNamed(host);
      const living = machine?.keeper?.processes.length ?? 0;
      const limit = machine?.maxAgents ?? 0;
      if (living > limit)
        world.fail(property, `${agentId} starts on ${host} as process ${living}, its max_agents is ${limit}`);
    },
  };
}
