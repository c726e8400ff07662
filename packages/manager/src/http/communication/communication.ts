/** Messages between containers. */
import { Hub, HubMessage, MessageAnswer, MessageQuery, MessagesQuery, MusterError } from '@muster/contract';
import type { Actor, Orchestrator } from '@muster/core/manager';
import { Type } from 'typebox';
import type { Services } from '../../services.ts';
import { isActive, orchestratorsFor } from '../../views/containers.ts';
import { type App, callerIn } from '../app.ts';
import { findOrchestrator } from '../lookup.ts';

const tags = ['communication'];
const Payload = Type.Record(Type.String(), Type.Unknown());

export function hubReportFor({ engine, hub }: Services, actor: Actor): Hub {
  const orchestrators = orchestratorsFor(engine.machine, actor);
  const active = orchestrators.filter((each) => isActive(engine.machine, each)).length;
  return hub.report(actor.customerId, orchestrators, active, engine.clock.now().wall);
}

export function registerCommunication(app: App, services: Services): void {
  const { engine, hub } = services;
  const stats = { tags, summary: 'What the hub has done', response: { 200: Hub } };
  app.get('/api/v1/cluster/communication/stats', { config: { access: 'viewer' }, schema: stats }, (request) =>
    hubReportFor(services, callerIn(request).actor),
  );
  const post = {
    tags,
    summary: "Send a message; without a target to the source's whole customer",
    querystring: MessageQuery,
    body: Payload,
    response: { 200: MessageAnswer },
  };
  app.post(
    '/api/v1/cluster/communication/message',
    { config: { access: 'operator' }, schema: post },
    (request) => {
      const { actor } = callerIn(request);
      const { source_container, target_container, message_type } = request.query;
      const source = partyOf(services, actor, source_container);
      const target = target_container === undefined ? null : partyOf(services, actor, target_container);
      const message = { source, target, type: message_type, payload: request.body };
      return { message_id: hub.post(message, engine.clock.now().wall) };
    },
  );
  const list = {
    tags,
    summary: 'Latest messages for a container',
    querystring: MessagesQuery,
    response: { 200: Type.Array(HubMessage) },
  };
  app.get(
    '/api/v1/cluster/communication/messages',
    { config: { access: 'viewer' }, schema: list },
    (request) => {
      const { container_id, limit = 100 } = request.query;
      return hub.messagesFor(findOrchestrator(engine.machine, callerIn(request).actor, container_id), limit);
    },
  );
}

function partyOf({ engine, hub }: Services, actor: Actor, id: string): Orchestrator {
  try {
    return findOrchestrator(engine.machine, actor, id);
  } catch (error) {
    if (error instanceof MusterError) hub.refused(actor.customerId ?? '');
    throw error;
  }
}
