/**
 * The launcher as the parent of `muster up`, when it runs on another Node than the pinned one.
 *
 * A launcher that is killed cannot pass anything on: `up` notices that its parent has changed and stops, so that what a person
 * started as one program also ends as one. Any other parent (a shell, a service manager) may end without meaning that.
 */
import { readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const launcherPath = fileURLToPath(new URL('../../../../bin/muster.mjs', import.meta.url));

/** Asks whether the launcher that started this process is gone; always false when something else started it. */
export function launcherWatch(): () => boolean {
  const parent = process.ppid;
  return isLauncher(parent) ? () => process.ppid !== parent : () => false;
}

function isLauncher(pid: number): boolean {
  try {
    const script = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[1];
    return script !== undefined && script.endsWith('.mjs') && sameFile(script, pid);
  } catch {
    return false;
  }
}

/** The script's name is relative to the directory of the process that runs it. */
function sameFile(script: string, pid: number): boolean {
  const path = script.startsWith('/') ? script : `/proc/${pid}/cwd/${script}`;
  return realpathSync(path) === realpathSync(launcherPath);
}
