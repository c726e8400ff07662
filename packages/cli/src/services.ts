/**
 * What a command may touch of the process: its streams, environment and clock. Handed in, so that tests hand in others.
 */
import type { Environment } from '@muster/runtime';

export interface OutputStream {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  write(text: string): unknown;
}

export interface Services {
  readonly environment: Environment;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly stdin: NodeJS.ReadStream;
  /** Wall clock, ms. */
  readonly now: () => number;
}

export function processServices(): Services {
  return {
    environment: process.env,
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: process.stdin,
    now: Date.now,
  };
}
