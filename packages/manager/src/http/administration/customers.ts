/** Customers: the border of everything. */
import { CustomerAnswer, CustomerRequest, MusterError } from '@muster/contract';
import type { Customer, ManagerMachine } from '@muster/core/manager';
import { Type } from 'typebox';
import { sees } from '../../auth/callers.ts';
import type { Services } from '../../services.ts';
import { isoTime } from '../../views/containers.ts';
import { type App, callerIn } from '../app.ts';
import { findCustomer } from '../lookup.ts';

const tags = ['administration'];

export function registerCustomers(app: App, { engine }: Services): void {
  const { machine } = engine;
  const list = { tags, summary: 'List customers', response: { 200: Type.Array(CustomerAnswer) } };
  app.get('/api/v1/customers', { config: { access: 'viewer' }, schema: list }, (request) => {
    const { actor } = callerIn(request);
    return [...machine.facts.customers.values()]
      .filter(({ id }) => sees(actor, id))
      .map((customer) => customerOf(machine, customer));
  });
  const create = {
    tags,
    summary: 'Add a customer',
    body: CustomerRequest,
    response: { 200: CustomerAnswer },
  };
  app.post('/api/v1/customers', { config: { access: 'admin' }, schema: create }, async (request) => {
    const { actor } = callerIn(request);
    if (actor.customerId !== null)
      throw new MusterError('forbidden', 'Adding customers is for administrators of the whole manager.');
    const { id, name } = request.body;
    await engine.command(actor, { kind: 'createCustomer', id, name: name ?? id });
    return customerOf(machine, findCustomer(machine, actor, id));
  });
}

function customerOf(machine: ManagerMachine, customer: Customer): CustomerAnswer {
  const { orchestrators, agents } = machine.facts;
  const own = (each: { customerId: string }): boolean => each.customerId === customer.id;
  return {
    id: customer.id,
    name: customer.name,
    created_at: isoTime(customer.createdAt),
    containers: [...orchestrators.values()].filter((each) => own(each) && each.deregisteredAt === null)
      .length,
    agents: [...agents.values()].filter(own).length,
  };
}
