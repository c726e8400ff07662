/**
 * Every order ends in exactly one outcome: a machine never issues two receipts for one order, whatever crashes in between;
 * the manager's journal never concludes one twice; and when the world has healed no order of a present machine is left
 * without an outcome, but those the customer holds back.
 */
import type { Fleet } from '../fleet.ts';
import type { Host } from '../host.ts';
import type { Observer } from '../observer.ts';
import type { World } from '../world.ts';

export function receiptsExactlyOne(world: World): Observer {
  const property = 'receipts-exactly-one';
  const issued = new Map<string, string>();
  const issuedBy = new Map<string, Host>();
  const concluded = new Map<string, string>();
  const isHeld = (host: Host | undefined, agentId: string): boolean => {
    const facts = host?.daemon?.machine.facts;
    return facts !== undefined && (facts.holdAll !== null || facts.holds.has(agentId));
  };
  return {
    property,
    managerDurable(records) {
      for (const record of records) {
        if (record.kind !== 'orderConcluded') continue;
        const { orderId, outcome } = record.body;
        const before = concluded.get(orderId);
        if (before !== undefined) world.fail(property, `${orderId} is concluded ${before}, then ${outcome}`);
        concluded.set(orderId, outcome);
      }
    },
    orchestratorDurable(host, records) {
      for (const record of records) {
        if (record.kind !== 'receiptIssued') continue;
        const { orderId, outcome } = record.body.receipt;
        const before = issued.get(orderId);
        if (before !== undefined)
          world.fail(
            property,
            `${host.name} issues a second receipt for ${orderId}: ${before}, then ${outcome}`,
          );
        issued.set(orderId, outcome);
        issuedBy.set(orderId, host);
      }
    },
    hostWiped(host) {
      // It cannot know what it said before; the manager takes the first word.
      for (const [orderId, by] of issuedBy) if (by === host) issued.delete(orderId);
    },
    atEnd(fleet: Fleet) {
      const { facts } = fleet.manager.machine;
      for (const order of facts.orders.values()) {
        const gone = facts.orchestrators.get(order.orchestratorId)?.deregisteredAt !== null;
        const host = fleet.hostOf(order.orchestratorId);
        if (order.outcome !== null || gone || host === undefined || isHeld(host, order.agentId)) continue;
        world.fail(
          property,
          `${order.what} order ${order.id} of ${order.agentId} at ${host.name} has no outcome after everything healed`,
        );
      }
    },
  };
}
