/**
 * The processes of an earlier `muster up` that was killed: they notice and stop by themselves, which takes a moment.
 *
 * Each holds the lock of its data directory until it is gone, so waiting for the locks is waiting for the processes.
 */
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { DataDirectoryInUse, openDataDirectory } from '@muster/runtime';

const waitMostMs = 30_000;
const waitStepMs = 200;

/** Returns when no process holds any of the directories. @throws DataDirectoryInUse when one is held for too long. */
export async function waitForEarlierStart(
  directories: readonly string[],
  onWait: () => void,
  signal: AbortSignal,
): Promise<void> {
  const giveUpAt = performance.now() + waitMostMs;
  let told = false;
  for (const path of directories.filter(existsSync)) {
    for (let held = holder(path); held !== undefined; held = holder(path)) {
      if (signal.aborted) return;
      if (performance.now() >= giveUpAt) throw held;
      if (!told) onWait();
      told = true;
      await delay(waitStepMs);
    }
  }
}

function holder(path: string): DataDirectoryInUse | undefined {
  try {
    openDataDirectory(path).close();
    return undefined;
  } catch (error) {
    if (error instanceof DataDirectoryInUse) return error;
    throw error;
  }
}
