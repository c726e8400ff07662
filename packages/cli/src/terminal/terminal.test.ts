/** What people see: widths, cuts, tables, words, numbers and times, all from fixed inputs. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { colourPaint, paintFor, plainPaint } from './paint.ts';
import { amount, byteCount, duration, moment, relativeTime, signedPercent } from './quantities.ts';
import { type Column, tableLines } from './table.ts';
import { cut, displayWidth, pad, printable, wrapped } from './text.ts';
import { isGood, statusText } from './words.ts';

describe('text on its way to a terminal', () => {
  it('never carries a control character or a direction mark', () => {
    expect(printable('a\u001b[2Jb\r\nc\u202ed\u0007')).toBe('a [2Jb  c d ');
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        for (const character of printable(text)) {
          const code = character.codePointAt(0) as number;
          expect(code < 32 || (code >= 127 && code < 160)).toBe(false);
        }
      }),
    );
  });

  it('is measured in columns, without colour, with wide characters and marks', () => {
    expect(displayWidth('abc')).toBe(3);
    expect(displayWidth(colourPaint('red', 'abc'))).toBe(3);
    expect(displayWidth('日本')).toBe(4);
    expect(displayWidth('e\u0301')).toBe(1);
    expect(pad('日本', 6)).toBe('日本  ');
    expect(pad('7', 3, 'right')).toBe('  7');
  });

  it('is cut to a width and keeps its colours closed', () => {
    expect(cut('orchestrator', 5)).toBe('orch…');
    expect(cut('日本語', 4)).toBe('日…');
    expect(cut('fits', 4)).toBe('fits');
    expect(cut(colourPaint('red', 'healthy'), 4)).toBe('\u001b[31mhea…\u001b[0m');
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(20), (text, width) => {
        expect(displayWidth(cut(printable(text), width))).toBeLessThanOrEqual(width);
      }),
    );
  });
});

describe('a table', () => {
  interface Row {
    readonly name: string;
    readonly count: number;
  }
  const columns: Column<Row>[] = [
    { title: 'NAME', shrinkTo: 4, cell: ({ name }) => name },
    { title: 'N', align: 'right', cell: ({ count }) => String(count) },
    { title: 'TWICE', wide: true, cell: ({ count }) => String(count * 2) },
  ];
  const rows: Row[] = [
    { name: 'momentum-1', count: 5 },
    { name: 'x', count: 120 },
  ];

  it('is as wide as its cells, right where numbers are', () => {
    expect(tableLines(columns, rows)).toEqual(['NAME          N', 'momentum-1    5', 'x           120']);
  });

  it('shows more columns when wide', () => {
    expect(tableLines(columns, rows, { wide: true })[0]).toBe('NAME          N  TWICE');
  });

  it('is cut where it may be when the terminal is narrow, and never elsewhere', () => {
    expect(tableLines(columns, rows, { width: 11 })).toEqual(['NAME      N', 'momen…    5', 'x       120']);
    expect(tableLines(columns, rows, { width: 3 })).toEqual(['NAME    N', 'mom…    5', 'x     120']);
  });
});

describe('a table with columns that may be left out', () => {
  const columns: Column<string>[] = [
    { title: 'NAME', shrinkTo: 4, cell: (name) => name },
    { title: 'PID', droppable: true, cell: () => '12345' },
    { title: 'EQUITY', cell: () => '100.00' },
    { title: 'SINCE', droppable: true, cell: () => '2 min ago' },
  ];
  it.each([
    [undefined, 'NAME        PID    EQUITY  SINCE'],
    [34, 'NAME      PID    EQUITY  SINCE'],
    [20, 'NAME   PID    EQUITY'],
    [12, 'NAME  EQUITY'],
    [3, 'NAME  EQUITY'],
  ])('at a width of %s begins with %s', (width, head) => {
    expect(tableLines(columns, ['momentum-1'], { width })[0]).toBe(head);
  });
});

describe('text that goes on in the next line', () => {
  it('is broken at blanks, keeps every word and has no line that could be shorter', () => {
    expect(wrapped('npx muster login --url x', 12)).toEqual(['npx muster', 'login --url', 'x']);
    expect(wrapped('unbreakable', 4)).toEqual(['unbreakable']);
    expect(wrapped('', 4)).toEqual(['']);
  });
});

describe('a status', () => {
  it('is an icon, a word and a colour', () => {
    expect(statusText('agent', 'healthy', plainPaint)).toBe('● healthy');
    expect(statusText('connection', 'late', colourPaint)).toBe('\u001b[33m◐ late\u001b[39m');
    expect(statusText('sync', 'held', plainPaint)).toBe('‖ held');
  });

  it('of a newer manager is shown as it is, and is not taken for good', () => {
    expect(statusText('agent', 'constructor', plainPaint)).toBe('? constructor');
    expect(isGood('levitating')).toBe(false);
  });
});

describe('colour', () => {
  it.each([
    [{ isTTY: true }, {}, true],
    [{ isTTY: false }, {}, false],
    [{ isTTY: true }, { NO_COLOR: '1' }, false],
    [{ isTTY: true }, { NO_COLOR: '' }, true],
    [{ isTTY: false }, { FORCE_COLOR: '1' }, true],
    [{ isTTY: true }, { TERM: 'dumb' }, false],
    [{ isTTY: true }, { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
  ])('on %j with %j: %s', (stream, environment, painted) => {
    expect(paintFor(stream, environment)('red', 'x') !== 'x').toBe(painted);
  });
});

describe('numbers and times', () => {
  it('are written the same everywhere', () => {
    expect(amount(1234567.891)).toBe('1,234,567.89');
    expect(amount(-0.001)).toBe('0.00');
    expect(amount(-1234.5)).toBe('-1,234.50');
    expect(signedPercent(0.01234)).toBe('+1.23 %');
    expect(signedPercent(-0.5)).toBe('-50.00 %');
    expect(signedPercent(-0.000001)).toBe('0.00 %');
    expect(byteCount(1536)).toBe('1.5 KiB');
    expect(byteCount(201_326_592)).toBe('192 MiB');
    expect(moment(Date.UTC(2013, 3, 2))).toBe('2013-04-02');
    expect(moment(Date.UTC(2013, 3, 2, 14, 5))).toBe('2013-04-02 14:05');
  });

  it('are relative to now', () => {
    const now = Date.UTC(2026, 0, 2);
    const ago = (ms: number): string => relativeTime(new Date(now - ms).toISOString(), now);
    expect([ago(0), ago(12_000), ago(3_600_000), ago(200_000_000)]).toEqual([
      'now',
      '12 s ago',
      '1 h ago',
      '2 d ago',
    ]);
    expect(ago(-90_000)).toBe('in 1 min');
    expect(relativeTime(null, now)).toBe('–');
    expect(relativeTime('soon', now)).toBe('–');
    expect(duration(59_999)).toBe('59 s');
  });
});
