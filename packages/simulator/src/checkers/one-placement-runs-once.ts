/**
 * S1: over all machines at most one process of an agent lives, or died so recently that something it sent may still take
 * effect while another epoch starts. Judged by the omniscient world, at every start.
 *
 * The in-flight time binds the manager's hand-over (another epoch); a person who declares a machine dead answers for it
 * himself, so a predecessor that ended by such a declaration is exempt. Clocks may be a hundredth off, so is the judgement.
 */
import { agentTypes } from '../agent-types.ts';
import type { Observer } from '../observer.ts';
import type { World } from '../world.ts';

export function onePlacementRunsOnce(world: World): Observer {
  const property = 'one-placement-runs-once';
  const deaths = new Map<string, { epoch: number; at: number; host: string }>();
  const inFlightMs = new Map<string, number>();
  const declaredDead = new Set<string>();
  return {
    property,
    managerDurable(records) {
      for (const record of records) {
        if (record.kind === 'agentDeployed') {
          const recipe = agentTypes.find((item) => item.type === record.body.spec.type);
          inFlightMs.set(record.body.id, recipe?.inFlightMs ?? 0);
        }
        if (record.kind === 'placementReleased' && record.body.how === 'declared-dead') {
          declaredDead.add(`${record.body.agentId} ${record.body.epoch}`);
        }
      }
    },
    processStarted(process) {
      const { agentId, epoch, sub, host } = process;
      for (const other of world.processes.get(agentId) ?? []) {
        world.fail(
          property,
          `${agentId} ${epoch}.${sub} starts on ${host} while ${other.epoch}.${other.sub} lives on ${other.host}`,
        );
      }
      const last = deaths.get(agentId);
      if (last === undefined || last.epoch === epoch || declaredDead.has(`${agentId} ${last.epoch}`)) return;
      const waited = world.now - last.at;
      const needed = (inFlightMs.get(agentId) ?? 0) * 0.98 - 5;
      if (waited < needed) {
        world.fail(
          property,
          `${agentId} epoch ${epoch} starts on ${host} ${Math.round(waited)} ms after epoch ${last.epoch} died on ${last.host}; what that sent may take effect for ${needed} ms`,
        );
      }
    },
    processEnded({ agentId, epoch, host }) {
      deaths.set(agentId, { epoch, at: world.now, host });
    },
  };
}
