/**
 * A daemon of the tests as a process of its own, so that it can be killed: settings from the environment, the fixture's agent
 * type, no namespace. Prints one JSON line when its local API listens.
 */
import { createLog } from '@muster/runtime';
import { startOrchestrator } from '../daemon.ts';
import { fixtureTypes } from './fixture-types.ts';

const log = createLog({
  name: 'orchestrator',
  level: 'info',
  write: (line) => void process.stderr.write(line),
});
const running = await startOrchestrator({
  environment: process.env,
  log,
  types: fixtureTypes,
  isolation: 'plain',
  onFatal: (error) => {
    process.stderr.write(`${error.stack ?? error.message}\n`);
    process.exit(70);
  },
});
process.stdout.write(`${JSON.stringify({ apiPort: running.apiPort })}\n`);
process.on(
  'SIGTERM',
  () =>
    void running
      .close({ keepAgents: process.env['TEST_KEEP_AGENTS'] === 'true' })
      .then(() => process.exit(0)),
);
