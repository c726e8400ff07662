/**
 * Documents that are made from code are current.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const repository = join(import.meta.dirname, '../..');

it('docs/errors.md is what the error catalogue says', () => {
  const script = join(repository, 'scripts/error-reference.mjs');
  expect(() =>
    execFileSync(process.execPath, [script, '--check'], { cwd: repository, stdio: 'pipe' }),
  ).not.toThrow();
});
