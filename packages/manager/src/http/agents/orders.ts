/** The latest orders and how they ended. */
import { Order, OrdersQuery } from '@muster/contract';
import { Type } from 'typebox';
import { sees } from '../../auth/callers.ts';
import type { Services } from '../../services.ts';
import { orderOf } from '../../views/agents.ts';
import { type App, callerIn } from '../app.ts';

export function registerOrders(app: App, { engine }: Services): void {
  const { facts } = engine.machine;
  const schema = {
    tags: ['agents'],
    summary: 'Orders, latest first',
    querystring: OrdersQuery,
    response: { 200: Type.Array(Order) },
  };
  app.get('/api/v1/cluster/orders', { config: { access: 'viewer' }, schema }, (request) => {
    const { actor } = callerIn(request);
    const { agent_id, container_id, limit = 100 } = request.query;
    const found: Order[] = [];
    for (const order of [...facts.orders.values()].toReversed()) {
      const customerId = facts.orchestrators.get(order.orchestratorId)?.customerId;
      if (customerId === undefined || !sees(actor, customerId)) continue;
      if (agent_id !== undefined && order.agentId !== agent_id) continue;
      if (container_id !== undefined && order.orchestratorId !== container_id) continue;
      found.push(orderOf(order));
      if (found.length >= limit) break;
    }
    return found;
  });
}
