export { HEAL_BOUND_MS } from './checkers/heals-within-bound.ts';
export { allCheckers } from './checkers/index.ts';
export { MUTANT_SEEDS_LIMIT, type Mutant, mutants } from './mutants.ts';
export { type Failure, runSeed, type SeedOptions, type SeedOutcome } from './run-seed.ts';
export type { TraceLine } from './trace.ts';
