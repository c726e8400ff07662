/**
 * The four heights of tests, as vitest projects.
 *
 * `unit` is pure and runs in parallel; `process` starts real processes beside the code it tests; `tidy` holds the
 * repository to its own rules; `system` starts whole managers and orchestrators, one file at a time. Groups run one after
 * the other, so that real processes are never starved by the parallel part. Time limits are generous because a limit only
 * exists to end a hang: no test asserts a time.
 *
 * MUSTER_TEST_REPORT names a file that receives the results as JSON, whatever the command line was (.ci/run adds them up).
 */
import { defineConfig } from 'vitest/config';

const reportFile = process.env['MUSTER_TEST_REPORT'];

export default defineConfig({
  test: {
    pool: 'forks',
    // The default leaves one core idle; on the two of a small machine that doubles the time.
    maxWorkers: 2,
    passWithNoTests: false,
    reporters: reportFile === undefined || reportFile === '' ? ['default'] : ['default', 'json'],
    ...(reportFile === undefined || reportFile === '' ? {} : { outputFile: { json: reportFile } }),
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['packages/*/src/**/*.test.ts'],
          exclude: ['**/node_modules/**', '**/*.process.test.ts'],
          testTimeout: 30_000,
          hookTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'tidy',
          include: ['test/tidy/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'process',
          include: ['packages/*/src/**/*.process.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'system',
          include: ['test/system/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
