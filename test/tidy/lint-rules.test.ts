/**
 * Proves that each lint rule the architecture leans on really fires: a rule that silently stopped working (a renamed
 * option, a glob that no longer matches) would otherwise look like clean code.
 *
 * One run of oxlint over a temporary tree that has this repository's configuration and one small file per case.
 */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { repositoryRoot } from './sources.ts';

interface Case {
  readonly title: string;
  readonly rule: string;
  readonly source: string;
}

const globalCase = (name: string, expression: string): Case => ({
  title: `core may not use ${name}`,
  rule: 'eslint(no-restricted-globals)',
  source: `export function probe(): unknown {\n  return ${expression};\n}\n`,
});

const coreCases: readonly Case[] = [
  globalCase('Date', 'new Date()'),
  globalCase('Date.now', 'Date.now()'),
  globalCase('performance', 'performance.now()'),
  globalCase('Intl, which reads the clock too', "new Intl.DateTimeFormat('en').format()"),
  globalCase('setTimeout', 'setTimeout(() => 1, 2)'),
  globalCase('setInterval', 'setInterval(() => 1, 2)'),
  globalCase('setImmediate', 'setImmediate(() => 1)'),
  globalCase('queueMicrotask', 'queueMicrotask(() => undefined)'),
  globalCase('Promise as a value', 'Promise.resolve(1)'),
  globalCase('process', 'process.pid'),
  globalCase('fetch', "fetch('http://127.0.0.1')"),
  globalCase('crypto', 'crypto.randomUUID()'),
  globalCase('console', "console.log('x')"),
  globalCase('Buffer', "Buffer.from('x')"),
  globalCase('globalThis', 'globalThis'),
  globalCase('global', 'global'),
  globalCase('eval', "eval('1')"),
  globalCase('Function', "Function('return 1')()"),
  globalCase('Temporal', 'Temporal.Now.instant()'),
  globalCase('WebSocket', "new WebSocket('ws://127.0.0.1')"),
  globalCase('require', "require('fs')"),
  globalCase('WeakRef', 'new WeakRef({})'),
  globalCase('FinalizationRegistry', 'new FinalizationRegistry(() => undefined)'),
  {
    title: 'core may not use Promise as a type',
    rule: 'typescript(no-restricted-types)',
    source: 'export type Later = { readonly value: Promise<number> };\n',
  },
  {
    title: 'core may not use Math.random',
    rule: 'eslint(no-restricted-properties)',
    source: 'export const probe = (): number => Math.random();\n',
  },
  {
    title: 'core may not take random out of Math',
    rule: 'eslint(no-restricted-properties)',
    source: 'const { random } = Math;\nexport const probe = (): number => random();\n',
  },
  {
    title: 'core may not compare by locale',
    rule: 'eslint(no-restricted-properties)',
    source: 'export const probe = (a: string, b: string): number => a.localeCompare(b);\n',
  },
  ...['node:fs', 'node:crypto', 'fs', 'ws', '@muster/runtime', '@muster/contract/src/index.ts'].map(
    (module): Case => ({
      title: `core may not import ${module}`,
      rule: 'core-purity(imports)',
      source: `export * from '${module}';\nimport type * as all from '${module}';\nexport type All = typeof all;\n`,
    }),
  ),
  ...[
    ['an async function', 'export async function probe() {\n  return 1;\n}\n'],
    ['an async arrow function', 'export const probe = async () => 1;\n'],
    ['an async method', 'export class Probe {\n  async run() {\n    return 1;\n  }\n}\n'],
    ['await at the top', "export const value = await Reflect.get({}, 'x');\n"],
    ['a dynamic import', "export const probe = (): unknown => import('./other.ts');\n"],
  ].map(
    ([title, source]): Case => ({
      title: `core may not contain ${title}`,
      rule: 'core-purity(no-async)',
      source: source as string,
    }),
  ),
];

const longBody = Array.from({ length: 80 }, (_, index) => `  total += ${index};`).join('\n');
const houseCases: readonly Case[] = [
  {
    title: 'a promise may not float',
    rule: 'typescript(no-floating-promises)',
    source: 'async function work() {\n  return 1;\n}\nexport function probe() {\n  work();\n}\n',
  },
  {
    title: 'a promise may not stand where a condition is wanted',
    rule: 'typescript(no-misused-promises)',
    source:
      'declare function work(): Promise<boolean>;\nexport function probe() {\n  if (work()) return 1;\n  return 2;\n}\n',
  },
  {
    title: 'a switch over a union covers every member',
    rule: 'typescript(switch-exhaustiveness-check)',
    source:
      "export function probe(kind: 'a' | 'b') {\n  switch (kind) {\n    case 'a':\n      return 1;\n  }\n  return 2;\n}\n",
  },
  {
    title: 'any is refused',
    rule: 'typescript(no-explicit-any)',
    source: 'export function probe(value: any) {\n  return value;\n}\n',
  },
  {
    title: 'only errors are thrown',
    rule: 'typescript(only-throw-error)',
    source: "export function probe() {\n  throw 'text';\n}\n",
  },
  {
    title: 'default exports are refused',
    rule: 'import(no-default-export)',
    source: 'export default function probe() {\n  return 1;\n}\n',
  },
  {
    title: 'a function is at most 70 lines',
    rule: 'eslint(max-lines-per-function)',
    source: `export function probe() {\n  let total = 0;\n${longBody}\n  return total;\n}\n`,
  },
  {
    title: 'a file is at most 400 lines',
    rule: 'eslint(max-lines)',
    source: Array.from({ length: 401 }, (_, index) => `export const value${index} = ${index};\n`).join(''),
  },
];

