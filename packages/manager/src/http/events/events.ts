/**
 * The event stream: Server-Sent Events of everything that changes, resumable.
 *
 * A reader that stays behind is closed rather than buffered for; it comes back with Last-Event-ID and misses nothing, or is
 * told to start anew by `reset`. The stream ends when the token does.
 */
import { EventsQuery } from '@muster/contract';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { FleetEvent, Listener } from '../../events/event-ring.ts';
import type { Services } from '../../services.ts';
import { isoTime } from '../../views/containers.ts';
import { type App, callerIn } from '../app.ts';

const EventStream = {
  description:
    'Per event `id`, `event` (its type) and `data`: JSON with `type`, `customer_id`, `timestamp` and what belongs to the type',
  content: { 'text/event-stream': { schema: Type.String() } },
};
const KEEPALIVE_MS = 15_000;
/** Bytes a reader may leave unread. */
const READER_LIMIT_BYTES = 1_048_576;

export function registerEvents(app: App, services: Services): void {
  const schema = {
    tags: ['events'],
    summary: 'Everything that changes, as Server-Sent Events',
    description:
      'Send Last-Event-ID to go on where a stream ended; the event "reset" says that this is not possible: read the state anew.',
    querystring: EventsQuery,
    headers: Type.Object({ 'last-event-id': Type.Optional(Type.String()) }),
    response: { 200: EventStream },
  };
  app.get('/api/v1/cluster/events/stream', { config: { access: 'viewer' }, schema }, (request, reply) => {
    const types = (request.query as EventsQuery).types
      ?.split(',')
      .map((type) => type.trim())
      .filter((type) => type !== '');
    stream(services, request, reply, types === undefined || types.length === 0 ? null : types);
  });
}

function stream(
  services: Services,
  request: FastifyRequest,
  reply: FastifyReply,
  types: readonly string[] | null,
): void {
  const { events, measures, engine } = services;
  const { raw } = reply;
  const caller = callerIn(request);
  const write = (text: string): void => {
    raw.write(text);
    if (raw.writableLength <= READER_LIMIT_BYTES || raw.destroyed) return;
    measures.slowListeners.add();
    raw.destroy();
  };
  const listener: Listener = {
    customerId: caller.actor.customerId,
    types,
    deliver: (event) => write(eventText(event)),
  };
  const given = request.headers['last-event-id'];
  const resumption = events.resume(typeof given === 'string' ? given : undefined, listener);
  reply.hijack();
  raw.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
    'x-request-id': request.id,
  });
  write(': the stream begins\n\n');
  if (resumption.kind === 'reset') write(`id: ${events.latestId}\nevent: reset\ndata: {}\n\n`);
  if (resumption.kind === 'resumed') for (const event of resumption.missed) write(eventText(event));
  const leave = events.listen(listener);
  const isStillAllowed = (): boolean => {
    const user = engine.machine.facts.users.get(caller.user.id);
    return user?.tokenVersion === caller.user.tokenVersion && engine.clock.now().wall < caller.expiresAtMs;
  };
  const timer = setInterval(() => {
    if (isStillAllowed()) write(`: ${isoTime(engine.clock.now().wall)}\n\n`);
    else raw.end();
  }, KEEPALIVE_MS);
  timer.unref();
  raw.on('error', () => raw.destroy());
  raw.on('close', () => {
    clearInterval(timer);
    leave();
  });
}

function eventText(event: FleetEvent): string {
  const data = {
    type: event.type,
    customer_id: event.customerId,
    timestamp: isoTime(event.at),
    ...event.data,
  };
  return `id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(data)}\n\n`;
}
