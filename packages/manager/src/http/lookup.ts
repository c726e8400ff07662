/**
 * Finding what a request names. What belongs to another customer is not found, exactly as what does not exist.
 */
import { MusterError } from '@muster/contract';
import type { Actor, Agent, Customer, ManagerMachine, Orchestrator, User } from '@muster/core/manager';
import { Type } from 'typebox';
import { sees } from '../auth/callers.ts';

/** Parameters of routes with one id. */
export const IdParams = Type.Object({ id: Type.String({ minLength: 1 }) });

export function findOrchestrator(machine: ManagerMachine, actor: Actor, id: string): Orchestrator {
  const orchestrator = machine.facts.orchestrators.get(id);
  if (
    orchestrator === undefined ||
    orchestrator.deregisteredAt !== null ||
    !sees(actor, orchestrator.customerId)
  ) {
    throw new MusterError('not-found', `Container ${JSON.stringify(id)} does not exist.`);
  }
  return orchestrator;
}

export function findAgent(machine: ManagerMachine, actor: Actor, id: string): Agent {
  const agent = machine.facts.agents.get(id);
  if (agent === undefined || !sees(actor, agent.customerId)) {
    throw new MusterError('not-found', `Agent ${JSON.stringify(id)} does not exist.`);
  }
  return agent;
}

export function findCustomer(machine: ManagerMachine, actor: Actor, id: string): Customer {
  const customer = machine.facts.customers.get(id);
  if (customer === undefined || !sees(actor, id)) {
    throw new MusterError('not-found', `Customer ${JSON.stringify(id)} does not exist.`);
  }
  return customer;
}

/** A user is visible to administrators of its customer; those who see all customers only to their like. */
export function findUser(machine: ManagerMachine, actor: Actor, id: string): User {
  const user = machine.facts.users.get(id);
  if (user === undefined || (actor.customerId !== null && user.customerId !== actor.customerId)) {
    throw new MusterError('not-found', `User ${JSON.stringify(id)} does not exist.`);
  }
  return user;
}
