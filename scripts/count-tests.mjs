/**
 * `node scripts/count-tests.mjs <vitest report> <exit code>`: prints "passed failed" for .ci/run and, on stderr, what the
 * counts do not say. Strict on purpose: a skipped test, a file that could not be loaded, a run without tests or an exit
 * code without a failed test all count as failed, because each of them would otherwise look like success.
 */
import { existsSync, readFileSync } from 'node:fs';

const [path, exitCode] = process.argv.slice(2);
const report = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : { testResults: [] };

let passed = 0;
let failed = 0;
const fail = (line) => {
  failed += 1;
  console.error(line);
};

for (const file of report.testResults) {
  for (const test of file.assertionResults) {
    if (test.status === 'passed') passed += 1;
    else fail(`${test.status}: ${file.name} > ${test.fullName}`);
  }
  const broken = file.assertionResults.every((test) => test.status !== 'failed') && file.status === 'failed';
  if (broken) fail(`failed: ${file.name}: ${file.message}`);
}
if (passed + failed === 0) fail(`no tests ran (no results in ${path})`);
if (exitCode !== '0' && failed === 0) fail(`the test run ended with exit code ${exitCode}`);
console.log(`${passed} ${failed}`);
