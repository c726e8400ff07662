/** The durable record on a disk that is really full. Needs the right to mount a small file system. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { expect, it } from 'vitest';
import { type AgentRecord, RecordLog, RecordWriteError } from './record.ts';

const mayMount = process.getuid?.() === 0;

it.runIf(mayMount)('takes back what a full disk cut short, and goes on when there is room again', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'keeper-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', directory]);
  try {
    const file = path.join(directory, 'keeper.log');
    const log = new RecordLog(file);
    const kept: AgentRecord = { agent: 'a', ranEpoch: 1, releasedEpoch: 0, sub: 1, note: '' };
    log.put(kept);
    const filler = path.join(directory, 'filler');
    expect(() => fs.writeFileSync(filler, Buffer.alloc(1 << 20))).toThrow(/ENOSPC/);
    const long = { ...kept, releasedEpoch: 1, note: 'x'.repeat(20_000) };
    expect(() => log.put(long)).toThrow(RecordWriteError);
    expect(log.get('a')).toEqual(kept);
    fs.rmSync(filler);
    log.put({ ...kept, sub: 2 });
    log.close();
    expect(new RecordLog(file).all()).toEqual([{ ...kept, sub: 2 }]);
  } finally {
    execFileSync('umount', ['--lazy', directory]);
    fs.rmdirSync(directory);
  }
});
