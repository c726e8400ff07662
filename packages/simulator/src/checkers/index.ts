/** Every checker of a world, in the order in which they judge an event. */
import type { Fleet } from '../fleet.ts';
import type { Observer } from '../observer.ts';
import type { World } from '../world.ts';
import { ackedIsDurable } from './acked-is-durable.ts';
import { capacityNeverExceeded } from './capacity-never-exceeded.ts';
import { customerBorder } from './customer-border.ts';
import { desiredHasOneWriter } from './desired-has-one-writer.ts';
import { epochNeverReused } from './epoch-never-reused.ts';
import { noSendBeforeDurable } from './no-send-before-durable.ts';
import { onePlacementRunsOnce } from './one-placement-runs-once.ts';
import { receiptsExactlyOne } from './receipts-exactly-one.ts';
import { replayGivesSameDigest } from './replay-gives-same-digest.ts';
import { restartSatisfiedOnce } from './restart-satisfied-once.ts';
import { sessionUnique } from './session-unique.ts';
import { stateFollowsAgent } from './state-follows-agent.ts';
import { stopIsChallenged } from './stop-is-challenged.ts';
import { stoppedStaysStopped } from './stopped-stays-stopped.ts';

export function allCheckers(world: World, fleet: Fleet): Observer[] {
  return [
    noSendBeforeDurable(world),
    ackedIsDurable(world),
    epochNeverReused(world),
    onePlacementRunsOnce(world),
    capacityNeverExceeded(world, fleet),
    customerBorder(world, fleet),
    stoppedStaysStopped(world),
    stopIsChallenged(world),
    restartSatisfiedOnce(world),
    stateFollowsAgent(world, fleet),
    receiptsExactlyOne(world),
    sessionUnique(world),
    desiredHasOneWriter(world),
    replayGivesSameDigest(world),
  ];
}
