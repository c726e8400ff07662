#!/usr/bin/env node
/**
 * The launcher: with install.mjs and process.mjs beside it the only code that any Node from 20.19 on must be able to run,
 * so plain JavaScript and built-ins only.
 *
 * It makes sure that what package-lock.json names is installed, finds the pinned Node that came with it, and runs the
 * `muster` command (packages/cli/src/main.ts) or, for `muster test`, all tests with it. Invariants: the exit code, the
 * signals, the terminal and the standard streams of what it runs are those of the caller; it speaks on stderr only.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import module from 'node:module';
import { delimiter, join } from 'node:path';
import { ensureInstalled } from './install.mjs';
import { endBySignal, fail, modules, nodeIsAtLeast, readOr, root } from './process.mjs';

const oldestLauncherNode = [20, 19];
const oldestRunNode = [24, 15];

// ── Running on the pinned Node ──────────────────────────────────────────────────────────────────────────────────────

function pinnedNode() {
  const path = join(modules, `node-${process.platform}-${process.arch}`, 'bin', 'node');
  return existsSync(path) ? realpathSync(path) : undefined;
}

/**
 * True when a terminal sends its Ctrl-C to our whole process group, so to the child too: passing it on would make two
 * presses of one, and a second press means "at once".
 */
function terminalSignalsGroup() {
  const stat = readOr('/proc/self/stat', '');
  if (stat === '') return Boolean(process.stdin.isTTY);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[2] === fields[5];
}

function runChild(node, arguments_, onUnable) {
  const child = spawn(node, arguments_, { stdio: 'inherit' });
  const forward = (signal) => {
    if ((signal === 'SIGINT' || signal === 'SIGQUIT') && terminalSignalsGroup()) return;
    child.kill(signal);
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'];
  for (const signal of signals) process.on(signal, forward);
  const stopForwarding = () => {
    for (const signal of signals) process.off(signal, forward);
  };
  child.on('error', (error) => {
    stopForwarding();
    onUnable(error);
  });
  child.on('exit', (code, signal) => {
    stopForwarding();
    if (signal !== null) endBySignal(signal);
    else process.exitCode = code;
  });
}

/** Runs `program` in this process as if it had been named on the command line. */
function runHere(program, arguments_) {
  if (process.env.NODE_COMPILE_CACHE !== undefined) module.enableCompileCache(process.env.NODE_COMPILE_CACHE);
  process.argv = [process.execPath, program, ...arguments_];
  module.runMain(program);
}

/** Runs `program` on the pinned Node, in this process when that is what runs it already. */
function run(program, arguments_) {
  const pinned = pinnedNode();
  if (pinned === undefined) {
    if (nodeIsAtLeast(oldestRunNode)) return runHere(program, arguments_);
    fail(
      `this is Node ${process.versions.node}, and none was installed for ${process.platform}-${process.arch}.`,
      `Install Node ${oldestRunNode.join('.')} or newer, then start again.`,
    );
  }
  if (realpathSync(process.execPath) === pinned) return runHere(program, arguments_);
  runChild(pinned, [program, ...arguments_], (error) => {
    if (nodeIsAtLeast(oldestRunNode)) return runHere(program, arguments_);
    fail(
      `the Node that Muster brings along cannot run on this system (${error.code}).`,
      `Install Node ${oldestRunNode.join('.')} or newer, then start again.`,
    );
  });
}

// ── muster test ─────────────────────────────────────────────────────────────────────────────────────────────────────

function canUnshare() {
  const attempt = (...flags) =>
    spawnSync('unshare', [...flags, '--pid', '--fork', '--kill-child', '--mount-proc', 'true'], {
      stdio: 'ignore',
    }).status === 0;
  return attempt() || attempt('--user', '--map-current-user');
}

function announceMissingParts() {
  const missing = [];
  if (!process.env.MUSTER_MARKET_DATA) {
    missing.push('MUSTER_MARKET_DATA is not set: the tests on external market data will not run.');
  }
  if (!canUnshare()) {
    missing.push(
      'PID namespaces are not allowed here: the tests of the strongest kill guarantee will not run.',
    );
  }
  if (missing.length === 0) return;
  const bar = '─'.repeat(96);
  process.stderr.write(`${bar}\n${missing.map((line) => `  NOT TESTED  ${line}\n`).join('')}${bar}\n`);
}

if (!nodeIsAtLeast(oldestLauncherNode)) {
  fail(
    `Muster needs Node ${oldestLauncherNode.join('.')} or newer to start; this is ${process.versions.node}.`,
    'Get a current one from https://nodejs.org or from your system, then start again.',
  );
}
const testing = process.argv[2] === 'test';
await ensureInstalled(testing);
if (testing) {
  announceMissingParts();
  process.chdir(root);
  // As npm does for scripts: what tests start by name is what was installed, the pinned Node above all.
  process.env.PATH = `${join(modules, '.bin')}${delimiter}${process.env.PATH ?? ''}`;
  run(join(modules, 'vitest', 'vitest.mjs'), ['run', ...process.argv.slice(3)]);
} else {
  // Compiled code is kept beside what it was compiled from: a start takes a third of the time, also in every child.
  process.env.NODE_COMPILE_CACHE =
    process.env.NODE_COMPILE_CACHE ?? join(modules, '.cache', 'muster-compile');
  run(join(root, 'packages', 'cli', 'src', 'main.ts'), process.argv.slice(2));
}
