/** The public door: the command as a function, for tests and tools. */
export { exitCode, exitCodeMeanings } from './exit-codes.ts';
export { run } from './program/program.ts';
export { processServices, type Services } from './services.ts';
