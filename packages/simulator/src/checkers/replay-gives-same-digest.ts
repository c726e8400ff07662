/**
 * State is a function of the journal: facts rebuilt from the snapshot and the records after it, and from all records alone,
 * equal the facts of the living machine, for both machines. (That a whole seed run twice gives one digest is the runner's
 * part of this property.)
 */
import { canonicalJson, type JournalRecord } from '@muster/core';
import { validateConfig } from '../agent-types.ts';
import type { Fleet } from '../fleet.ts';
import type { JournalDisk } from '../journal-disk.ts';
import {
  ManagerMachine,
  type ManagerSnapshot,
  OrchestratorMachine,
  type OrchestratorSnapshot,
} from '../machines.ts';
import type { Observer } from '../observer.ts';
import { randomPort } from '../random.ts';
import { sha256, type World } from '../world.ts';

export function replayGivesSameDigest(world: World): Observer {
  const property = 'replay-gives-same-digest';
  const random = randomPort(world.stream.fork(property));
  const judge = (who: string, living: unknown, rebuilt: unknown, from: string): void => {
    const a = canonicalJson(living);
    const b = canonicalJson(rebuilt);
    if (a === b) return;
    let at = 0;
    while (a[at] === b[at]) at += 1;
    world.fail(
      property,
      `${who} rebuilt from ${from} differs: …${a.slice(at - 60, at + 60)}… / …${b.slice(at - 60, at + 60)}…`,
    );
  };
  /** Records after the snapshot, durable or on the way. */
  const tail = (disk: JournalDisk): { snapshotText: string | null; records: readonly JournalRecord[] } => {
    const { snapshotText, records } = disk.load();
    const after = disk.appendedRecords.slice(disk.durableSeq - records.length);
    return { snapshotText, records: after };
  };

  const inspectManager = (fleet: Fleet): void => {
    const { manager } = fleet;
    if (!manager.up) return;
    const base = { random, digest: sha256, validateConfig, beatIntervalMs: 5_000, software: 'simulated' };
    const living = manager.machine.snapshot();
    const all = new ManagerMachine({ ...base, records: manager.disk.appendedRecords });
    judge('the manager', living, all.snapshot(), 'its journal');
    const { snapshotText, records } = tail(manager.disk);
    if (snapshotText === null) return;
    const short = new ManagerMachine({
      ...base,
      snapshot: JSON.parse(snapshotText) as ManagerSnapshot,
      records,
    });
    judge('the manager', living, short.snapshot(), 'its snapshot and journal');
  };
  const inspectHosts = (fleet: Fleet): void => {
    for (const { daemon, disk, name, maxAgents } of fleet.hosts) {
      if (daemon == null) continue;
      const base = { orchestratorId: name, random, digest: sha256, maxAgents };
      const living = daemon.machine.snapshot();
      const all = new OrchestratorMachine({ ...base, records: disk.appendedRecords });
      judge(name, living, all.snapshot(), 'its journal');
      const { snapshotText, records } = tail(disk);
      if (snapshotText === null) continue;
      const snapshot = JSON.parse(snapshotText) as OrchestratorSnapshot;
      judge(
        name,
        living,
        new OrchestratorMachine({ ...base, snapshot, records }).snapshot(),
        'its snapshot and journal',
      );
    }
  };
  return {
    property,
    inspect(fleet) {
      inspectManager(fleet);
      inspectHosts(fleet);
    },
  };
}
