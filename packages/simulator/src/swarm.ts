/**
 * Swarm: each seed first draws which faults exist at all and how strong they are. A third of the seeds is calm. Different
 * mixtures reach different corners; everything at once would drown most of them.
 */
import type { Stream } from './random.ts';

export const faultKinds = [
  'managerCrash',
  'daemonCrash',
  'keeperCrash',
  'hostCrash',
  'agentCrash',
  'crashInStep',
  'partition',
  'oneWayPartition',
  'linkReset',
  'halfOpen',
  'slowPeer',
  'refusedDial',
  'garbageFrame',
  'replayedOrder',
  'unaskedStopped',
  'processPause',
  'wallJump',
  'ignoredSigterm',
  'failedState',
  'failedSpawn',
  'lostDataDir',
  'deadForGood',
] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface Swarm {
  readonly calm: boolean;
  /** Mean time between two faults of a kind, ms; absent: the kind does not exist in this world. */
  readonly meanMs: ReadonlyMap<FaultKind, number>;
  /** Largest deviation of a host's clock, share of its rate. */
  readonly rateError: number;
  /** Mean one-way network delay, ms, and mean commit time of a disk, ms. */
  readonly networkMs: number;
  readonly commitMs: number;
  /** Probability that a process dies at one of the marked points of its driver, per point. */
  readonly crashInStep: number;
  /** Mean time between two operations of the operators, ms. */
  readonly workloadMs: number;
  /** Places per orchestrator: fewer make capacity tight. */
  readonly places: number;
  /** Records between two snapshots of a journal. */
  readonly snapshotEvery: number;
}

/** Mean time between two faults when the kind exists, ms: low and high end. */
const ranges: Readonly<Record<FaultKind, readonly [number, number]>> = {
  managerCrash: [15_000, 120_000],
  daemonCrash: [4_000, 60_000],
  keeperCrash: [8_000, 90_000],
  hostCrash: [20_000, 150_000],
  agentCrash: [1_000, 20_000],
  crashInStep: [1, 1],
  partition: [10_000, 90_000],
  oneWayPartition: [10_000, 90_000],
  linkReset: [3_000, 40_000],
  halfOpen: [8_000, 60_000],
  slowPeer: [10_000, 60_000],
  refusedDial: [10_000, 60_000],
  garbageFrame: [15_000, 90_000],
  replayedOrder: [10_000, 60_000],
  unaskedStopped: [5_000, 40_000],
  processPause: [10_000, 60_000],
  wallJump: [10_000, 60_000],
  ignoredSigterm: [1, 1],
  failedState: [1, 1],
  failedSpawn: [1, 1],
  lostDataDir: [60_000, 200_000],
  deadForGood: [90_000, 300_000],
};

export function drawSwarm(stream: Stream): Swarm {
  const calm = stream.chance(1 / 3);
  const meanMs = new Map<FaultKind, number>();
  const share = stream.pick([0.2, 0.4, 0.6, 0.9]) ?? 0.5;
  for (const kind of faultKinds) {
    const exists = stream.chance(share);
    const [low, high] = ranges[kind];
    const mean = stream.between(low, high);
    if (exists && !calm) meanMs.set(kind, mean);
  }
  return {
    calm,
    meanMs,
    rateError: calm ? 0 : stream.between(0, 0.01),
    networkMs: stream.pick([1, 10, 40, 150]) ?? 10,
    commitMs: stream.pick([0.2, 2, 10, 40]) ?? 2,
    crashInStep: meanMs.has('crashInStep') ? (stream.pick([0.0005, 0.002, 0.005]) ?? 0) : 0,
    workloadMs: stream.between(600, 4_000),
    places: stream.pick([5, 7, 7, 9]) ?? 7,
    snapshotEvery: stream.pick([7, 40, 200]) ?? 40,
  };
}

/** One line for people: what exists in this world. */
export function describeSwarm(swarm: Swarm): string {
  if (swarm.calm) return 'calm';
  return [...swarm.meanMs.keys()].join(', ');
}
