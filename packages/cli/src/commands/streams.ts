/**
 * Commands that go on until they are interrupted: `logs [-f]`, `events [-f]`.
 *
 * Ctrl-C ends them with success: the person has seen enough. `events` connects again when the stream breaks and goes on
 * where it was; when that is no longer possible a line says so.
 */
import type { LogsAnswer } from '@muster/contract';
import type { ClientContext } from '../client/context.ts';
import { findAgent } from '../client/find.ts';
import { exitCode } from '../exit-codes.ts';
import { CommandFailure, isRecord, plainText } from '../failure.ts';
import type { Paint } from '../terminal/paint.ts';
import { printable } from '../terminal/text.ts';
import { EventReader, type StreamEvent } from './event-reader.ts';
import { logLine } from './log-lines.ts';

export interface LogsOptions {
  readonly follow?: true;
  readonly tail?: number;
  readonly stream?: 'all' | 'stdout' | 'stderr';
}

export async function logs(context: ClientContext, wanted: string, options: LogsOptions): Promise<void> {
  const { api, print } = context;
  const agent = await findAgent(api, wanted);
  const path = `/api/v1/cluster/agents/${encodeURIComponent(agent.agent_id)}/logs`;
  const query = { tail: options.tail ?? 100, stream: options.stream };
  if (options.follow !== true) {
    const answer = await api.get<LogsAnswer>(path, query);
    if (print.isJson) return print.json(answer.lines);
    for (const line of answer.lines) print.line(logLine(line, print.paint));
    return;
  }
  const signal = untilInterrupted();
  for await (const text of api.lines(path, { ...query, follow: true }, signal)) {
    if (text === '') continue;
    const line = lineOf(text);
    if (isRecord(line) && line['end'] === true) throw streamEnded(plainText(line['error']));
    print.line(print.isJson ? text : logLine(line, print.paint));
  }
  if (!signal.aborted) throw streamEnded('The manager has closed the stream.');
}

function streamEnded(reason: string): CommandFailure {
  return new CommandFailure({
    what: 'The stream of lines has ended',
    why: [reason],
    code: exitCode.unreachable,
  });
}

function lineOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

export interface EventsOptions {
  readonly follow?: true;
  readonly types?: string;
  /** How many of the events before now are looked at. */
  readonly tail: number;
}

export async function events(context: ClientContext, { follow, types, tail }: EventsOptions): Promise<void> {
  const { print } = context;
  const signal = untilInterrupted();
  const query = types === undefined ? {} : { types };
  let lastId = await idBefore(context, tail, signal);
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    try {
      for await (const event of readEvents(context, query, lastId, follow === true, signal)) {
        if (event.id !== '') lastId = event.id;
        attempt = 0;
        print.line(print.isJson ? JSON.stringify(event) : eventLine(event, print.paint));
      }
      if (follow !== true) return;
    } catch (error) {
      const lost = error instanceof CommandFailure && error.code === exitCode.unreachable;
      if (!lost || follow !== true) throw error;
    }
    if (signal.aborted) return;
    if (attempt === 0) print.remark('The stream was interrupted; connecting again …');
    await pause(Math.min(10_000, 500 * 2 ** attempt), signal);
  }
}

/** Events the manager is sure to hold. */
const heldByManager = 10_000;

/** The id `tail` events before the latest: an id that the manager cannot know makes it tell the latest one. */
async function idBefore({ api }: ClientContext, tail: number, signal: AbortSignal): Promise<string> {
  const found = new AbortController();
  const reader = new EventReader();
  const headers = { accept: 'text/event-stream', 'last-event-id': 'latest' };
  const stop = AbortSignal.any([signal, found.signal]);
  for await (const line of api.lines('/api/v1/cluster/events/stream', {}, stop, headers)) {
    const event = reader.accept(line);
    if (event === undefined) continue;
    found.abort();
    const match = /^(\d+)-(\d+)$/.exec(event.id);
    if (match === null) return event.id;
    return `${match[1]}-${Math.max(0, Number(match[2]) - Math.min(tail, heldByManager))}`;
  }
  return '';
}

/** Waits for events; without `follow` only as long as they come at once. */
async function* readEvents(
  { api }: ClientContext,
  query: Readonly<Record<string, string>>,
  lastId: string,
  follow: boolean,
  signal: AbortSignal,
): AsyncGenerator<StreamEvent> {
  const quiet = new AbortController();
  const stop = AbortSignal.any([signal, quiet.signal]);
  const headers = { accept: 'text/event-stream', ...(lastId === '' ? {} : { 'last-event-id': lastId }) };
  const reader = new EventReader();
  const armed = (): NodeJS.Timeout | undefined =>
    follow ? undefined : setTimeout(() => quiet.abort(), quietAfterMs);
  let timer = armed();
  try {
    for await (const line of api.lines('/api/v1/cluster/events/stream', query, stop, headers)) {
      clearTimeout(timer);
      timer = armed();
      const event = reader.accept(line);
      if (event !== undefined) yield event;
    }
  } finally {
    clearTimeout(timer);
  }
}

/** How long the stream must be silent to count as read to its present end, ms. */
const quietAfterMs = 700;

export function eventLine({ type, data }: StreamEvent, paint: Paint): string {
  if (type === 'reset') return paint('yellow', '── earlier events are no longer available ──');
  const { timestamp, type: _type, ...facts } = isRecord(data) ? data : { data };
  const pairs = Object.entries(facts)
    .filter(([, value]) => value !== undefined && value !== null && value !== '')
    .map(
      ([key, value]) =>
        `${printable(key)}=${printable(typeof value === 'string' ? value : JSON.stringify(value))}`,
    );
  const when = typeof timestamp === 'string' ? `${paint('dim', printable(timestamp))} ` : '';
  return `${when}${paint('cyan', printable(type))} ${pairs.join(' ')}`.trimEnd();
}

/** Aborts at the first SIGINT or SIGTERM; a second one ends the process in the usual way. */
function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => controller.abort());
  return controller.signal;
}

function pause(lengthMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, lengthMs);
    signal.addEventListener('abort', done);
  });
}
