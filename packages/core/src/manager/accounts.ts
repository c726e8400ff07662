/**
 * Customers and users. Password hashes are made and checked by the shell; here they are opaque text.
 */
import { type Desk, done, refuse } from './desk.ts';
import type { Actor, CommandOf, CommandResult } from './inputs.ts';

const CUSTOMER_ID = /^[a-z0-9][a-z0-9_-]{0,62}$/;

export function createCustomer(
  desk: Desk,
  actor: Actor,
  command: CommandOf<'createCustomer'>,
): CommandResult {
  if (!CUSTOMER_ID.test(command.id)) {
    const message = 'must be 1 to 63 of a-z, 0-9, _ and -, beginning with a letter or digit';
    return refuse('validation', `Customer id ${JSON.stringify(command.id)} ${message}.`, {
      errors: [{ path: '/id', message }],
    });
  }
  if (desk.facts.customers.has(command.id))
    return refuse('name-taken', `Customer ${command.id} exists already.`);
  desk.commit('customerCreated', { id: command.id, name: command.name, by: actor.id });
  desk.publish('customer.created', command.id, { customer_id: command.id, name: command.name });
  return done({ id: command.id });
}

export function changeCustomer(
  desk: Desk,
  actor: Actor,
  command: CommandOf<'changeCustomer'>,
): CommandResult {
  const { kind: _kind, ...changes } = command;
  if (!desk.facts.customers.has(command.id))
    return refuse('not-found', `Customer ${JSON.stringify(command.id)} does not exist.`);
  desk.commit('customerChanged', { ...changes, by: actor.id });
  desk.publish('customer.changed', command.id, { customer_id: command.id });
  return done({ id: command.id });
}

/** Names and e-mails share one space, in any case: either signs in. */
function nameIsTaken(desk: Desk, name: string, exceptId?: string): boolean {
  const wanted = name.toLowerCase();
  for (const { id, name: own, email } of desk.facts.users.values()) {
    if (id !== exceptId && (own.toLowerCase() === wanted || email?.toLowerCase() === wanted)) return true;
  }
  return false;
}

export function createUser(desk: Desk, actor: Actor, command: CommandOf<'createUser'>): CommandResult {
  const { kind: _kind, ...user } = command;
  if (user.customerId !== null && !desk.facts.customers.has(user.customerId)) {
    return refuse('not-found', `Customer ${JSON.stringify(user.customerId)} does not exist.`);
  }
  if (nameIsTaken(desk, user.name) || (user.email !== null && nameIsTaken(desk, user.email))) {
    return refuse('name-taken', 'A user with this name or e-mail exists already.');
  }
  const id = desk.random.id('usr');
  desk.commit('userCreated', { id, ...user, by: actor.id });
  return done({ id });
}

export function changeUser(desk: Desk, actor: Actor, command: CommandOf<'changeUser'>): CommandResult {
  const { kind: _kind, ...changes } = command;
  if (!desk.facts.users.has(command.id)) return refuse('not-found', 'No such user.');
  if (command.email != null && nameIsTaken(desk, command.email, command.id)) {
    return refuse('name-taken', 'A user with this name or e-mail exists already.');
  }
  desk.commit('userChanged', { ...changes, by: actor.id });
  return done({ id: command.id });
}

export function removeUser(desk: Desk, actor: Actor, command: CommandOf<'removeUser'>): CommandResult {
  const user = desk.facts.users.get(command.id);
  if (user === undefined) return refuse('not-found', 'No such user.');
  const admins = [...desk.facts.users.values()].filter(
    (other) => other.role === 'admin' && other.customerId === null,
  );
  if (admins.length === 1 && admins[0]?.id === user.id)
    return refuse('conflict', 'The last administrator cannot be removed.');
  desk.commit('userRemoved', { id: user.id, by: actor.id });
  return done({ id: user.id });
}
