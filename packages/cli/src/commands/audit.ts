/**
 * `muster audit verify`: whether the journal in a data directory still holds what was acknowledged, without any process.
 *
 * Reads only, needs no sign-in and no running manager: whoever holds a copy of the directory may check it. A damaged journal
 * ends with the exit code for damage, so that backup scripts can rely on it.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type JournalVerdict, verifySqliteJournal } from '@muster/runtime';
import { type OutputOptions, Printer } from '../client/context.ts';
import { errorCode } from '../client/credentials.ts';
import { exitCode } from '../exit-codes.ts';
import { CommandFailure, usageFailure } from '../failure.ts';
import type { Services } from '../services.ts';

export interface AuditOptions extends OutputOptions {
  readonly data?: string;
}

/** @throws CommandFailure: damaged, no journal there, not readable. */
export function auditVerify(services: Services, options: AuditOptions): void {
  const print = new Printer(services, options);
  const path = journalOf(options.data ?? (services.environment['DATA_DIR'] || undefined));
  const verdict = verified(path);
  if (!verdict.ok) throw damaged(path, verdict.seq, verdict.reason);
  const { count, head } = verdict;
  if (print.isJson) return print.json({ ok: true, journal: path, records: count, head: head.hash });
  print.line(
    `${print.paint('green', '✔')} ${path} is intact: ${count} records, each bound to the one before.`,
  );
  print.line(`  head  ${head.hash}`);
}

function journalOf(data: string | undefined): string {
  if (data === undefined) {
    throw usageFailure(
      'Which data directory is meant?',
      'Name it with --data DIR or DATA_DIR, for example --data .muster/manager',
    );
  }
  const path = resolve(data, 'journal.db');
  if (existsSync(path)) return path;
  const inside = ['manager', 'orchestrator', 'orchestrator-1'].map((each) => join(data, each));
  const near = inside.find((each) => existsSync(join(each, 'journal.db')));
  throw new CommandFailure({
    what: existsSync(data) ? `There is no journal in ${data}` : `There is no directory ${data}`,
    next:
      near === undefined
        ? 'Name the data directory of a manager or an orchestrator with --data DIR.'
        : `Name one process's own directory, for example --data ${near}`,
    code: exitCode.notFound,
  });
}

function verified(path: string): JournalVerdict {
  try {
    return verifySqliteJournal(path);
  } catch (error) {
    const code = errorCode(error);
    const text = error instanceof Error ? error.message : String(error);
    throw new CommandFailure(
      {
        what: `${path} cannot be read: ${text}`,
        next: 'Run this as the user that the process runs as, or on a copy of the whole directory.',
        code: code === 'EACCES' || code === 'EPERM' ? exitCode.notAllowed : exitCode.unavailable,
      },
      error,
    );
  }
}

/** `seq` is the first record that is wrong; 0: the file as a whole. */
function damaged(path: string, seq: number, reason: string): CommandFailure {
  return new CommandFailure({
    what:
      seq === 0
        ? `${path} is damaged as a whole: ${reason}`
        : `${path} is damaged: record ${seq}: ${reason}; ${before(seq)}`,
    next: 'Restore the last backup of the directory; nothing was changed here.',
    code: exitCode.damaged,
    document: { ok: false, journal: path, intact_records: Math.max(0, seq - 1), record: seq, reason },
  });
}

function before(seq: number): string {
  if (seq === 1) return 'it is the first';
  return seq === 2 ? 'the record before it is intact' : `records 1 to ${seq - 1} are intact`;
}
