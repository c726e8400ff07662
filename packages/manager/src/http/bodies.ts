/**
 * Bodies of requests: JSON in UTF-8, strictly, and what becomes of those that are too large.
 *
 * Bytes that are no UTF-8 are refused rather than replaced: two names that differ would become one. What parses but cannot
 * be carried on (see `json-bounds.ts`) is refused here too.
 */
import type { IncomingMessage } from 'node:http';
import { MusterError } from '@muster/contract';
import { jsonHazard } from '../json-bounds.ts';
import type { App } from './app.ts';

/** Of a body that is too large, at most this much is read and dropped before the answer, bytes and ms. */
const DROP_LIMIT_BYTES = 64 * 1_048_576;
const DROP_LIMIT_MS = 5_000;

/** JSON is the only content type of the application, unless a route adds one. */
export function addJsonParser(app: App): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    /^application\/(?:[\w.-]+\+)?json(?:;|$)/,
    { parseAs: 'buffer' },
    (_request, bytes, done) => {
      try {
        done(null, parseJson(bytes as Buffer));
      } catch (error) {
        done(error as Error, undefined);
      }
    },
  );
}

/** The value of a JSON text; undefined for no text at all. Throws `bad-json`. */
export function parseJson(bytes: Uint8Array): unknown {
  // Some clients always send the content type: no body then means no body.
  if (bytes.length === 0) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(textOf(bytes));
  } catch (error) {
    if (error instanceof MusterError) throw error;
    throw new MusterError('bad-json', 'The body is not valid JSON.');
  }
  const hazard = jsonHazard(value);
  if (hazard !== null) throw new MusterError('bad-json', hazard);
  return value;
}

/** Throws `bad-json` when `bytes` are not UTF-8. */
export function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new MusterError('bad-json', 'The body is not valid UTF-8.');
  }
}

/**
 * Read and drop the rest of a body that is too large. Many clients read the answer only after they have sent everything; a
 * connection that is closed before shows them a broken pipe instead of the reason. Never rejects; bounded in bytes and time.
 */
export function dropBody(request: IncomingMessage): Promise<void> {
  if (request.readableEnded || request.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    let dropped = 0;
    const finish = (): void => {
      clearTimeout(timer);
      request.off('data', count);
      resolve();
    };
    const count = (chunk: Uint8Array): void => {
      dropped += chunk.length;
      if (dropped > DROP_LIMIT_BYTES) finish();
    };
    const timer = setTimeout(finish, DROP_LIMIT_MS);
    request.on('data', count);
    for (const event of ['end', 'error', 'close'] as const) request.once(event, finish);
    request.resume();
  });
}
