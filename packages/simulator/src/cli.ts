/**
 * The simulator's command line: `npm run sim -- --seeds 300`. Prints what was run, what was covered and, when a property was
 * violated, everything that is needed to see it again. Exit codes: 0 clean, 1 a property was violated or a mutant survived,
 * 2 the command line is wrong.
 */
import { parseArgs } from 'node:util';
import { huntMutants, runSeeds, traceSeed } from './commands.ts';
import { mutants } from './mutants.ts';

const help = `Deterministic simulation of a whole fleet: one manager, many orchestrators, faults from a seed.

Usage: npm run sim -- [options]

  --seeds N          seeds to run (default 100)
  --from S           first seed (default 1)
  --minutes M        simulated minutes per seed (default 10)
  --orchestrators N  machines (default 10)
  --agents N         agents the operators aim at (default 50)
  --threads N        worker threads (default 2)
  --mutants          plant each known bug in turn; every one must be found
  --seed S           run one seed here
  --trace            with --seed: print everything that happens
  --until MS         with --seed: stop at this simulated millisecond
  --mutant NAME      with --seed or --seeds: plant this bug (may be repeated)
  --coverage         print every counter, not only what never happened
  --help

Examples:
  npm run sim -- --seeds 300
  npm run sim -- --seed 26 --until 81234 --trace
  npm run sim -- --mutants`;

class UsageError extends Error {}

function whole(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new UsageError(`--${name} must be a whole number, not ${JSON.stringify(text)}`);
  return value;
}

function readArguments(argv: readonly string[]): ReturnType<typeof parse> {
  try {
    return parse(argv);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

const parse = (argv: readonly string[]) =>
  parseArgs({
    args: [...argv],
    options: {
      seeds: { type: 'string' },
      from: { type: 'string' },
      minutes: { type: 'string' },
      orchestrators: { type: 'string' },
      agents: { type: 'string' },
      threads: { type: 'string' },
      mutants: { type: 'boolean' },
      seed: { type: 'string' },
      trace: { type: 'boolean' },
      until: { type: 'string' },
      mutant: { type: 'string', multiple: true },
      coverage: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });

async function main(argv: readonly string[]): Promise<number> {
  const { values } = readArguments(argv);
  if (values.help === true) {
    process.stdout.write(`${help}\n`);
    return 0;
  }
  const planted = values.mutant ?? [];
  for (const name of planted) {
    if (!mutants.some((mutant) => mutant.name === name)) {
      throw new UsageError(
        `unknown mutant ${name}; known: ${mutants.map((mutant) => mutant.name).join(', ')}`,
      );
    }
  }
  const shape = {
    orchestrators: whole('orchestrators', values.orchestrators, 10),
    agents: whole('agents', values.agents, 50),
    lengthMs: whole('minutes', values.minutes, 10) * 60_000,
    mutants: planted,
  };
  const threads = Math.max(1, whole('threads', values.threads, 2));
  if (values.seed !== undefined) {
    const seed = whole('seed', values.seed, 1);
    const untilMs = whole('until', values.until, shape.lengthMs);
    return traceSeed({ ...shape, seed, untilMs }, values.trace === true);
  }
  if (values.mutants === true) return huntMutants(shape, threads);
  const seeds = whole('seeds', values.seeds, 100);
  const from = whole('from', values.from, 1);
  return runSeeds(shape, { seeds, from, threads, coverage: values.coverage === true });
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`${error.message}\nTry --help.\n`);
  process.exitCode = 2;
}
