/**
 * Many seeds over a few worker threads. Each thread takes the next seed when it is done with one; results come back as they
 * arrive, and the order in which they do changes nothing.
 */
import { Worker } from 'node:worker_threads';
import type { SeedOutcome } from './run-seed.ts';

export interface Job {
  readonly seed: number;
  readonly orchestrators: number;
  readonly agents: number;
  readonly lengthMs: number;
  readonly untilMs?: number;
  readonly mutants: readonly string[];
}

export interface RunManyOptions {
  readonly threads: number;
  /** The next job; undefined: there is none. */
  readonly next: () => Job | undefined;
  readonly onOutcome: (job: Job, outcome: SeedOutcome) => void;
}

/** Resolves when every job has its outcome. Rejects when a worker dies. */
export async function runMany(options: RunManyOptions): Promise<void> {
  await Promise.all(Array.from({ length: options.threads }, () => runThread(options)));
}

async function runThread({ next, onOutcome }: RunManyOptions): Promise<void> {
  const worker = new Worker(new URL('./seed-worker.ts', import.meta.url));
  try {
    for (let job = next(); job !== undefined; job = next()) onOutcome(job, await ask(worker, job));
  } finally {
    await worker.terminate();
  }
}

function ask(worker: Worker, job: Job): Promise<SeedOutcome> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      worker.off('message', onMessage);
      worker.off('error', onError);
    };
    const onMessage = (outcome: SeedOutcome): void => {
      settle();
      resolve(outcome);
    };
    const onError = (error: Error): void => {
      settle();
      reject(error);
    };
    worker.on('message', onMessage);
    worker.on('error', onError);
    worker.postMessage(job);
  });
}
