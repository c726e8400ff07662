/**
 * Answers on a bare socket: to what never becomes a request of the application, because it is no HTTP, or is an upgrade that
 * is refused. They look like every other failure: a problem document with an X-Request-ID.
 */
import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { type ErrorCode, MusterError, PROBLEM_MEDIA_TYPE, problemOf } from '@muster/contract';

export interface RawAnswer {
  /** HTTP status, when it differs from the code's own. */
  readonly status?: number;
  readonly detail?: string;
}

/** Answer and close. */
export function answerOnSocket(socket: Duplex, code: ErrorCode, { status, detail }: RawAnswer = {}): void {
  const failure = new MusterError(code, detail);
  const answered = status ?? failure.status;
  const id = randomUUID();
  const body = JSON.stringify({ ...problemOf(failure, id), status: answered });
  const head = [
    `HTTP/1.1 ${answered} ${STATUS_CODES[answered] ?? ''}`,
    `Content-Type: ${PROBLEM_MEDIA_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-ID: ${id}`,
    ...(answered === 503 ? ['Retry-After: 5'] : []),
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}

const brokenRequests: Readonly<Record<string, RawAnswer>> = {
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, detail: 'The request did not arrive in time. Send it again.' },
  HPE_HEADER_OVERFLOW: {
    status: 431,
    detail: 'The path and headers together are too long. Send less than 16 KiB.',
  },
};

/** What is not even HTTP. */
export function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  answerOnSocket(
    socket,
    'bad-request',
    brokenRequests[error.code ?? ''] ?? { detail: 'This is not a complete HTTP request.' },
  );
}
