/**
 * The files of this repository as the tidy tests see them: what a person wrote, nothing that was installed or recorded.
 *
 * Walks the tree itself, without git, so that the tests mean the same in a clone and in an unpacked archive.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join, relative, resolve, sep } from 'node:path';

export const repositoryRoot = resolve(import.meta.dirname, '../..');

const skippedDirectories = new Set([
  '.git',
  'node_modules',
  '.muster',
  'coverage',
  'dist',
  'data',
  'fixtures',
]);
const textEndings = /\.(ts|tsx|mts|mjs|cjs|js|json|jsonc|md|yml|yaml|sh|css|html|py|toml|txt)$/;
const textNames = new Set([
  'LICENSE',
  'NOTICE',
  'Dockerfile',
  '.editorconfig',
  '.gitignore',
  '.npmrc',
  'run',
]);

export interface SourceFile {
  /** Path from the repository's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

/** Every text file under `directory` (default: the repository), sorted by path. */
export function textFiles(directory: string = repositoryRoot): readonly SourceFile[] {
  const files: SourceFile[] = [];
  const visit = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        if (!skippedDirectories.has(entry.name)) visit(path);
      } else if (entry.isFile() && (textEndings.test(entry.name) || textNames.has(basename(path)))) {
        files.push({
          path: relative(directory, path).split(sep).join('/'),
          text: readFileSync(path, 'utf8'),
        });
      }
    }
  };
  visit(directory);
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** The TypeScript and JavaScript among `textFiles`. */
export function codeFiles(directory: string = repositoryRoot): readonly SourceFile[] {
  return textFiles(directory).filter((file) => /\.(ts|tsx|mts|mjs|js)$/.test(file.path));
}
