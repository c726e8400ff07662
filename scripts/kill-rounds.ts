/**
 * `npm run kill-rounds -- [rounds]`: the long form of test/e2e/kill-rounds.e2e.ts. Prints one line a round and a summary.
 */
import { killRounds } from '../test/e2e/support/kill-rounds.ts';

const rounds = Number(process.argv[2] ?? 20);
if (!Number.isInteger(rounds) || rounds < 1) {
  console.error('usage: npm run kill-rounds -- [rounds, default 20]');
  process.exit(2);
}
const result = await killRounds(rounds, (line) => console.log(line));
console.log(
  `${result.rounds} rounds, kills: ${JSON.stringify(result.kills)}, ${result.samples} samples of /proc`,
);
for (const [victim, list] of Object.entries(result.recoveryMs)) {
  const sorted = [...list].sort((a, b) => a - b);
  console.log(
    `recovery after ${victim}: median ${sorted[Math.floor(sorted.length / 2)]} ms, max ${sorted.at(-1)} ms`,
  );
}
console.log(`two copies of one agent at the same time: ${result.doubles.length}`);
for (const double of result.doubles) console.log(`  ${double}`);
process.exitCode = result.doubles.length === 0 ? 0 : 1;