/** What core does all day must stay allowed, or people learn to switch rules off. */
const cleanCore = `import type { Text } from '@muster/contract';
import { other } from './clean-neighbour.ts';

export type Kind = 'a' | 'b';
export function pick(kind: Kind, items: ReadonlyMap<string, Text>): number {
  switch (kind) {
    case 'a':
      return Math.max(items.size, other);
    case 'b':
      return structuredClone([1, 2]).length;
  }
}
`;

let directory = '';
/** Path in the temporary tree → rules that fired there. */
const fired = new Map<string, string[]>();
const corePath = (index: number): string => `packages/core/src/case-${index}.ts`;
const housePath = (index: number): string => `packages/runtime/src/case-${index}.ts`;

function runOxlint(cwd: string): Promise<string> {
  const oxlint = join(repositoryRoot, 'node_modules/oxlint/bin/oxlint');
  const env = { ...process.env, OXLINT_TSGOLINT_PATH: join(repositoryRoot, 'node_modules/.bin/tsgolint') };
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [oxlint, '--type-aware', '-f', 'json'],
      { cwd, env, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (stdout.trimStart().startsWith('{')) resolve(stdout);
        else reject(new Error(`oxlint did not answer with JSON: ${stderr}${stdout}`, { cause: error }));
      },
    );
  });
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-lint-'));
  const files = new Map<string, string>([
    ['packages/core/src/clean.ts', cleanCore],
    ['packages/core/src/clean-neighbour.ts', 'export const other = 1;\n'],
    [
      'packages/core/src/machine.test.ts',
      "import { join } from 'node:path';\nexport const probe = async (): Promise<string> => join('a', String(Date.now()));\n",
    ],
    ['packages/runtime/src/clock.ts', 'export const probe = (): number => Date.now() + performance.now();\n'],
    [
      'packages/runtime/src/left.ts',
      "import { right } from './right.ts';\nexport const left = (): number => right();\n",
    ],
    [
      'packages/runtime/src/right.ts',
      "import { left } from './left.ts';\nexport const right = (): number => left();\n",
    ],
    ['packages/runtime/src/focus.test.ts', "import { it } from 'vitest';\nit.only('x', () => undefined);\n"],
  ]);
  coreCases.forEach((each, index) => files.set(corePath(index), each.source));
  houseCases.forEach((each, index) => files.set(housePath(index), each.source));
  for (const [path, text] of files) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), text);
  }
  for (const path of ['.oxlintrc.json', 'scripts']) {
    await cp(join(repositoryRoot, path), join(directory, path), { recursive: true });
  }
  // The repository's compiler options, but for the types of Node: nothing is installed in the temporary tree.
  const tsconfig = JSON.parse(await readFile(join(repositoryRoot, 'tsconfig.json'), 'utf8')) as {
    compilerOptions: Record<string, unknown>;
  };
  tsconfig.compilerOptions['types'] = [];
  await writeFile(join(directory, 'tsconfig.json'), JSON.stringify({ ...tsconfig, include: ['packages'] }));
  const answer = JSON.parse(await runOxlint(directory)) as {
    diagnostics: readonly { code: string; filename: string }[];
  };
  for (const { code, filename } of answer.diagnostics) {
    fired.set(filename, [...(fired.get(filename) ?? []), code]);
  }
});

afterAll(async () => {
  if (directory !== '') await rm(directory, { recursive: true, force: true });
});

describe('the lint configuration', () => {
  it.each(coreCases.map((each, index) => ({ ...each, path: corePath(index) })))(
    '$title',
    ({ rule, path }) => {
      expect(fired.get(path) ?? []).toContain(rule);
    },
  );

  it.each(houseCases.map((each, index) => ({ ...each, path: housePath(index) })))(
    '$title',
    ({ rule, path }) => {
      expect(fired.get(path) ?? []).toContain(rule);
    },
  );

  it('bans no global for the core that is not proven here', async () => {
    const text = await readFile(join(repositoryRoot, '.oxlintrc.json'), 'utf8');
    const config = JSON.parse(text.replace(/^\s*\/\/.*$/gm, '')) as {
      overrides: { rules: Record<string, unknown[]> }[];
    };
    const banned = config.overrides
      .flatMap((override) => override.rules['no-restricted-globals'] ?? [])
      .filter((entry): entry is { name: string } => typeof entry === 'object' && entry !== null)
      .map((entry) => entry.name);
    const titles = coreCases.map((each) => each.title);
    expect(banned.length).toBeGreaterThan(15);
    expect(banned.filter((name) => !titles.some((title) => title.includes(name)))).toEqual([]);
  });

  it('refuses import cycles', () => {
    const rules = [
      ...(fired.get('packages/runtime/src/left.ts') ?? []),
      ...(fired.get('packages/runtime/src/right.ts') ?? []),
    ];
    expect(rules).toContain('import(no-cycle)');
  });

  it('refuses a focused test', () => {
    expect(fired.get('packages/runtime/src/focus.test.ts') ?? []).toContain('vitest(no-focused-tests)');
  });

  it('leaves ordinary core code, core tests and clocks outside the core alone', () => {
    for (const path of ['packages/core/src/clean.ts', 'packages/runtime/src/clock.ts']) {
      expect(fired.get(path) ?? []).toEqual([]);
    }
    expect(
      (fired.get('packages/core/src/machine.test.ts') ?? []).filter((rule) => rule.includes('core')),
    ).toEqual([]);
    expect(fired.get('packages/core/src/machine.test.ts') ?? []).not.toContain(
      'eslint(no-restricted-globals)',
    );
  });
});
