/**
 * The launcher's installation: makes node_modules what package-lock.json says, once, before anything is started.
 *
 * Plain JavaScript for Node 20.19 on, built-ins only (see muster.mjs). Invariants: a tree whose installation did not
 * finish is never taken for a finished one (npm writes its own record last, and that record is compared); of several
 * first starts at once exactly one installs; a dead installer's lock is taken over, a living one's never.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { endBySignal, fail, modules, readOr, root, say } from './process.mjs';

const stampPath = join(modules, '.muster-lock');
const workDirectory = join(root, '.muster');
const lockDirectory = join(workDirectory, 'install.lock');
const interruptions = ['SIGINT', 'SIGTERM', 'SIGHUP'];

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const parseOr = (text, otherwise) => {
  try {
    return JSON.parse(text);
  } catch {
    return otherwise;
  }
};

// ── Is what the lockfile names installed? ───────────────────────────────────────────────────────────────────────────

/** Digest of the lockfile and of npm's own record of what it installed: changes when either does. */
function stampKey() {
  const hash = createHash('sha256');
  hash.update(`${process.platform}-${process.arch}\0`);
  hash.update(readFileSync(join(root, 'package-lock.json')));
  hash.update('\0');
  hash.update(readOr(join(modules, '.package-lock.json'), ''));
  return hash.digest('hex');
}

/** npm writes node_modules/.package-lock.json at the very end of an installation: compare it entry by entry. */
function npmRecordMatches(withDevelopment) {
  const wanted = parseOr(readOr(join(root, 'package-lock.json'), ''), {}).packages;
  const present = parseOr(readOr(join(modules, '.package-lock.json'), ''), {}).packages;
  if (wanted === undefined || present === undefined) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '' || !path.startsWith('node_modules/')) return true;
    if (entry.dev === true && !withDevelopment) return true;
    const found = present[path];
    if (found === undefined) return entry.optional === true || entry.devOptional === true;
    return found.version === entry.version && found.integrity === entry.integrity;
  });
}

function isInstalled(withDevelopment) {
  const stamp = parseOr(readOr(stampPath, ''), {});
  return stamp.key === stampKey() && (stamp.development === true || !withDevelopment);
}

/** Accepts an installation that a person made with npm, so that it is not made a second time. */
function adoptInstallation(withDevelopment) {
  if (!npmRecordMatches(withDevelopment)) return false;
  try {
    const temporary = `${stampPath}.${process.pid}`;
    writeFileSync(temporary, JSON.stringify({ key: stampKey(), development: npmRecordMatches(true) }));
    renameSync(temporary, stampPath);
  } catch {
    // A read-only tree (an image) is as good without the stamp: it only saves the comparison.
  }
  return true;
}

// ── One installation at a time ──────────────────────────────────────────────────────────────────────────────────────

/** What tells a process from a later one with the same id: its start time, where /proc has it. */
function processMark(pid) {
  const stat = readOr(`/proc/${pid}/stat`, '');
  return stat === '' ? '' : stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}

function isAlive({ pid, mark }) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code !== 'EPERM') return false;
  }
  return mark === '' || processMark(pid) === mark;
}

/** Held by the launcher and by the npm it started: either may outlive the other. */
function lockIsStale() {
  const owner = parseOr(readOr(join(lockDirectory, 'owner.json'), ''), undefined);
  if (owner === undefined) {
    try {
      return Date.now() - statSync(lockDirectory).mtimeMs > 10_000;
    } catch {
      return false;
    }
  }
  return owner.host === hostname() && !owner.processes.some(isAlive);
}

function writeLockOwner(pids) {
  const processes = pids.map((pid) => ({ pid, mark: processMark(pid) }));
  const temporary = join(lockDirectory, `owner.${process.pid}`);
  writeFileSync(temporary, JSON.stringify({ host: hostname(), processes }));
  renameSync(temporary, join(lockDirectory, 'owner.json'));
}

