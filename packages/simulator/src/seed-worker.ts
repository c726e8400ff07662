/** A worker thread: runs the seeds it is handed, one at a time, and hands the outcomes back. */
import { parentPort } from 'node:worker_threads';
import type { Job } from './run-many.ts';
import { runSeed } from './run-seed.ts';

parentPort?.on('message', ({ mutants, ...job }: Job) => {
  parentPort?.postMessage(runSeed({ ...job, mutants: new Set(mutants) }));
});
