/**
 * Short form of the kill rounds (the long one: `npm run kill-rounds`).
 */
import { notOk, ok } from './support/fleet.ts';
import { killRounds } from './support/kill-rounds.ts';

const rounds = 3;
try {
  const result = await killRounds(rounds, (line) => console.log(`# ${line}`));
  ok(`${rounds} rounds of kill -9 of manager, daemon, keeper and agent lose no acknowledged deploy`);
  if (result.doubles.length === 0) ok(`no agent was seen twice in ${result.samples} samples`);
  else notOk('no agent is seen twice', result.doubles.join('; '));
} catch (error) {
  notOk(`${rounds} rounds of kill -9`, error);
}
