/**
 * A stop is a stop. What the manager has released as confirmed is dead at that moment and nothing of that epoch ever starts
 * again (R6, R8); what the customer stopped on his machine does not start there until he resumes it, whoever else orders,
 * through crashes and reboots.
 */
import type { Host } from '../host.ts';
import type { OrchestratorRecord } from '../machines.ts';
import type { Observer } from '../observer.ts';
import type { World } from '../world.ts';

const EVERYTHING = '*';

export function stoppedStaysStopped(world: World): Observer {
  const property = 'stopped-stays-stopped';
  const released = new Map<string, number>();
  const onDisk = new WeakMap<Host, Set<string>>();
  /** Also what is decided and not on disk yet. */
  const inMemory = new WeakMap<Host, Set<string>>();
  const holdsOf = (books: WeakMap<Host, Set<string>>, host: Host): Set<string> => {
    const known = books.get(host) ?? new Set<string>();
    books.set(host, known);
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
          if (process.epoch <= epoch)
            world.fail(
              property,
              `${agentId} ${epoch} is released as confirmed while ${process.epoch}.${process.sub} lives on ${process.host}`,
            );
        }
      }
    },
    orchestratorDurable(host, records) {
      note(holdsOf(onDisk, host), records);
    },
    daemonStarted(host) {
      inMemory.set(host, new Set(holdsOf(onDisk, host)));
    },
    orchestratorStepped(host, _input, effects) {
      const held = holdsOf(inMemory, host);
      for (const effect of effects) {
        if (effect.kind === 'append') note(held, effect.records as readonly OrchestratorRecord[]);
        if (effect.kind !== 'spawn' || !(held.has(EVERYTHING) || held.has(effect.agentId))) continue;
        world.fail(
          property,
          `${host.name} decides to start ${effect.agentId}, which its customer has stopped`,
        );
      }
    },
    localReplied(host, command, result) {
      if (!result.ok || command.kind !== 'stop') return;
      if (holdsOf(onDisk, host).has(command.agentId ?? EVERYTHING)) return;
      // A later word may have been written in the same commit.
      if (!holdsOf(inMemory, host).has(command.agentId ?? EVERYTHING)) return;
      world.fail(property, `${host.name}: the customer's stop is acknowledged and not on disk`);
    },
    hostWiped(host) {
      onDisk.delete(host);
      inMemory.delete(host);
    },
    processStarted({ agentId, epoch, sub, host }) {
      const last = released.get(agentId) ?? 0;
      if (epoch <= last)
        world.fail(property, `${agentId} ${epoch}.${sub} starts on ${host}; epoch ${last} was released`);
    },
  };
}

function note(held: Set<string>, records: readonly OrchestratorRecord[]): void {
  for (const record of records) {
    if (record.kind === 'held') held.add(record.body.agentId ?? EVERYTHING);
    if (record.kind === 'holdLifted' && record.body.agentId === null) held.clear();
    if (record.kind === 'holdLifted' && record.body.agentId !== null) held.delete(record.body.agentId);
    // The agent has left this machine for good: the hold goes with it.
    if (record.kind === 'tombstoneDone') held.delete(record.body.agentId);
  }
}
