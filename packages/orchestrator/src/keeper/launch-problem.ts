/**
 * Why an agent cannot be started, in a sentence its operator understands.
 *
 * What can be known beforehand is checked beforehand: behind a wrapper program the system's own error would name the
 * wrapper, and a missing working directory is reported by the system as a missing program.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

interface LaunchRequest {
  readonly agent: string;
  readonly command: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly stdoutPath: string;
  readonly stderrPath: string;
}

/** Where programs are looked for when the agent's environment names no PATH. */
export const DEFAULT_SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** A sentence about what is in the way of starting the agent; null: nothing that can be seen. */
export function launchProblem(request: LaunchRequest): string | null {
  if (!isDirectory(request.cwd))
    return `Its working directory ${request.cwd} does not exist or is no directory.`;
  for (const file of [request.stdoutPath, request.stderrPath]) {
    if (!isDirectory(path.dirname(file))) return `The directory of its log file ${file} does not exist.`;
  }
  return programProblem(request);
}

function programProblem(request: LaunchRequest): string | null {
  const { command, cwd } = request;
  if (command.includes('/')) {
    const file = path.resolve(cwd, command);
    if (!fs.existsSync(file)) return `Its program ${command} does not exist.`;
    return isExecutable(file) ? null : `Its program ${command} is not executable.`;
  }
  const searchPath = request.env['PATH'] ?? DEFAULT_SEARCH_PATH;
  const found = searchPath
    .split(':')
    .some((directory) => isExecutable(path.resolve(cwd, directory, command)));
  return found ? null : `Its program ${command} was not found in ${searchPath}.`;
}

/** The sentence for an error that starting really ended in. */
export function plainSpawnError(request: LaunchRequest, error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const known: Record<string, string> = {
    ENOENT: `Its program ${request.command}, or the interpreter its first line names, does not exist.`,
    EACCES: `Its program ${request.command} or a log file may not be opened by this user.`,
    ENOEXEC: `Its program ${request.command} is not made for this machine.`,
    E2BIG: 'Its arguments and environment are too large.',
    EAGAIN: 'The machine has reached its limit of processes.',
    ENOMEM: 'The machine has too little memory to start a process.',
    EMFILE: 'The keeper has reached its limit of open files.',
    ENFILE: 'The machine has reached its limit of open files.',
    ENXIO: 'A log file of it is a pipe that nobody reads.',
    ENOSPC: 'The disk is full.',
  };
  return known[code ?? ''] ?? `Its process could not be started: ${message}`;
}

function isDirectory(directory: string): boolean {
  try {
    return fs.statSync(directory).isDirectory();
  } catch {
    return false;
  }
}

function isExecutable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}
