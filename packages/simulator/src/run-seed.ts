/**
 * One seed: build the world, let chaos and workload go, then heal and require rest within the bound, and let it go on for the
 * rest of its time. The outcome is plain data, so a worker thread can hand it over.
 */
import type { JournalRecord } from '@muster/core';
import { HEAL_BOUND_MS, unrest } from './checkers/heals-within-bound.ts';
import { allCheckers } from './checkers/index.ts';
import { Fleet } from './fleet.ts';
import { Nemesis } from './nemesis.ts';
import type { Observer } from './observer.ts';
import { withPoisonedGlobals } from './poison.ts';
import { Stream } from './random.ts';
import { describeSwarm, drawSwarm } from './swarm.ts';
import { Trace, type TraceLine } from './trace.ts';
import { Workload } from './workload.ts';
import { PropertyViolated, World } from './world.ts';

export interface SeedOptions {
  readonly seed: number;
  readonly orchestrators: number;
  readonly agents: number;
  /** Simulated length, ms. */
  readonly lengthMs: number;
  /** Stop looking after this much simulated time, ms. */
  readonly untilMs?: number;
  readonly mutants?: ReadonlySet<string>;
  readonly print?: (line: TraceLine) => void;
}

export interface Failure {
  readonly property: string;
  readonly detail: string;
  /** Simulated time of the violation, ms. */
  readonly at: number;
  readonly lastLines: readonly TraceLine[];
}

export interface SeedOutcome {
  readonly seed: number;
  readonly swarm: string;
  readonly digest: string;
  readonly events: number;
  readonly simulatedMs: number;
  /** Time from healing to rest, ms; null when it did not come to that. */
  readonly healedInMs: number | null;
  readonly counters: Readonly<Record<string, number>>;
  readonly failure: Failure | null;
}

/** Share of a run in which things go wrong. */
const CHAOS_SHARE = 0.7;
const INSPECTIONS = 6;

/** Run one seed. Never throws for a violated property: that is an outcome. */
export function runSeed(options: SeedOptions): SeedOutcome {
  return withPoisonedGlobals(() => run(options));
}

function run(options: SeedOptions): SeedOutcome {
  const trace = new Trace(options.print);
  const stream = Stream.ofSeed(options.seed);
  const swarm = drawSwarm(stream.fork('swarm'));
  const world = new World({
    seed: options.seed,
    stream,
    swarm,
    trace,
    mutants: options.mutants ?? new Set(),
  });
  let healedInMs: number | null = null;
  let failure: Failure | null = null;
  try {
    healedInMs = live(world, options);
  } catch (error) {
    const property = error instanceof PropertyViolated ? error.property : 'simulator-never-throws';
    const detail =
      error instanceof PropertyViolated ? error.message : ((error as Error).stack ?? String(error));
    failure = { property, detail, at: world.now, lastLines: trace.lastLines };
  }
  return {
    seed: options.seed,
    swarm: describeSwarm(swarm),
    digest: trace.digest,
    events: world.schedule.events,
    simulatedMs: world.now,
    healedInMs,
    counters: Object.fromEntries([...trace.counters].sort(([a], [b]) => (a < b ? -1 : 1))),
    failure,
  };
}

function live(world: World, options: SeedOptions): number | null {
  const { lengthMs, untilMs = lengthMs } = options;
  const fleet = makeFleet(world, options.orchestrators);
  if (options.print !== undefined) world.observers.push(recordTeller(world, options.print));
  const chaosMs = Math.max(lengthMs * CHAOS_SHARE, lengthMs - 3 * HEAL_BOUND_MS);
  const workload = new Workload(fleet, { agents: options.agents, endsAt: chaosMs });
  const nemesis = new Nemesis(fleet);
  fleet.manager.start();
  for (const host of fleet.hosts) {
    host.boot();
    fleet.join(host);
  }
  workload.start();
  nemesis.start();
  const inspect = (): void => {
    for (const observer of world.observers) observer.inspect?.(fleet);
  };
  for (let part = 1; part <= INSPECTIONS; part += 1) {
    world.schedule.runUntil(Math.min(untilMs, (chaosMs * part) / INSPECTIONS));
    inspect();
  }
  if (untilMs <= chaosMs) return null;
  nemesis.heal();
  const healedInMs = waitForRest(world, fleet, chaosMs);
  world.schedule.runUntil(untilMs);
  const later = unrest(fleet);
  if (later !== null) world.fail('heals-within-bound', `came to rest, then: ${later}`);
  inspect();
  for (const observer of world.observers) observer.atEnd?.(fleet);
  return healedInMs;
}

function waitForRest(world: World, fleet: Fleet, healedAt: number): number {
  for (;;) {
    const reason = unrest(fleet);
    if (reason === null) return world.now - healedAt;
    if (world.now - healedAt >= HEAL_BOUND_MS) {
      world.fail('heals-within-bound', `${HEAL_BOUND_MS / 1000} s after all faults ended: ${reason}`);
    }
    world.schedule.runUntil(world.now + 1_000);
  }
}

function makeFleet(world: World, orchestrators: number): Fleet {
  const customers = ['default', 'acme', 'globex'].slice(0, 2 + (world.seed % 2));
  const fleet = new Fleet(world, customers);
  for (let index = 0; index < orchestrators; index += 1) {
    fleet.addHost({
      name: `o${index + 1}`,
      customerId: customers[index % customers.length] as string,
      maxAgents: world.swarm.places,
      capabilities: index % 3 === 0 ? ['gpu', 'trading_agent'] : ['trading_agent'],
    });
  }
  world.observers.push(...allCheckers(world, fleet));
  return fleet;
}

/** Tells every durable record, for a trace that people read. Not part of the digest. */
function recordTeller(world: World, print: (line: TraceLine) => void): Observer {
  const tell = (node: string, records: readonly JournalRecord[]): void => {
    for (const { kind, body } of records)
      print({ at: world.now, node, text: `record ${kind} ${JSON.stringify(body)}` });
  };
  return {
    property: 'tells-records',
    managerDurable: (records) => tell('manager', records),
    orchestratorDurable: (host, records) => tell(host.name, records),
  };
}
