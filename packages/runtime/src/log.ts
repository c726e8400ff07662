/**
 * The log of a process: pino with a synchronous destination, so that the last line before an exit is never lost.
 *
 * JSON lines by default; one readable line per event when a person is watching (a terminal, or `LOG_FORMAT=text`). Path
 * redaction covers only what third parties hand us (HTTP headers); our own secrets are `Secret` and cannot be printed. Text
 * that came from elsewhere is escaped in the readable format, so nothing can forge a line or drive the terminal.
 */
import type { Note } from '@muster/core';
import { destination, type Logger, pino, stdSerializers, stdTimeFunctions } from 'pino';
import { type Environment, readChoice, readVariable, VariableInvalid } from './environment.ts';

export type { Logger } from 'pino';

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof levels)[number];
export type LogFormat = 'json' | 'text';

/** Names from other places that mean one of ours. */
const aliases: Readonly<Record<string, LogLevel>> = {
  notset: 'trace',
  verbose: 'debug',
  information: 'info',
  notice: 'info',
  warning: 'warn',
  err: 'error',
  critical: 'fatal',
  off: 'silent',
  none: 'silent',
};

const headerNames = ['authorization', 'cookie', 'set-cookie', 'proxy-authorization', 'x-api-key'];
const redactedPaths = [
  'headers',
  'req.headers',
  'res.headers',
  'request.headers',
  'response.headers',
].flatMap((path) => headerNames.map((header) => `${path}["${header}"]`));

/** `LOG_LEVEL` in any case, Python's names included; `info` when not set. Throws `VariableInvalid`. */
export function readLogLevel(environment: Environment): LogLevel {
  const text = (readVariable(environment, 'LOG_LEVEL') ?? 'info').trim().toLowerCase();
  const level = levels.find((each) => each === text) ?? aliases[text];
  if (level === undefined) throw new VariableInvalid('LOG_LEVEL', `must be one of ${levels.join(', ')}.`);
  return level;
}

/** `LOG_FORMAT` when set, else text for a terminal and JSON for everything else. Throws `VariableInvalid`. */
export function readLogFormat(environment: Environment, isTerminal: boolean): LogFormat {
  return readChoice(environment, 'LOG_FORMAT', ['json', 'text']) ?? (isTerminal ? 'text' : 'json');
}

export interface LogOptions {
  /** The program or part that speaks, for example `manager`. */
  readonly name: string;
  readonly level?: LogLevel;
  readonly format?: LogFormat;
  /** Where finished lines go; standard output when not given. Must write at once. */
  readonly write?: (line: string) => void;
}

/** A logger. Child loggers (`logger.child`) inherit everything. */
export function createLog({ name, level = 'info', format = 'json', write }: LogOptions): Logger {
  const sink = write ?? standardOutput();
  return pino(
    {
      level,
      base: { name },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: stdSerializers.err, error: stdSerializers.err },
      redact: { paths: redactedPaths, censor: '[secret]' },
    },
    { write: format === 'json' ? sink : (line: string) => sink(readableLine(line)) },
  );
}

/** Writes a machine's note: the event name as message, its fields beside it. */
export function noteToLog(logger: Logger, note: Note): void {
  logger[note.level]({ fields: note.fields }, note.event);
}

/** One JSON line of the log as a line for people. What is not JSON comes back escaped. */
export function readableLine(line: string): string {
  let entry: Readonly<Record<string, unknown>>;
  try {
    entry = JSON.parse(line) as Readonly<Record<string, unknown>>;
  } catch {
    return `${printable(line.trimEnd())}\n`;
  }
  const { time, level, name, msg, fields, err, error, ...rest } = entry;
  const members = { ...rest, ...(typeof fields === 'object' ? fields : {}) };
  const pairs = Object.entries(members).map(([key, value]) => ` ${printable(key)}=${readableValue(value)}`);
  const head = `${String(time)} ${String(level).toUpperCase().padEnd(5)} ${printable(String(name))}: ${printable(typeof msg === 'string' ? msg : '')}`;
  return `${head}${pairs.join('')}${readableError(err ?? error)}\n`;
}

function readableValue(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[^\s"=]+$/.test(text)
    ? printable(text)
    : printable(typeof value === 'string' ? JSON.stringify(text) : text);
}

function readableError(value: unknown): string {
  if (typeof value !== 'object' || value === null) return '';
  const { stack, message } = value as { stack?: unknown; message?: unknown };
  const lines = String(stack ?? message).split('\n');
  return lines.map((line) => `\n    ${printable(line.trim())}`).join('');
}

/** Control characters, line separators and direction marks as `\u…` escapes. */
function printable(text: string): string {
  return text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function standardOutput(): (line: string) => void {
  const stream = destination({ fd: 1, sync: true });
  // A closed pipe (`… | head`) must not end a daemon.
  stream.on('error', () => {});
  return (line) => {
    stream.write(line);
  };
}
