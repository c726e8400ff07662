/**
 * The workspace packages as the tidy tests see them: their manifests and which of them may know which.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from './sources.ts';

export interface Manifest {
  readonly name?: string;
  readonly description?: string;
  readonly license?: string;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, unknown>> | string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

export interface WorkspacePackage {
  /** Folder under packages/, which is also the name after `@muster/`. */
  readonly folder: string;
  readonly manifest: Manifest;
}

export function readManifest(path: string): Manifest {
  return JSON.parse(readFileSync(path, 'utf8')) as Manifest;
}

/** Every folder under packages/ that has a manifest, sorted by name. */
export function workspacePackages(): readonly WorkspacePackage[] {
  const root = join(repositoryRoot, 'packages');
  return readdirSync(root)
    .sort()
    .map((folder) => ({ folder, path: join(root, folder, 'package.json') }))
    .filter(({ path }) => existsSync(path))
    .map(({ folder, path }) => ({ folder, manifest: readManifest(path) }));
}

/** What a package may import of the others; `#types` allows `import type` alone, a path allows that entry point alone. */
export const layers: Readonly<Record<string, readonly string[]>> = {
  contract: [],
  core: ['contract'],
  runtime: ['contract', 'core'],
  manager: ['contract', 'core', 'runtime', 'agents/catalogue'],
  orchestrator: ['contract', 'core', 'runtime', 'agents/catalogue'],
  cli: ['contract', 'core', 'runtime', 'manager', 'orchestrator', 'agents/catalogue'],
  simulator: ['contract', 'core'],
  'agent-sdk': ['contract#types'],
  agents: ['agent-sdk', 'contract#types'],
};
