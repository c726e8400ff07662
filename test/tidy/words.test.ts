/**
 * What may not stand in any file: unfinished work, evasions, switched-off tests and the paths of somebody's machine.
 */
import { describe, expect, it } from 'vitest';
import { codeFiles, type SourceFile, textFiles } from './sources.ts';

/** Written in pieces so that this file does not find itself. */
const forbiddenWords: readonly { readonly pattern: RegExp; readonly reason: string }[] = [
  { pattern: new RegExp(`(?<![\\w.])/${'work'}/`), reason: 'a path of one machine' },
  {
    pattern: new RegExp(`\\b(${'TO'}${'DO'}|${'FIX'}${'ME'})\\b`),
    reason: 'unfinished work belongs in an issue',
  },
  { pattern: new RegExp(`in a real ${'implementation'}`, 'i'), reason: 'this is the real one' },
];
const forbiddenInCode: readonly { readonly pattern: RegExp; readonly reason: string }[] = [
  { pattern: new RegExp(`@ts-(${'ignore'}|${'nocheck'})`), reason: 'a check switched off' },
];
const forbiddenInTests: readonly { readonly pattern: RegExp; readonly reason: string }[] = [
  {
    pattern: new RegExp(
      `\\b(describe|it|test|suite|bench)(\\.\\w+)*\\.(${'only'}|${'skip'}|${'todo'}|fails)\\b`,
    ),
    reason: 'a test that does not run, or keeps others from running',
  },
];

function findings(files: readonly SourceFile[], rules: typeof forbiddenWords): string[] {
  return files.flatMap((file) =>
    file.text
      .split('\n')
      .flatMap((line, index) =>
        rules
          .filter(({ pattern }) => pattern.test(line))
          .map(({ reason }) => `${file.path}:${index + 1} ${reason}: ${line.trim().slice(0, 100)}`),
      ),
  );
}

describe('no file contains', () => {
  it('a forbidden word', () => {
    const files = textFiles().filter(({ path }) => path !== 'package-lock.json');
    expect(files.length).toBeGreaterThan(20);
    expect(findings(files, forbiddenWords)).toEqual([]);
  });

  it('a compiler check that is switched off', () => {
    expect(findings(codeFiles(), forbiddenInCode)).toEqual([]);
  });

  it('a test that is skipped, focused or left for later', () => {
    const tests = codeFiles().filter(({ path }) => /\.test\.tsx?$/.test(path) || path.startsWith('test/'));
    expect(tests.length).toBeGreaterThan(3);
    expect(findings(tests, forbiddenInTests)).toEqual([]);
  });
});

describe('the word rules', () => {
  it.each([
    `see /${'work'}/x`,
    `// ${'TO'}DO: later`,
    `${'FIX'}ME`,
    `In a real ${'implementation'} this would`,
  ])('find: %s', (line) => {
    expect(findings([{ path: 'a.md', text: `first\n${line}\n` }], forbiddenWords)).toHaveLength(1);
  });

  it.each([
    `it.${'only'}('x')`,
    `describe.${'skip'}('x')`,
    `test.concurrent.${'skip'}('x')`,
    `it.${'todo'}('x')`,
  ])('find: %s', (line) => {
    expect(findings([{ path: 'a.test.ts', text: line }], forbiddenInTests)).toHaveLength(1);
  });

  it.each(['the network/work/life balance', 'https://example.com/work/', 'mastodon', 'it.each([only])'])(
    'leave alone: %s',
    (line) => {
      expect(findings([{ path: 'a.test.ts', text: line }], [...forbiddenWords, ...forbiddenInTests])).toEqual(
        [],
      );
    },
  );
});
