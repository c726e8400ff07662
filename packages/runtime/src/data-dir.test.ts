import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { atomicWriteFile } from './atomic-file.ts';
import { DataDirectoryInUse, DataDirectoryUnwritable, openDataDirectory } from './data-dir.ts';
import { TemporaryFolder } from './temporary-folder.ts';

describe('a data directory', () => {
  test('is made for its owner alone and is ours until it is closed', () => {
    using folder = new TemporaryFolder();
    const path = folder.file('a/b');
    const directory = openDataDirectory(path);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(() => openDataDirectory(path)).toThrow(DataDirectoryInUse);
    expect(() => openDataDirectory(path)).toThrow(
      `The data directory ${path} is in use by process ${process.pid}. Stop it, or choose another directory.`,
    );
    directory.close();
    directory.close();
    using again = openDataDirectory(path);
    expect(again.file('x')).toBe(`${path}/x`);
    expect(readdirSync(path).filter((name) => !name.startsWith('lock.'))).toEqual([]);
  });

  test('that cannot be made is named with the reason', () => {
    using folder = new TemporaryFolder();
    writeFileSync(folder.file('file'), '');
    for (const path of [folder.file('file'), folder.file('file/below'), '/proc/muster']) {
      expect(() => openDataDirectory(path), path).toThrow(DataDirectoryUnwritable);
      expect(() => openDataDirectory(path)).toThrow(/^The data directory \S+ cannot be written: [^\n]+$/);
    }
  });
});

describe('writing a file at once', () => {
  test('replaces the content, sets the mode and leaves nothing beside it', () => {
    using folder = new TemporaryFolder();
    atomicWriteFile(folder.file('x'), 'one', 0o644);
    atomicWriteFile(folder.file('x'), Buffer.from('two'));
    expect(readFileSync(folder.file('x'), 'utf8')).toBe('two');
    expect(statSync(folder.file('x')).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder.path)).toEqual(['x']);
  });

  test('that fails leaves nothing behind', () => {
    using folder = new TemporaryFolder();
    openDataDirectory(folder.file('directory')).close();
    expect(() => atomicWriteFile(folder.file('directory'), 'x')).toThrow('EISDIR');
    expect(readdirSync(folder.path)).toEqual(['directory']);
  });
});
