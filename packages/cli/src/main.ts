/**
 * The entry of the `muster` command. The launcher (bin/muster.mjs) runs this file on the pinned Node.
 */
import { readFileSync } from 'node:fs';
import { run } from './program/program.ts';
import { processServices } from './services.ts';

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  readonly version: string;
};

// `muster ps | head` closes the pipe: no error, the reader has what it wanted.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}

const code = await run(processServices(), manifest.version, process.argv.slice(2));
// What a failed start has opened must not keep the process.
if (code === 0) process.exitCode = 0;
else process.exit(code);
