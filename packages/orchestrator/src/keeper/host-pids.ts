/**
 * From pids inside the keeper's namespace to pids as the host shows them.
 *
 * Only the outer side can know: /proc/<pid>/status lists a process's pids in every namespace it is visible in (`NSpid`,
 * innermost last). Namespaces are told apart by their inode link, since inner pids repeat from one to the next.
 */
import * as fs from 'node:fs';
import { listPids } from './process-table.ts';

/** This process's PID namespace as an inode link. */
export function ownPidNamespace(): string {
  return fs.readlinkSync('/proc/self/ns/pid');
}

/**
 * Host pids of those of `innerPids` that are alive in `namespace`. Young processes are found first: pids mostly rise.
 */
export function resolveHostPids(namespace: string, innerPids: readonly number[]): Map<number, number> {
  const found = new Map<number, number>();
  if (namespace === ownPidNamespace()) {
    for (const pid of innerPids) found.set(pid, pid);
    return found;
  }
  const wanted = new Set(innerPids);
  for (const hostPid of listPids().sort((one, other) => other - one)) {
    if (wanted.size === 0) break;
    const innerPid = innermostPid(hostPid);
    if (innerPid === null || !wanted.has(innerPid) || namespaceOf(hostPid) !== namespace) continue;
    found.set(innerPid, hostPid);
    wanted.delete(innerPid);
  }
  return found;
}

function innermostPid(hostPid: number): number | null {
  try {
    const line = /^NSpid:\s*(.*)$/m.exec(fs.readFileSync(`/proc/${hostPid}/status`, 'latin1'));
    const pids = (line?.[1] ?? '').trim().split(/\s+/);
    return pids.length > 1 ? Number(pids.at(-1)) : null;
  } catch {
    return null;
  }
}

function namespaceOf(hostPid: number): string | null {
  try {
    return fs.readlinkSync(`/proc/${hostPid}/ns/pid`);
  } catch {
    return null;
  }
}
