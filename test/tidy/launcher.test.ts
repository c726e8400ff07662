/**
 * The launcher against a small tree of its own: a stand-in for npm that can be told to be slow, to fail or to die, and a
 * program that says how it was started. Real processes throughout; the real `npm ci` is what .ci/run begins with.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { repositoryRoot } from './sources.ts';

const pinnedFolder = `node_modules/node-${process.platform}-${process.arch}`;
const lockPackages = { 'node_modules/left': { version: '1.0.0', integrity: 'sha512-left' } };

/** Behaves as `npm ci` does where the launcher can see it: removes, takes time, writes its own record last. */
const fakeNpm = `#!${process.execPath}
import fs from 'node:fs';
fs.appendFileSync('npm-runs', process.argv.slice(2).join(' ') + '\\n');
fs.rmSync('node_modules', { recursive: true, force: true });
fs.mkdirSync('${pinnedFolder}/bin', { recursive: true });
const finish = () => {
  fs.symlinkSync(${JSON.stringify(process.execPath)}, '${pinnedFolder}/bin/node');
  if (fs.existsSync('npm-forgets')) return;
  const packages = JSON.parse(fs.readFileSync('package-lock.json', 'utf8')).packages;
  fs.writeFileSync('node_modules/.package-lock.json', JSON.stringify({ packages }));
};
if (fs.existsSync('npm-fails')) {
  console.error(fs.readFileSync('npm-fails', 'utf8'));
  process.exit(1);
} else if (fs.existsSync('npm-waits')) {
  const timer = setInterval(() => {
    if (fs.existsSync('npm-waits')) return;
    clearInterval(timer);
    finish();
  }, 10);
} else finish();
`;

const program = `
const fs = await import('node:fs');
const line: string = JSON.stringify({ arguments: process.argv.slice(2), node: process.version, main: import.meta.main });
process.stdout.write(line + '\\n');
const code = process.argv[2];
if (code === 'wait') {
  setInterval(() => undefined, 1000);
  let seen = 0;
  process.on('SIGTERM', () => process.exit(43));
  process.on('SIGINT', () => { seen += 1; process.stdout.write('SIGINT ' + seen + '\\n'); });
} else if (code === 'die') process.kill(process.pid, 'SIGKILL');
else if (code === 'echo') process.stdout.write(fs.readFileSync(0, 'utf8'));
else process.exitCode = Number(code ?? 0);
export {};
`;

interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

let directory = '';
let children: ChildProcess[] = [];

const at = (path: string): string => join(directory, path);

/** A running launcher: what it wrote so far, and its end. */
function launch(...commandLine: string[]) {
  return launchWith({}, ...commandLine);
}

function launchWith(variables: NodeJS.ProcessEnv, ...commandLine: string[]) {
  const path = `${at('fake-bin')}:${process.env['PATH'] ?? ''}`;
  const env: NodeJS.ProcessEnv = { PATH: path, HOME: directory, ...variables };
  const child = spawn(process.execPath, [at('bin/muster.mjs'), ...commandLine], { env, cwd: directory });
  children.push(child);
  const text = { out: '', err: '' };
  child.stdout.on('data', (chunk: Buffer) => {
    text.out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    text.err += chunk.toString();
  });
  const finished = new Promise<Finished>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, ...text }));
  });
  return { child, text, finished };
}

