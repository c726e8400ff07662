/**
 * The kind of Fastify application this package's routes are written for, and what a route says about who may call it.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { Role } from '@muster/contract';
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest, RawServerDefault } from 'fastify';
import type { Caller } from '../auth/callers.ts';

export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse<IncomingMessage>,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** `public`: anyone. A role: that role or more. `beating`: an operator, whose token may have expired (see the heartbeat). */
export type Access = 'public' | 'beating' | Role;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Every route must say it; the start fails otherwise. */
    access?: Access;
  }
  interface FastifyRequest {
    caller: Caller | null;
  }
}

/** The caller of a route that is not public. */
export function callerIn(request: Pick<FastifyRequest, 'caller'>): Caller {
  if (request.caller === null) throw new Error('A route asked for its caller and is public');
  return request.caller;
}
