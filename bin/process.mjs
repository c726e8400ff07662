/**
 * What both halves of the launcher need to know of this process: where the repository is, how to speak to the person, how
 * to end. Plain JavaScript for Node 20.19 on, built-ins only (see muster.mjs).
 */
import { readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(realpathSync(fileURLToPath(import.meta.url))));
export const modules = join(root, 'node_modules');

export const say = (line) => process.stderr.write(`muster: ${line}\n`);

/** Ends the launcher with a message for a person. Exit code 69: something this needs is not available. */
export function fail(...lines) {
  for (const line of lines) say(line);
  process.exit(69);
}

/** True when this Node is at least `[major, minor]`. */
export function nodeIsAtLeast([major, minor]) {
  const [ownMajor, ownMinor] = process.versions.node.split('.').map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

export function readOr(path, otherwise) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return otherwise;
  }
}

/** Ends this process the way the signal would have, so that the caller sees the same. */
export function endBySignal(signal) {
  process.removeAllListeners(signal);
  setTimeout(() => process.exit(1), 5_000);
  process.kill(process.pid, signal);
}
