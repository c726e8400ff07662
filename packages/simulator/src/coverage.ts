/**
 * What must have happened at least once over a run of some size: a simulation that never crashed a manager between append and
 * durability has not tested it. Names are the counters that the world keeps.
 */
import { faultKinds } from './swarm.ts';

/** Faults that are drawn as probabilities; their counters carry other names or are seen in their effects. */
const silentFaults = new Set(['crashInStep', 'ignoredSigterm', 'failedSpawn']);

export const expectedCounters: readonly string[] = [
  ...faultKinds.filter((kind) => !silentFaults.has(kind)).map((kind) => `fault ${kind}`),
  'fault crashInStep after-step',
  'fault crashInStep after-durable',
  'fault crashInStep between-effects',
  'crash between append and durable',
  'unacknowledged append survived a crash',
  'contradictory operators',
  'used join token tried again',
  'order target complete',
  'order target incremental',
  'order stopQuery',
  'order refused by an orchestrator',
  'garbage refused by an orchestrator',
  'garbage refused by the manager',
  'handshake timed out',
  'link dropped by an orchestrator',
  'rejected session-live',
  'rejected session-replaced',
  'rejected orchestrator-revoked',
  'keeper refused already-running',
  'keeper refused spawn-failed',
  'note stopped.unasked',
  'note orchestrator.lost',
  'note orchestrator.rejoined',
  'note agent.unplaced',
  'note agent.move-abandoned',
  'note local.stopped',
  'refused join-token-used',
  'refused identity-taken',
  'refused nothing-fits',
  'refused agent-busy',
  'refused agents-remain',
  'done deploy',
  'done migrateAgent',
  'done rebalance',
  'done deregister',
  'done removeAgent',
];
