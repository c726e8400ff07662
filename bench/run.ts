/**
 * `npm run bench -- [name] [count]`: every benchmark answers one question, compares two things in one run and prints ratios.
 * Results are appended to bench/results.jsonl with the commit they belong to.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { benchDeploy } from './deploy.ts';

const benches: Record<string, (count: number) => Promise<Record<string, number>>> = { deploy: benchDeploy };
const [name = 'deploy', countText = '60'] = process.argv.slice(2);
const bench = benches[name];
const count = Number(countText);
if (bench === undefined || !Number.isInteger(count) || count < 1) {
  console.error(`usage: npm run bench -- [${Object.keys(benches).join('|')}] [count]`);
  process.exit(2);
}
const figures = await bench(count);
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
appendFileSync(
  new URL('results.jsonl', import.meta.url),
  `${JSON.stringify({ at: new Date().toISOString(), commit, node: process.version, bench: name, count, ...figures })}\n`,
);
