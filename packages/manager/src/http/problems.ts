/**
 * Failures of requests as problem documents. Nothing internal leaves: what is not a `MusterError` or one of the framework's own
 * refusals is logged whole and answered as "unexpected error".
 */
import {
  type ErrorCode,
  type FieldError,
  MusterError,
  PROBLEM_MEDIA_TYPE,
  problemOf,
} from '@muster/contract';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Services } from '../services.ts';
import { fieldErrors } from './validation.ts';

interface FrameworkError extends Error {
  readonly code?: string;
  readonly statusCode?: number;
  readonly validation?: readonly unknown[];
  readonly validationContext?: string;
}

const frameworkCodes: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body-too-large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported-media-type',
  FST_ERR_CTP_EMPTY_TYPE: 'unsupported-media-type',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'bad-json',
  FST_ERR_CTP_INVALID_JSON_BODY: 'bad-json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'bad-request',
  FST_ERR_BAD_URL: 'bad-request',
};

/** What a thrown value means to the caller. */
function musterErrorOf(error: FrameworkError): MusterError {
  if (error instanceof MusterError) return error;
  if (error.validation !== undefined)
    return validationError(fieldErrors(error.validation, error.validationContext ?? 'body'));
  const code = frameworkCodes[error.code ?? ''];
  if (code !== undefined) return new MusterError(code, undefined, { cause: error });
  const status = error.statusCode ?? 500;
  if (status === 413) return new MusterError('body-too-large', undefined, { cause: error });
  if (status === 415) return new MusterError('unsupported-media-type', undefined, { cause: error });
  if (status >= 400 && status < 500) return new MusterError('bad-request', undefined, { cause: error });
  return new MusterError('internal', undefined, { cause: error });
}

function validationError(errors: readonly FieldError[]): MusterError {
  const list = errors.map(({ path, message }) => `${path || 'the body'} ${message}`);
  return new MusterError('validation', `The request is not valid: ${list.slice(0, 3).join('; ')}.`, {
    errors,
  });
}

/** The application's error handler. */
export function answerError(
  services: Services,
  error: FrameworkError,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const failure = musterErrorOf(error);
  if (failure.status >= 500 && failure.code === 'internal') {
    services.log.error(
      { err: error, fields: { requestId: request.id, route: request.routeOptions.url } },
      'http.unexpected-error',
    );
  }
  return sendProblem(reply, failure, request.id);
}

export function sendProblem(reply: FastifyReply, failure: MusterError, requestId: string): FastifyReply {
  if (failure.status === 401) void reply.header('www-authenticate', 'Bearer');
  const retryAfter = failure.extra?.['retry_after'];
  if (typeof retryAfter === 'number')
    void reply.header('retry-after', String(Math.max(1, Math.ceil(retryAfter))));
  else if (failure.status === 503) void reply.header('retry-after', '5');
  return reply
    .code(failure.status)
    .type(PROBLEM_MEDIA_TYPE)
    .send(JSON.stringify(problemOf(failure, requestId)));
}

/** 429 with the wait in seconds. */
export function tooMany(waitMs: number): MusterError {
  const seconds = Math.max(1, Math.ceil(waitMs / 1000));
  return new MusterError(
    'too-many-requests',
    `Too many attempts failed. Wait ${seconds} s, then try again.`,
    {
      extra: { retry_after: seconds },
    },
  );
}
