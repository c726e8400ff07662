/** Customers: the border of everything. */
import { CustomerAnswer, CustomerChange, CustomerRequest, MusterError } from '@muster/contract';
import type { Customer, ManagerMachine } from '@muster/core/manager';
import { Type } from 'typebox';
import { sees } from '../../auth/callers.ts';
import { addressListOf } from '../../config.ts';
import type { Services } from '../../services.ts';
import { isoTime } from '../../views/containers.ts';
import { type App, callerIn } from '../app.ts';
import { findCustomer, IdParams } from '../lookup.ts';

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
  const change = {
    tags,
    summary: 'Change the name of a customer, or where its machines and users may come from',
    params: IdParams,
    body: CustomerChange,
    response: { 200: CustomerAnswer },
  };
  app.patch('/api/v1/customers/:id', { config: { access: 'admin' }, schema: change }, async (request) => {
    const { actor } = callerIn(request);
    const customer = findCustomer(machine, actor, request.params.id);
    if (actor.customerId !== null)
      throw new MusterError('forbidden', 'Changing customers is for administrators of the whole manager.');
    const { name, allowed_ips: allowedIps } = request.body;
    if (allowedIps != null) checkAddresses(allowedIps);
    await engine.command(actor, {
      kind: 'changeCustomer',
      id: customer.id,
      ...(name === undefined ? {} : { name }),
      ...(allowedIps === undefined ? {} : { allowedIps }),
    });
    return customerOf(machine, findCustomer(machine, actor, customer.id));
  });
}

function checkAddresses(entries: readonly string[]): void {
  entries.forEach((entry, index) => {
    try {
      addressListOf('allowed_ips', [entry]);
    } catch {
      const message = 'must be an address or a CIDR range, such as 10.0.0.0/8';
      const errors = [{ path: `/allowed_ips/${index}`, message }];
      throw new MusterError('validation', `${JSON.stringify(entry)} ${message}.`, { errors });
    }
  });
}

function customerOf(machine: ManagerMachine, customer: Customer): CustomerAnswer {
  const { orchestrators, agents } = machine.facts;
  const own = (each: { customerId: string }): boolean => each.customerId === customer.id;
  return {
    id: customer.id,
    name: customer.name,
    allowed_ips: customer.allowedIps === null ? null : [...customer.allowedIps],
    created_at: isoTime(customer.createdAt),
    containers: [...orchestrators.values()].filter((each) => own(each) && each.deregisteredAt === null)
      .length,
    agents: [...agents.values()].filter(own).length,
  };
}