/** Waits until `condition` holds; the test's own time limit ends a wait in vain. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

const npmRuns = async (): Promise<string[]> =>
  (await readFile(at('npm-runs'), 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-launcher-'));
  await cp(join(repositoryRoot, 'bin'), at('bin'), { recursive: true });
  await mkdir(at('fake-bin'));
  await writeFile(at('fake-bin/npm'), fakeNpm, { mode: 0o755 });
  await writeFile(at('package.json'), JSON.stringify({ name: 'probe', type: 'module' }));
  await writeFile(at('package-lock.json'), JSON.stringify({ packages: { '': {}, ...lockPackages } }));
  await mkdir(at('packages/cli/src'), { recursive: true });
  await writeFile(at('packages/cli/src/main.ts'), program);
});

afterEach(async () => {
  for (const child of children)
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  children = [];
  await rm(directory, { recursive: true, force: true });
});

describe('the launcher', () => {
  it('installs once, runs the command on the pinned Node and hands back its exit code', async () => {
    const first = await launch('7', 'b c').finished;
    expect(first.code).toBe(7);
    expect(JSON.parse(first.out)).toEqual({ arguments: ['7', 'b c'], node: process.version, main: true });
    expect(first.err).toContain('installing the dependencies');
    const second = await launch('0').finished;
    expect(second.code).toBe(0);
    expect(second.err).toBe('');
    expect(await npmRuns()).toHaveLength(1);
  });

  it('installs again when the lockfile has changed', async () => {
    await launch().finished;
    const packages = {
      ...lockPackages,
      'node_modules/right': { version: '2.0.0', integrity: 'sha512-right' },
    };
    await writeFile(at('package-lock.json'), JSON.stringify({ packages }));
    expect((await launch().finished).code).toBe(0);
    expect(await npmRuns()).toHaveLength(2);
  });

  it('takes over an installation that a person made with npm', async () => {
    await mkdir(at(`${pinnedFolder}/bin`), { recursive: true });
    await symlink(process.execPath, at(`${pinnedFolder}/bin/node`));
    await writeFile(at('node_modules/.package-lock.json'), JSON.stringify({ packages: lockPackages }));
    expect((await launch().finished).code).toBe(0);
    expect(await npmRuns()).toEqual([]);
  });

  it('does not start on a tree whose installation was interrupted', async () => {
    await mkdir(at('node_modules/left'), { recursive: true });
    expect((await launch().finished).code).toBe(0);
    expect(await npmRuns()).toHaveLength(1);
  });

  it('does not believe an npm that ends well but leaves no record', async () => {
    await writeFile(at('npm-forgets'), '');
    const result = await launch().finished;
    expect(result.code).toBe(69);
    expect(result.out).toBe('');
    expect(result.err).toContain('Nothing was started');
  });

  it.each([
    ['npm error code ENOTFOUND', 'registry could not be reached'],
    ['npm error code ENOSPC', 'disk is full'],
    ['npm error code EINTEGRITY', 'not what package-lock.json names'],
    ['npm error code SELF_SIGNED_CERT_IN_CHAIN', 'cafile'],
  ])('shows why npm failed and what to do: %s', async (output, advice) => {
    await writeFile(at('npm-fails'), output);
    const result = await launch().finished;
    expect(result.code).toBe(69);
    expect(result.err).toContain(output);
    expect(result.err).toContain(advice);
    expect(result.out).toBe('');
  });

  it('installs once when two first starts meet', async () => {
    await writeFile(at('npm-waits'), '');
    const first = launch('1');
    await until(async () => (await npmRuns()).length === 1);
    const second = launch('2');
    await until(() => second.text.err.includes('waiting for it'));
    await rm(at('npm-waits'));
    expect((await first.finished).code).toBe(1);
    expect((await second.finished).code).toBe(2);
    expect(await npmRuns()).toHaveLength(1);
  });

  it('takes over the lock of a start that died, and never that of one that lives', async () => {
    const lock = at('.muster/install.lock');
    await mkdir(lock, { recursive: true });
    const owner = (pid: number, mark: string) =>
      writeFile(join(lock, 'owner.json'), JSON.stringify({ host: hostname(), processes: [{ pid, mark }] }));
    const stat = await readFile('/proc/self/stat', 'utf8');
    const ownMark = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] as string;
    await owner(process.pid, ownMark);
    const start = launch('5');
    await until(() => start.text.err.includes('waiting for it'));
    expect(await npmRuns()).toEqual([]);
    await owner(process.pid, `${ownMark}0`);
    expect((await start.finished).code).toBe(5);
    expect(await npmRuns()).toHaveLength(1);
  });

  it('ends by the signal it got while installing, and the next start begins anew', async () => {
    await writeFile(at('npm-waits'), '');
    const first = launch();
    await until(async () => (await npmRuns()).length === 1);
    first.child.kill('SIGTERM');
    expect((await first.finished).signal).toBe('SIGTERM');
    await rm(at('npm-waits'));
    expect((await launch('4').finished).code).toBe(4);
    expect(await npmRuns()).toHaveLength(2);
  });
});

describe('a launcher on a Node that is too old', () => {
  const pretend = (version: string): NodeJS.ProcessEnv => ({
    NODE_OPTIONS: `--import "data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'${version}'}})"`,
  });

  it('says what it needs before anything else', async () => {
    const result = await launchWith(pretend('18.20.4'), '0').finished;
    expect(result.code).toBe(69);
    expect(result.err).toContain('needs Node 20.19 or newer to start; this is 18.20.4');
    expect(await npmRuns()).toEqual([]);
  });

  it('says so too when only the pinned Node is missing', async () => {
    await launch().finished;
    await rm(at(pinnedFolder), { recursive: true });
    const result = await launchWith(pretend('22.1.0'), '0').finished;
    expect(result.code).toBe(69);
    expect(result.err).toContain('Install Node 24.15 or newer');
    expect((await launch('3').finished).code).toBe(3);
  });
});

describe('a launcher whose Node is not the pinned one', () => {
  /** A copy of Node at another path stands for the system's Node. */
  async function launchElsewhere(...commandLine: string[]) {
    await launch().finished;
    await rm(at(`${pinnedFolder}/bin/node`));
    await cp(process.execPath, at(`${pinnedFolder}/bin/node`));
    return launch(...commandLine);
  }

  it('passes a signal on once and ends as the command does', async () => {
    const { child, text, finished } = await launchElsewhere('wait');
    await until(() => text.out.includes('"wait"'));
    child.kill('SIGINT');
    await until(() => text.out.includes('SIGINT 1'));
    child.kill('SIGTERM');
    const result = await finished;
    expect(result.code).toBe(43);
    expect(result.out).not.toContain('SIGINT 2');
  });

  it('ends by the signal that ended the command', async () => {
    const { finished } = await launchElsewhere('die');
    expect((await finished).signal).toBe('SIGKILL');
  });

  it('leaves standard input to the command', async () => {
    const { child, finished } = await launchElsewhere('echo');
    child.stdin.end('from the caller');
    expect((await finished).out).toContain('from the caller');
  });
});
