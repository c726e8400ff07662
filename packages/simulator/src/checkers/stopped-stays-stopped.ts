/**
 * A stop is a stop. What the manager has released as confirmed is dead at that moment and nothing of that epoch ever starts
 * again (R6, R8); what the customer stopped on his machine does not start there until he resumes it, whoever else orders,
 * through crashes and reboots.
 */
import type { Fleet } from '../fleet.ts';
import type { Host } from '../host.ts';
import type { Observer } from '../observer.ts';
import type { World } from '../world.ts';

const EVERYTHING = '*';

export function stoppedStaysStopped(world: World, fleet: Fleet): Observer {
  const property = 'stopped-stays-stopped';
  const released = new Map<string, number>();
  const holds = new WeakMap<Host, Set<string>>();
  const holdsOf = (host: Host): Set<string> => {
    const known = holds.get(host) ?? new Set<string>();
    holds.set(host, known);
    return known;
  };
  return {
    property,
    managerDurable(records) {
      for (const record of records) {
        if (record.kind !== 'placementReleased') continue;
        const { agentId, epoch, how } = record.body;
        released.set(agentId, Math.max(epoch, released.get(agentId) ?? 0));
        if (how !== 'confirmed') continue;
        for (const process of world.processes.get(agentId) ?? []) {
          if (process.epoch <= epoch) world.fail(property, `${agentId} ${epoch} is released as confirmed while ${process.epoch}.${process.sub} lives on ${process.host}`);
        }
      }
    },
    orchestratorDurable(host, records) {
      const held = holdsOf(host);
      for (const record of records) {
        if (record.kind === 'held') held.add(record.body.agentId ?? EVERYTHING);
        if (record.kind === 'holdLifted' && record.body.agentId === null) held.clear();
        if (record.kind === 'holdLifted' && record.body.agentId !== null) held.delete(record.body.agentId);
        // The agent has left this machine for good: the hold goes with it.
        if (record.kind === 'tombstoneDone') held.delete(record.body.agentId);
      }
    },
    localReplied(host, command, result) {
      if (!result.ok || command.kind !== 'stop') return;
      const held = holdsOf(host);
      if (!held.has(command.agentId ?? EVERYTHING)) world.fail(property, `${host.name}: the customer's stop is acknowledged and not on disk`);
    },
    hostWiped(host) {
      holds.delete(host);
    },
    processStarted({ agentId, epoch, sub, host }) {
      const last = released.get(agentId) ?? 0;
      if (epoch <= last) world.fail(property, `${agentId} ${epoch}.${sub} starts on ${host}; epoch ${last} was released`);
    },
    orchestratorExecutes(host, effect) {
      if (effect.kind !== 'spawn') return;
      const held = holdsOf(host);
      if (held.has(EVERYTHING) || held.has(effect.agentId)) {
        // Decided before the customer spoke and carried out after: only a stop that was answered counts as spoken.
        const facts = fleet.hostNamed(host.name)?.daemon?.machine.facts;
        const known = facts !== undefined && (facts.holdAll !== null || facts.holds.has(effect.agentId));
        if (!known) world.fail(property, `${host.name} has forgotten that the customer stopped ${effect.agentId}`);
      }
    },
  };
}
