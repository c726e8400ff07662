/**
 * S10: nothing of one customer ever reaches a machine of another: no placement in the manager's journal, no entry in a
 * machine's target, no process.
 */
import type { Fleet } from '../fleet.ts';
import type { Observer } from '../observer.ts';
import type { World } from '../world.ts';

export function customerBorder(world: World, fleet: Fleet): Observer {
  const property = 'customer-border';
  const agents = new Map<string, string>();
  const orchestrators = new Map<string, string>();
  return {
    property,
    managerDurable(records) {
      for (const record of records) {
        if (record.kind === 'agentDeployed') agents.set(record.body.id, record.body.customerId);
        if (record.kind === 'orchestratorEnrolled') orchestrators.set(record.body.id, record.body.customerId);
        if (record.kind !== 'agentPlaced') continue;
        const of = agents.get(record.body.agentId);
        const on = orchestrators.get(record.body.orchestratorId);
        if (of !== on)
          world.fail(property, `${record.body.agentId} of customer ${of} is placed at a machine of ${on}`);
      }
    },
    orchestratorDurable(host, records) {
      for (const record of records) {
        if (record.kind !== 'targetCompleted') continue;
        for (const { agentId, spec } of record.body.entries) {
          if (spec.customerId !== host.customerId)
            world.fail(
              property,
              `${host.name} of ${host.customerId} is told of ${agentId} of ${spec.customerId}`,
            );
        }
      }
    },
    processStarted({ agentId, host }) {
      const of = agents.get(agentId);
      const on = fleet.hostNamed(host)?.customerId;
      if (of !== undefined && of !== on)
        world.fail(property, `${agentId} of customer ${of} starts on ${host} of ${on}`);
    },
  };
}
