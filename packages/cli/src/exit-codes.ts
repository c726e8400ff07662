/**
 * The exit codes of `muster`, one table for every command (shown by `muster --help`).
 *
 * Scripts rely on them: a code is never reused for another meaning. 69, 70 and 78 are those of sysexits(3).
 */
export const exitCode = {
  ok: 0,
  failure: 1,
  usage: 2,
  notAllowed: 3,
  notFound: 4,
  refused: 5,
  unreachable: 6,
  damaged: 65,
  unavailable: 69,
  internal: 70,
  configuration: 78,
  interrupted: 130,
} as const;
export type ExitCode = (typeof exitCode)[keyof typeof exitCode];

/** What each code means, in the order of the table. */
export const exitCodeMeanings: readonly (readonly [ExitCode, string])[] = [
  [exitCode.ok, 'done'],
  [exitCode.failure, 'failed'],
  [exitCode.usage, 'wrong usage or an invalid request'],
  [exitCode.notAllowed, 'not signed in, or not allowed'],
  [exitCode.notFound, 'not found'],
  [exitCode.refused, 'refused in the present state (a conflict)'],
  [exitCode.unreachable, 'the other side cannot be reached or is not ready'],
  [exitCode.damaged, 'stored data is damaged'],
  [exitCode.unavailable, 'a port, a directory or a program that is needed is not available'],
  [exitCode.internal, 'an error inside muster'],
  [exitCode.configuration, 'a setting is wrong'],
  [exitCode.interrupted, 'interrupted at a question'],
];

/** The exit code for an HTTP status that is no success. */
export function exitCodeOfStatus(status: number): ExitCode {
  if (status === 401 || status === 403) return exitCode.notAllowed;
  if (status === 404) return exitCode.notFound;
  if (status === 409) return exitCode.refused;
  if (status === 502 || status === 503 || status === 504) return exitCode.unreachable;
  if (status >= 500 || status === 429) return exitCode.failure;
  return exitCode.usage;
}