const makeDirectory = (path) => {
  try {
    mkdirSync(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
};

/** Removes a lock whose owners are dead. A second lock guards the removal, so that nobody removes a fresh one. */
function breakStaleLock() {
  const guard = `${lockDirectory}.break`;
  if (!makeDirectory(guard)) {
    try {
      if (Date.now() - statSync(guard).mtimeMs > 10_000) rmSync(guard, { recursive: true, force: true });
    } catch {
      // Somebody else has removed it.
    }
    return;
  }
  try {
    if (lockIsStale()) rmSync(lockDirectory, { recursive: true, force: true });
  } finally {
    rmSync(guard, { recursive: true, force: true });
  }
}

function releaseLock() {
  rmSync(lockDirectory, { recursive: true, force: true });
}

/** Returns true with the lock held, or false when somebody else has finished the installation meanwhile. */
async function takeLock(withDevelopment) {
  let told = false;
  for (;;) {
    mkdirSync(workDirectory, { recursive: true, mode: 0o700 });
    if (makeDirectory(lockDirectory)) {
      writeLockOwner([process.pid]);
      return true;
    }
    if (!told) {
      say('another start is installing the dependencies; waiting for it …');
      say(`(when no other one runs, on this machine or another: remove ${lockDirectory})`);
    }
    told = true;
    await sleep(200);
    if (lockIsStale()) breakStaleLock();
    if (!existsSync(lockDirectory) && isInstalled(withDevelopment)) return false;
  }
}

// ── npm ci ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** npm's own path when npm started us, else the `npm` on PATH. */
function npmCommand() {
  const path = process.env.npm_execpath;
  if (path !== undefined && path.endsWith('npm-cli.js') && existsSync(path))
    return [process.execPath, [path]];
  return ['npm', []];
}

const failureHints = [
  [
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ENOTCACHED/,
    'The npm registry could not be reached. Connect this machine (HTTPS_PROXY and npm config "registry" are honoured) and\n' +
      'start again, or copy node_modules from a machine with the same system and the same package-lock.json.',
  ],
  [
    /SELF_SIGNED_CERT|UNABLE_TO_(GET|VERIFY)|CERT_/,
    'The certificate of the npm registry is not trusted here: name your authority with npm config "cafile" or NODE_EXTRA_CA_CERTS.',
  ],
  [/ENOSPC/, 'The disk is full: the dependencies need about 200 MB.'],
  [/EACCES|EPERM|EROFS/, `This user may not write to ${modules}.`],
  [
    /EUSAGE|in sync/,
    'package.json and package-lock.json disagree: run "npm run lock" and commit the result.',
  ],
  [/EINTEGRITY/, 'What the registry sent is not what package-lock.json names: do not use it; find out why.'],
];

function explainFailure(status, output) {
  const lines = output.trimEnd().split('\n');
  const usage = lines.findIndex((line) => /^npm error (Clean install a project|Usage:)$/.test(line));
  lines.splice(Math.min(20, usage === -1 ? 20 : usage));
  process.stderr.write(`${lines.map((line) => `    ${line}`).join('\n')}\n`);
  say(`installing the dependencies failed (npm ci ended with ${status}).`);
  const hint = failureHints.find(([pattern]) => pattern.test(output));
  if (hint !== undefined) for (const line of hint[1].split('\n')) say(line);
  say('Nothing was started.');
}

function showProgress() {
  const startedAt = Date.now();
  if (!process.stderr.isTTY) {
    say('installing the dependencies (needed once, about 200 MB) …');
    return () => say(`dependencies installed in ${Math.round((Date.now() - startedAt) / 1000)} s.`);
  }
  const draw = () => {
    const seconds = Math.round((Date.now() - startedAt) / 1000);
    process.stderr.write(
      `\r\u001b[Kmuster: installing the dependencies (needed once, about 200 MB) … ${seconds} s`,
    );
  };
  draw();
  const timer = setInterval(draw, 1000);
  return () => {
    clearInterval(timer);
    process.stderr.write('\r\u001b[K');
  };
}

/** Runs npm ci quietly; its output is shown only when it fails. A signal ends npm first, then us. */
function runNpm() {
  const [command, first] = npmCommand();
  const arguments_ = [
    ...first,
    'ci',
    '--include=dev',
    '--include=optional',
    '--loglevel=error',
    '--no-progress',
  ];
  return new Promise((resolve) => {
    let output = '';
    let interrupted;
    const npm = spawn(command, arguments_, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    if (npm.pid !== undefined) writeLockOwner([process.pid, npm.pid]);
    const collect = (chunk) => {
      output = (output + chunk).slice(-64 * 1024);
    };
    npm.stdout.on('data', collect);
    npm.stderr.on('data', collect);
    const onSignal = (signal) => {
      interrupted = signal;
      npm.kill('SIGTERM');
    };
    for (const signal of interruptions) process.on(signal, onSignal);
    const finish = (status) => {
      for (const signal of interruptions) process.off(signal, onSignal);
      resolve({ status, output, interrupted });
    };
    npm.on('error', (error) => {
      output +=
        error.code === 'ENOENT' ? 'npm is not on PATH: install it together with Node.' : error.message;
      finish('no npm');
    });
    npm.on('close', (code, signal) => finish(code ?? signal));
  });
}

async function install(withDevelopment) {
  let held;
  try {
    held = await takeLock(withDevelopment);
  } catch (error) {
    fail(`the dependencies must be installed, but ${workDirectory} is not writable (${error.code}).`);
  }
  if (!held) return;
  let result;
  try {
    if (adoptInstallation(withDevelopment)) return;
    const endProgress = showProgress();
    result = await runNpm();
    if (result.status === 0 && !adoptInstallation(withDevelopment))
      result.status = 'an incomplete installation';
    if (result.status === 0) endProgress();
    else if (process.stderr.isTTY) process.stderr.write('\n');
  } finally {
    releaseLock();
  }
  if (result.interrupted !== undefined) return endBySignal(result.interrupted);
  if (result.status !== 0) {
    explainFailure(result.status, result.output);
    process.exit(69);
  }
}

/**
 * Returns when everything the lockfile names is installed; ends the process, with the reason said, when it cannot be.
 * `withDevelopment` also wants what only tests and checks need.
 */
export async function ensureInstalled(withDevelopment) {
  if (isInstalled(withDevelopment) || adoptInstallation(withDevelopment)) return;
  await install(withDevelopment);
}
