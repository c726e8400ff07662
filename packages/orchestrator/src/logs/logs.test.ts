import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentPlaces } from '../agent-places.ts';
import { AgentLogs } from './agent-logs.ts';
import { LogFile } from './log-file.ts';
import { clean, LINE_MAX_CHARACTERS, logLineOf } from './log-line.ts';

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'logs-test-'));
  path = join(directory, 'x.log');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const numbered = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, index) => `line ${from + index}\n`).join('');

describe('an output file', () => {
  it('rotates under an open descriptor without losing a line, and keeps three parts', () => {
    const file = new LogFile(path, 500);
    const descriptor = openSync(path, 'a');
    for (let round = 0; round < 40; round += 1) {
      writeSync(descriptor, numbered(round * 10 + 1, round * 10 + 10));
      file.rotateIfLarge();
    }
    closeSync(descriptor);
    expect(existsSync(`${path}.2`)).toBe(true);
    expect(existsSync(`${path}.3`)).toBe(false);
    expect(statSync(path).size).toBeLessThan(700);
    const kept = [`${path}.2`, `${path}.1`, path].map((each) => readFileSync(each, 'utf8')).join('');
    const first = Number(/^line (\d+)/.exec(kept)?.[1]);
    expect(kept).toBe(numbered(first, 400));
    expect(file.tail(100)).toEqual(numbered(301, 400).trimEnd().split('\n'));
  });

  it('gives the last lines of a large file, whole ones only', () => {
    writeFileSync(path, numbered(1, 50_000));
    const file = new LogFile(path);
    expect(file.tail(2)).toEqual(['line 49999', 'line 50000']);
    expect(file.tail(20_000)[0]).toBe('line 30001');
    expect(file.tail(0)).toEqual([]);
    expect(new LogFile(join(directory, 'none')).tail(5)).toEqual([]);
  });

  it('is followed across a rotation with every line exactly once', () => {
    const file = new LogFile(path, 200);
    writeFileSync(path, numbered(1, 5));
    let cursor = file.end();
    const seen: string[] = [];
    const look = (): void => {
      for (let calls = 0; calls < 4; calls += 1) {
        const { lines, next } = file.since(cursor, 64);
        seen.push(...lines);
        cursor = next;
      }
    };
    for (let number = 6; number <= 120; number += 1) {
      appendFileSync(path, `line ${number}\n`);
      if (number % 7 === 0) file.rotateIfLarge();
      if (number % 5 === 0) look();
    }
    look();
    look();
    expect(seen).toEqual(numbered(6, 120).trimEnd().split('\n'));
  });

  it('waits for the end of a line', () => {
    const file = new LogFile(path);
    writeFileSync(path, 'half');
    const start = { generation: 0, offset: 0 };
    expect(file.since(start).lines).toEqual([]);
    appendFileSync(path, ' whole\n');
    expect(file.since(start).lines).toEqual(['half whole']);
  });
});

describe('a line of output', () => {
  it('loses everything that drives a terminal', () => {
    expect(clean('\u001b[31mred\u001b[0m \u001b]0;title\u0007\u0008\u202eabc\r\t.')).toBe('red abc .');
  });

  it('has an upper size, and JSON gives its parts', () => {
    expect(logLineOf('stdout', 'x'.repeat(20_000)).text.length).toBeLessThan(LINE_MAX_CHARACTERS + 100);
    const line = JSON.stringify({ level: 'info', time: '2026-01-01T00:00:00.000Z', msg: 'a\u001b[1mb' });
    expect(logLineOf('stdout', line)).toMatchObject({
      level: 'info',
      msg: 'ab',
      time: '2026-01-01T00:00:00.000Z',
    });
    expect(logLineOf('stderr', '{broken')).toEqual({ stream: 'stderr', text: '{broken' });
  });
});

describe('both streams', () => {
  it('are merged by time where lines carry one', () => {
    const places = new AgentPlaces(directory);
    const { stdoutPath, stderrPath } = places.prepare('a');
    const at = (second: number, msg: string): string =>
      `${JSON.stringify({ time: `2026-01-01T00:00:0${second}.000Z`, msg })}\n`;
    writeFileSync(stdoutPath, at(1, 'one') + at(3, 'three'));
    writeFileSync(stderrPath, at(2, 'two') + at(4, 'four'));
    const logs = new AgentLogs(places, () => undefined);
    expect(logs.tail('a', 10, 'all').map((line) => line.msg)).toEqual(['one', 'two', 'three', 'four']);
    expect(logs.tail('a', 1, 'stderr').map((line) => line.msg)).toEqual(['four']);
    logs.close();
  });
});
