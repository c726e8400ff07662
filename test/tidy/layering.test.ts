/**
 * Dependencies point inward only: contract ← core ← runtime ← manager, orchestrator ← cli. Agents stand apart, because a
 * customer's agent is loaded without the rest. The rules are in packages.ts; this file applies them to every import.
 */
import { builtinModules } from 'node:module';
import { dirname, join, normalize } from 'node:path/posix';
import { describe, expect, it } from 'vitest';
import { type FoundImport, importsOf } from './imports.ts';
import { layers, readManifest, workspacePackages } from './packages.ts';
import { codeFiles, repositoryRoot, type SourceFile } from './sources.ts';

const packages = new Map(workspacePackages().map((each) => [each.folder, each.manifest]));
const rootManifest = readManifest(`${repositoryRoot}/package.json`);
const builtins = new Set(builtinModules);

/** Folder of the package a file belongs to; undefined for test/, bench/, scripts/ and the rest of the root. */
function owner(path: string): string | undefined {
  return /^packages\/([^/]+)\//.exec(path)?.[1];
}

/** `@muster/core/manager` → core and ./manager; undefined when it is not one of ours. */
function ownTarget(specifier: string): { readonly folder: string; readonly entry: string } | undefined {
  const match = /^@muster\/([^/]+)(?:\/(.+))?$/.exec(specifier);
  if (match === null) return undefined;
  return { folder: match[1] as string, entry: match[2] === undefined ? '.' : `./${match[2]}` };
}

function libraryName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

function allows(rules: readonly string[], folder: string, entry: string, typeOnly: boolean): boolean {
  const path = entry === '.' ? folder : `${folder}${entry.slice(1)}`;
  return rules.some((rule) => rule === folder || rule === path || (typeOnly && rule === `${folder}#types`));
}

function offenceInPackage(file: SourceFile, found: FoundImport, folder: string): string | undefined {
  const { specifier, typeOnly } = found;
  if (specifier.startsWith('.')) {
    const target = normalize(join(dirname(file.path), specifier));
    return owner(target) === folder ? undefined : 'a relative import leaves the package';
  }
  if (specifier.startsWith('node:')) return undefined;
  if (builtins.has(specifier)) return 'built-in modules are imported with the node: prefix';
  const own = ownTarget(specifier);
  if (own !== undefined && own.folder !== folder) {
    if (!allows(layers[folder] ?? [], own.folder, own.entry, typeOnly)) return `${folder} may not know this`;
  }
  const manifest = packages.get(folder);
  const declared = {
    ...manifest?.dependencies,
    ...manifest?.optionalDependencies,
    ...manifest?.peerDependencies,
  };
  const name = libraryName(specifier);
  const isTest = /\.test\.ts$|conformance\.ts$|\/testing\//.test(file.path);
  const known =
    name === manifest?.name ||
    name in declared ||
    typeOnly ||
    (isTest && name in (rootManifest.devDependencies ?? {}));
  return known ? undefined : `${name} is not declared in packages/${folder}/package.json`;
}

/** Why an import breaks the rules, as a sentence; undefined when it does not. */
function offence(file: SourceFile, found: FoundImport): string | undefined {
  const folder = owner(file.path);
  const own = ownTarget(found.specifier);
  const first = folder === undefined ? undefined : offenceInPackage(file, found, folder);
  if (first === undefined && own !== undefined) {
    const exported = packages.get(own.folder)?.exports;
    const entries = typeof exported === 'string' ? ['.'] : Object.keys(exported ?? {});
    if (!entries.includes(own.entry)) return `@muster/${own.folder} does not export ${own.entry}`;
  }
  return first;
}

function offences(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) =>
    importsOf(file.text).flatMap((found) => {
      const reason = offence(file, found);
      return reason === undefined
        ? []
        : [`${file.path}:${found.line} imports '${found.specifier}': ${reason}`];
    }),
  );
}

