import { writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  readBoolean,
  readChoice,
  readDurationMs,
  readInteger,
  readSecret,
  readVariable,
  VariableInvalid,
} from './environment.ts';
import { TemporaryFolder } from './temporary-folder.ts';

describe('a variable', () => {
  test('comes from the environment or from a file, not from both', () => {
    using folder = new TemporaryFolder();
    const path = folder.file('value');
    writeFileSync(path, ' from file \r\n');
    expect(readVariable({ X: ' as given ' }, 'X')).toBe(' as given ');
    expect(readVariable({ X_FILE: path }, 'X')).toBe(' from file ');
    expect(readVariable({ X: '', X_FILE: path }, 'X')).toBe(' from file ');
    expect(readVariable({ X: '' }, 'X')).toBeUndefined();
    expect(readVariable({}, 'X')).toBeUndefined();
    expect(() => readVariable({ X: 'a', X_FILE: path }, 'X')).toThrow('X and X_FILE are both set');
    expect(() => readVariable({ X_FILE: folder.file('absent') }, 'X')).toThrow(
      /^X_FILE names the file .* \(ENOENT\)/,
    );
    expect(readSecret({ X: 'canary' }, 'X')?.reveal()).toBe('canary');
  });

  test('that is a whole number must be in range', () => {
    expect(readInteger({ PORT: ' 8000 ' }, 'PORT', 0, 65_535)).toBe(8000);
    expect(readInteger({}, 'PORT', 0, 65_535)).toBeUndefined();
    for (const bad of ['-1', '65536', '80a', '1e3', '8.0', '0x10', 'NaN', '9'.repeat(30)]) {
      expect(() => readInteger({ PORT: bad }, 'PORT', 0, 65_535), bad).toThrow(
        'PORT must be a whole number from 0 to 65535',
      );
    }
  });

  test('that is a truth value is true, false, 1 or 0', () => {
    expect(['true', 'TRUE', '1'].map((text) => readBoolean({ X: text }, 'X'))).toEqual([true, true, true]);
    expect(['false', 'False', '0'].map((text) => readBoolean({ X: text }, 'X'))).toEqual([
      false,
      false,
      false,
    ]);
    for (const bad of ['yes', 'no', '2', 'on'])
      expect(() => readBoolean({ X: bad }, 'X')).toThrow(VariableInvalid);
  });

  test('that is a duration has a unit, or is in seconds', () => {
    const cases: [string, number][] = [
      ['250ms', 250],
      ['30s', 30_000],
      ['30', 30_000],
      ['1.5m', 90_000],
      ['24h', 86_400_000],
      ['7d', 604_800_000],
      ['0', 0],
    ];
    for (const [text, ms] of cases) expect(readDurationMs({ X: text }, 'X'), text).toBe(ms);
    for (const bad of ['-1s', '5 minutes', 's', '1w', '1e3s']) {
      expect(() => readDurationMs({ X: bad }, 'X'), bad).toThrow('X must be a duration such as');
    }
  });

  test('that is one of some words is compared in any case, and errors never repeat a value', () => {
    expect(readChoice({ X: 'Allow' }, 'X', ['allow', 'deny'])).toBe('allow');
    expect(() => readChoice({ X: 'canary' }, 'X', ['allow', 'deny'])).toThrow(
      'X must be one of allow, deny.',
    );
    for (const read of [readBoolean, readDurationMs]) {
      expect(() => read({ X: 'canary' }, 'X')).toThrow(
        expect.not.objectContaining({ message: expect.stringContaining('canary') as unknown }),
      );
    }
  });
});
