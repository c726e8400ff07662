/** What the command line can do: run seeds, hunt mutants, look at one seed. Each returns the exit code. */
import { performance } from 'node:perf_hooks';
import { expectedCounters } from './coverage.ts';
import { MUTANT_SEEDS_LIMIT, mutants } from './mutants.ts';
import { type Job, runMany } from './run-many.ts';
import { runSeed, type SeedOutcome } from './run-seed.ts';
import { scenarios } from './scenarios/scenarios.ts';
import { playScenario } from './scenarios/stage.ts';
import type { TraceLine } from './trace.ts';

export type Shape = Omit<Job, 'seed' | 'untilMs'>;

/** Every seed of this many is run twice, to see that it gives the same digest. */
const REPEAT_EVERY = 50;
const FAILURES_SHOWN = 3;

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const progress = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
};
const lineText = ({ at, node, text }: TraceLine): string =>
  `${(at / 1000).toFixed(3).padStart(9)} ${node.padEnd(8)} ${text}`;

function sayFailure(outcome: SeedOutcome, shape: Shape): void {
  const { failure, seed, swarm } = outcome;
  if (failure === null) return;
  const until = Math.ceil(failure.at + 1);
  say(
    `\nseed ${seed} violates ${failure.property} at ${Math.round(failure.at)} ms\n  ${failure.detail}\n  faults of this world: ${swarm}`,
  );
  for (const line of failure.lastLines.slice(-50)) say(`  ${lineText(line).slice(0, 300)}`);
  const planted = shape.mutants.map((name) => ` --mutant ${name}`).join('');
  say(
    `see it again: npm run sim -- --seed ${seed} --until ${until} --trace --minutes ${shape.lengthMs / 60_000} --orchestrators ${shape.orchestrators} --agents ${shape.agents}${planted}`,
  );
}

export interface SeedsOptions {
  readonly seeds: number;
  readonly from: number;
  readonly threads: number;
  readonly coverage: boolean;
}

/** Run a range of seeds; some of them twice. */
export async function runSeeds(shape: Shape, options: SeedsOptions): Promise<number> {
  const startedMs = performance.now();
  const broken = sayScenarios();
  const digests = new Map<number, string>();
  const failed = new Set<number>();
  const counters = new Map<string, number>();
  const totals = { events: 0, simulatedMs: 0, runs: 0, calm: 0, slowestHealMs: 0 };
  const jobs = jobsOf(shape, options);
  await runMany({
    threads: options.threads,
    next: () => jobs.next().value,
    onOutcome(job, outcome) {
      totals.events += outcome.events;
      totals.simulatedMs += outcome.simulatedMs;
      totals.runs += 1;
      if (outcome.swarm === 'calm') totals.calm += 1;
      totals.slowestHealMs = Math.max(totals.slowestHealMs, outcome.healedInMs ?? 0);
      for (const [name, count] of Object.entries(outcome.counters))
        counters.set(name, (counters.get(name) ?? 0) + count);
      const before = digests.get(job.seed);
      digests.set(job.seed, outcome.digest);
      if (before !== undefined && before !== outcome.digest) {
        failed.add(job.seed);
        say(`\nseed ${job.seed} violates replay-gives-same-digest: ${before}, run again ${outcome.digest}`);
      } else if (outcome.failure !== null && before === undefined) {
        failed.add(job.seed);
        if (failed.size <= FAILURES_SHOWN) sayFailure(outcome, shape);
      }
      progress(`${digests.size} of ${options.seeds} seeds, ${failed.size} failed`);
    },
  });
  progress('');
  const seconds = (performance.now() - startedMs) / 1000;
  sayCoverage(counters, options.coverage);
  say(
    `${totals.runs} runs (${totals.calm} calm) in ${seconds.toFixed(1)} s, ${options.threads} threads: ${Math.round(totals.events / seconds / 1000)}k events/s, ${Math.round(totals.simulatedMs / 1000 / seconds)} times real time; slowest rest after healing ${(totals.slowestHealMs / 1000).toFixed(0)} s`,
  );
  if (failed.size > 0) say(`failed seeds: ${[...failed].sort((a, b) => a - b).join(', ')}`);
  say(`simulation: ${digests.size} seeds, ${failed.size} failed`);
  return failed.size === 0 && broken === 0 ? 0 : 1;
}