describe('layering', () => {
  it('knows every package', () => {
    expect([...packages.keys()].filter((folder) => !(folder in layers))).toEqual([]);
  });

  it('is kept by every import in the repository', () => {
    const files = codeFiles();
    expect(files.length).toBeGreaterThan(10);
    expect(offences(files)).toEqual([]);
  });

  it('is declared in the manifests as it is in the rules', () => {
    const wrong = [...packages].flatMap(([folder, manifest]) =>
      Object.keys(manifest.dependencies ?? {})
        .map(ownTarget)
        .filter((target) => target !== undefined)
        .filter(
          ({ folder: target }) => !(layers[folder] ?? []).some((rule) => rule.split(/[/#]/)[0] === target),
        )
        .map(({ folder: target }) => `packages/${folder}/package.json depends on @muster/${target}`),
    );
    expect(wrong).toEqual([]);
  });

  it('keeps the keeper process free of everything but node', () => {
    const sources = new Map(codeFiles().map(({ path, text }) => [path, text]));
    const reached = ['packages/orchestrator/src/keeper/main.ts'];
    const wrong: string[] = [];
    for (const path of reached) {
      for (const { specifier, typeOnly, line } of importsOf(sources.get(path) ?? '')) {
        if (typeOnly || specifier.startsWith('node:')) continue;
        const target = normalize(join(dirname(path), specifier));
        if (!specifier.startsWith('./')) wrong.push(`${path}:${line} imports '${specifier}'`);
        else if (!reached.includes(target)) reached.push(target);
      }
    }
    expect(reached.filter((path) => !sources.has(path))).toEqual([]);
    expect(wrong).toEqual([]);
  });
});

describe('the layering rules', () => {
  const probe = (path: string, text: string): string[] => offences([{ path, text }]);

  it.each([
    ['packages/core/src/a.ts', "import { a } from '@muster/runtime';", 'core may not know this'],
    ['packages/runtime/src/a.ts', "import { a } from '@muster/manager';", 'runtime may not know this'],
    [
      'packages/manager/src/a.ts',
      "import type { a } from '@muster/orchestrator';",
      'manager may not know this',
    ],
    ['packages/manager/src/a.ts', "import { a } from '@muster/agents/trading';", 'manager may not know this'],
    ['packages/agent-sdk/src/a.ts', "import { a } from '@muster/contract';", 'agent-sdk may not know this'],
    ['packages/agents/src/a.ts', "import { type A } from '@muster/contract';", 'agents may not know this'],
    ['packages/simulator/src/a.ts', "export * from '@muster/runtime';", 'simulator may not know this'],
    [
      'packages/runtime/src/a.ts',
      "import '@muster/core/src/machine.ts';",
      'does not export ./src/machine.ts',
    ],
    ['bench/a.ts', "import '@muster/core/src/machine.ts';", 'does not export ./src/machine.ts'],
    ['packages/runtime/src/a.ts', "import { a } from '../../core/src/index.ts';", 'leaves the package'],
    ['packages/runtime/src/a.ts', "const a = await import('left-pad');", 'left-pad is not declared'],
    ['packages/runtime/src/a.ts', "import { it } from 'vitest';", 'vitest is not declared'],
    ['packages/runtime/src/a.ts', "import { join } from 'path';", 'node: prefix'],
  ])('refuse %s: %s', (path, text, reason) => {
    expect(probe(path, text).join('\n')).toContain(reason);
  });

  it.each([
    ['packages/runtime/src/a.ts', "import { a } from '@muster/core';"],
    ['packages/agent-sdk/src/a.ts', "import type { A } from '@muster/contract';"],
    ['packages/runtime/src/a.test.ts', "import { it } from 'vitest';"],
    ['packages/runtime/src/a.ts', "import { join } from 'node:path';\nimport { b } from './b.ts';"],
    ['packages/core/src/a.ts', "/**\n * import { a } from '@muster/runtime';\n */\n// import 'left-pad';"],
  ])('accept %s: %s', (path, text) => {
    expect(probe(path, text)).toEqual([]);
  });
});
