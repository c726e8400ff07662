/**
 * Log lines of an agent: one JSON object per line on stdout.
 *
 * Logs do not travel over the agent socket: stdout is a file or pipe owned by the keeper, so lines survive a restart of
 * the daemon. Writes are synchronous on the descriptor, which keeps the order of lines and loses none at exit; a reader
 * that went away (EPIPE) silences the log and never ends the agent.
 */
import { writeSync } from 'node:fs';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface AgentLog {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** Where finished lines go, newline included. */
export type WriteLine = (line: string) => void;

/** Writes to stdout by descriptor. EAGAIN (a full non-blocking pipe) is retried a bounded number of times, then the line is dropped. */
export function stdoutWriter(): WriteLine {
  let silenced = false;
  return (line) => {
    if (silenced) return;
    let rest: Buffer = Buffer.from(line, 'utf8');
    for (let attempt = 0; attempt < 100 && rest.length > 0; attempt += 1) {
      try {
        rest = rest.subarray(writeSync(1, rest));
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        if (code === 'EAGAIN' || code === 'EINTR') continue;
        silenced = true;
        return;
      }
    }
  };
}

/** A log that stamps every line with level and wall-clock time (ISO-8601, UTC). Fields never override `level`, `time` and `msg`. */
export function createLog(write: WriteLine): AgentLog {
  const emit =
    (level: LogLevel) =>
    (message: string, fields?: Readonly<Record<string, unknown>>): void => {
      let line: string;
      try {
        line = JSON.stringify({ ...fields, level, time: new Date().toISOString(), msg: message });
      } catch {
        line = JSON.stringify({ level, time: new Date().toISOString(), msg: message, unserialisable: true });
      }
      write(`${line}\n`);
    };
  return { debug: emit('debug'), info: emit('info'), warn: emit('warn'), error: emit('error') };
}