/** Plays the scripted situations; the number of those that failed. */
function sayScenarios(): number {
  let broken = 0;
  for (const scenario of scenarios) {
    const failure = playScenario(scenario, new Set());
    if (failure === null) continue;
    broken += 1;
    say(`scenario ${scenario.name} violates ${failure.property}: ${failure.detail}`);
  }
  say(`scenarios: ${scenarios.length} played, ${broken} failed`);
  return broken;
}

function* jobsOf(shape: Shape, { seeds, from }: SeedsOptions): Generator<Job, undefined> {
  for (let seed = from; seed < from + seeds; seed += 1) yield { ...shape, seed };
  for (let seed = from; seed < from + seeds; seed += REPEAT_EVERY) yield { ...shape, seed };
  return undefined;
}

function sayCoverage(counters: ReadonlyMap<string, number>, all: boolean): void {
  const sorted = [...counters].sort(([a], [b]) => (a < b ? -1 : 1));
  const faults = sorted
    .filter(([name]) => name.startsWith('fault '))
    .map(([name, count]) => `${name.slice(6)} ${count}`);
  say(`faults: ${faults.join(', ') || 'none'}`);
  if (all) for (const [name, count] of sorted) say(`${String(count).padStart(10)} ${name}`);
  const never = expectedCounters.filter((name) => !counters.has(name));
  say(
    `covered ${expectedCounters.length - never.length} of ${expectedCounters.length} situations${never.length === 0 ? '' : `; never: ${never.join(', ')}`}`,
  );
}

/** Plant every known bug in turn; each must be found within its bound. */
export async function huntMutants(shape: Shape, threads: number): Promise<number> {
  // A scenario that fails without a planted bug would find every one of them.
  if (sayScenarios() > 0) return 1;
  const found = new Map<string, { by: string; property: string }>();
  for (const { name } of mutants) {
    for (const scenario of scenarios) {
      const failure = playScenario(scenario, new Set([name]));
      if (failure !== null) found.set(name, { by: `scenario ${scenario.name}`, property: failure.property });
    }
  }
  const queue = mutants.filter(({ name }) => !found.has(name)).map(({ name }) => ({ name, seed: 1 }));
  await runMany({
    threads,
    next() {
      const item = queue.shift();
      return item === undefined ? undefined : { ...shape, seed: item.seed, mutants: [item.name] };
    },
    onOutcome(job, { failure }) {
      const name = job.mutants[0] as string;
      if (failure !== null) found.set(name, { by: `seed ${job.seed}`, property: failure.property });
      else if (job.seed < MUTANT_SEEDS_LIMIT) queue.push({ name, seed: job.seed + 1 });
      progress(`${found.size} of ${mutants.length} mutants found`);
    },
  });
  progress('');
  for (const { name, where, does } of mutants) {
    const how = found.get(name);
    const result =
      how === undefined ? `SURVIVED ${MUTANT_SEEDS_LIMIT} seeds` : `found by ${how.by}: ${how.property}`;
    say(`${name.padEnd(24)} ${where.padEnd(12)} ${result.padEnd(64)} ${does}`);
  }
  const survivors = mutants.length - found.size;
  say(`mutants: ${mutants.length} planted, ${survivors} survived`);
  return survivors === 0 ? 0 : 1;
}

/** One seed in this thread, with or without its whole story. */
export function traceSeed(
  options: Shape & { readonly seed: number; readonly untilMs: number },
  trace: boolean,
): number {
  const { mutants: planted, ...rest } = options;
  const print = (line: TraceLine): void => say(lineText(line));
  const outcome = runSeed({ ...rest, mutants: new Set(planted), ...(trace ? { print } : {}) });
  sayFailure(outcome, options);
  say(`seed ${outcome.seed}: ${outcome.events} events, digest ${outcome.digest}, faults: ${outcome.swarm}`);
  say(`simulation: 1 seeds, ${outcome.failure === null ? 0 : 1} failed`);
  return outcome.failure === null ? 0 : 1;
}
