/** The durable record under every damage a crash or a bad disk can do to its end. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AgentRecord, RecordDamagedError, RecordLog, RecordWriteError, readRecords } from './record.ts';

let directory: string;
let file: string;

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'keeper-record-'));
  file = path.join(directory, 'keeper.log');
});

afterEach(() => {
  fs.rmSync(directory, { recursive: true });
});

const first: AgentRecord = { agent: 'a', ranEpoch: 3, releasedEpoch: 2, sub: 1, note: 'one' };
const second: AgentRecord = { agent: 'b', ranEpoch: 7, releasedEpoch: 0, sub: 4, note: 'zwei ü\nline' };
const third: AgentRecord = { agent: 'a', ranEpoch: 3, releasedEpoch: 3, sub: 2, note: '' };

/** The bytes of a log with three records, and how long the file was after each. */
function writtenLog(): { bytes: Buffer; sizes: number[] } {
  const log = new RecordLog(file);
  const sizes = [fs.statSync(file).size];
  for (const record of [first, second, third]) {
    log.put(record);
    sizes.push(fs.statSync(file).size);
  }
  log.close();
  return { bytes: fs.readFileSync(file), sizes };
}

/** What was durable when the file ended at `size`: a record counts once all of it but the newline is there. */
function expectedAt(size: number, sizes: number[]): AgentRecord[] {
  const records = [first, second, third].filter((_record, index) => size >= (sizes[index + 1] ?? 0) - 1);
  return [...new Map(records.map((record) => [record.agent, record])).values()];
}

describe('the keeper record', () => {
  it('has its latest records back after a restart, and compacts them', () => {
    const { sizes } = writtenLog();
    const reopened = new RecordLog(file);
    expect(reopened.all()).toEqual([third, second]);
    reopened.put({ ...second, sub: 5 });
    reopened.close();
    expect(sizes.at(-1)).toBeGreaterThan(0);
    const again = new RecordLog(file);
    expect(again.get('b')).toEqual({ ...second, sub: 5 });
    expect(again.get('a')).toEqual(third);
    again.close();
    expect(fs.readdirSync(directory)).toEqual(['keeper.log']);
  });

  it('keeps what was durable when the file is cut at any byte of the last two records', () => {
    const { bytes, sizes } = writtenLog();
    for (let size = sizes[1] ?? 0; size <= bytes.length; size += 1) {
      fs.writeFileSync(file, bytes.subarray(0, size));
      const log = new RecordLog(file);
      expect(log.all(), `cut at ${size}`).toEqual(expectedAt(size, sizes));
      const later: AgentRecord = { agent: 'c', ranEpoch: 1, releasedEpoch: 0, sub: 1, note: '' };
      log.put(later);
      log.close();
      const reopened = new RecordLog(file);
      expect(reopened.all(), `appended after a cut at ${size}`).toEqual([...expectedAt(size, sizes), later]);
      reopened.close();
    }
  });

  it('treats zeros after the last durable byte as a write that never finished', () => {
    const { bytes, sizes } = writtenLog();
    const padded = Buffer.concat([bytes.subarray(0, sizes[2]), Buffer.alloc(300)]);
    expect([...readRecords(padded, file).values()]).toEqual([first, second]);
  });

  it('refuses to start when any single bit of the last two records is flipped', () => {
    const { bytes, sizes } = writtenLog();
    for (let index = sizes[1] ?? 0; index < bytes.length; index += 1) {
      for (let bit = 0; bit < 8; bit += 1) {
        const damaged = Buffer.from(bytes);
        damaged[index] = (damaged[index] ?? 0) ^ (1 << bit);
        expect(() => readRecords(damaged, file), `bit ${bit} of byte ${index}`).toThrow(RecordDamagedError);
      }
    }
  });

  it('refuses a log from which a whole record in the middle is missing', () => {
    const { bytes, sizes } = writtenLog();
    const without = Buffer.concat([bytes.subarray(0, sizes[1]), bytes.subarray(sizes[2])]);
    expect(() => readRecords(without, file)).toThrow(/damaged at line 3/);
  });

  it('leaves a damaged file as it is, for the one who looks into it', () => {
    const { bytes } = writtenLog();
    const damaged = Buffer.from(bytes);
    damaged[bytes.length - 10] = 0x7f;
    fs.writeFileSync(file, damaged);
    expect(() => new RecordLog(file)).toThrow(RecordDamagedError);
    expect(fs.readFileSync(file).equals(damaged)).toBe(true);
  });

  it('is written whole into a new file when the old one cannot be trusted any more', () => {
    const log = new RecordLog(file);
    log.put(first);
    const open = fs.readdirSync('/proc/self/fd').find((fd) => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${fd}`) === fs.realpathSync(file);
      } catch {
        return false;
      }
    });
    fs.closeSync(Number(open));
    // Its number goes to a file that takes no writing.
    const unwritable = fs.openSync('/dev/null', 'r');
    expect(unwritable).toBe(Number(open));
    expect(() => log.put(second)).toThrow(RecordWriteError);
    expect(log.get('b')).toBeUndefined();
    log.put(third);
    log.put(second);
    log.close();
    expect(new RecordLog(file).all()).toEqual([third, second]);
  });

  it('goes on with the old file while there is no room for a compacted one', () => {
    const log = new RecordLog(file);
    fs.mkdirSync(`${file}.new`);
    const note = 'x'.repeat(500_000);
    for (let sub = 1; sub <= 12; sub += 1) log.put({ ...first, sub, note });
    expect(fs.statSync(file).size).toBeGreaterThan(12 * 500_000);
    fs.rmdirSync(`${file}.new`);
    for (let sub = 13; sub <= 26; sub += 1) log.put({ ...first, sub, note });
    expect(fs.statSync(file).size).toBeLessThan(12 * 500_000);
    log.close();
    expect(new RecordLog(file).get('a')).toMatchObject({ sub: 26 });
  });

  it('refuses changes after it was closed', () => {
    const log = new RecordLog(file);
    log.close();
    expect(() => log.put(first)).toThrow(RecordWriteError);
  });
});
