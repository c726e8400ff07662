/**
 * Users. An administrator of one customer manages that customer's users only. Anyone may change the own password, by giving the
 * present one; any change ends the sessions of the changed user.
 */
import { DoneAnswer, MusterError, UserAnswer, UserChange, UserRequest } from '@muster/contract';
import type { ManagerCommand, User } from '@muster/core/manager';
import { Secret } from '@muster/runtime';
import { Type } from 'typebox';
import type { Caller } from '../../auth/callers.ts';
import { includesRole } from '../../auth/callers.ts';
import type { Services } from '../../services.ts';
import { isoTime } from '../../views/containers.ts';
import { type App, callerIn } from '../app.ts';
import { findCustomer, findUser, IdParams } from '../lookup.ts';
import { tooMany } from '../problems.ts';

const tags = ['administration'];
const PATH = '/api/v1/users';
type UserChangeCommand = Extract<ManagerCommand, { kind: 'changeUser' }>;

export function registerUsers(app: App, services: Services): void {
  const { engine, passwords } = services;
  const { machine } = engine;
  app.get(
    PATH,
    {
      config: { access: 'admin' },
      schema: { tags, summary: 'List users', response: { 200: Type.Array(UserAnswer) } },
    },
    (request) => {
      const { actor } = callerIn(request);
      return [...machine.facts.users.values()]
        .filter((user) => actor.customerId === null || user.customerId === actor.customerId)
        .map(userOf);
    },
  );
  const create = { tags, summary: 'Add a user', body: UserRequest, response: { 200: UserAnswer } };
  app.post(PATH, { config: { access: 'admin' }, schema: create }, async (request) => {
    const { actor } = callerIn(request);
    const { name, email, password, role, customer_id } = request.body;
    const customerId = customer_id ?? actor.customerId;
    if (customerId !== null) findCustomer(machine, actor, customerId);
    const passwordHash = await passwords.hash(new Secret(password));
    const value = await engine.command(actor, {
      kind: 'createUser',
      name,
      email: email ?? null,
      passwordHash,
      role,
      customerId,
    });
    return userOf(findUser(machine, actor, String(value['id'])));
  });
  const change = {
    tags,
    summary: 'Change a user, or the own password',
    params: IdParams,
    body: UserChange,
    response: { 200: UserAnswer },
  };
  app.patch(`${PATH}/:id`, { config: { access: 'viewer' }, schema: change }, async (request) => {
    const caller = callerIn(request);
    const user = await changeable(services, caller, request.params.id, request.body, request.ip);
    const { password, role, email } = request.body;
    const command: UserChangeCommand = {
      kind: 'changeUser',
      id: user.id,
      ...(password === undefined ? {} : { passwordHash: await passwords.hash(new Secret(password)) }),
      ...(role === undefined ? {} : { role }),
      ...(email === undefined ? {} : { email }),
    };
    await engine.command(caller.actor, command);
    return userOf(machine.facts.users.get(user.id) ?? user);
  });
  const remove = { tags, summary: 'Remove a user', params: IdParams, response: { 200: DoneAnswer } };
  app.delete(`${PATH}/:id`, { config: { access: 'admin' }, schema: remove }, async (request) => {
    const { actor } = callerIn(request);
    const user = findUser(machine, actor, request.params.id);
    await engine.command(actor, { kind: 'removeUser', id: user.id });
    return { success: true as const, message: `User ${user.name} is removed.` };
  });
}

/** The user to change, once it is clear that the caller may change it so. */
async function changeable(
  services: Services,
  caller: Caller,
  id: string,
  body: UserChange,
  address: string,
): Promise<User> {
  const { machine, clock } = services.engine;
  const isAdmin = includesRole(caller.user.role, 'admin');
  if (id !== caller.user.id) {
    if (!isAdmin) throw new MusterError('forbidden', 'Changing other users needs the role admin.');
    const user = findUser(machine, caller.actor, id);
    keepAnAdministrator(services, user, body);
    return user;
  }
  if (!isAdmin && (body.role !== undefined || body.email !== undefined)) {
    throw new MusterError('forbidden', 'Of yourself you can change the password only.');
  }
  if (body.password !== undefined) {
    const { mono } = clock.now();
    const waitMs = services.signInLimiter.begin(caller.user.name, address, mono);
    if (waitMs > 0) throw tooMany(waitMs);
    let fits = false;
    try {
      fits = await services.passwords.fits(new Secret(body.current_password ?? ''), caller.user.passwordHash);
    } finally {
      services.signInLimiter.end(caller.user.name, address, mono, fits);
    }
    if (!fits) {
      throw new MusterError(
        'forbidden',
        'To change your own password, send the present one as current_password.',
      );
    }
  }
  keepAnAdministrator(services, caller.user, body);
  return caller.user;
}

function keepAnAdministrator({ engine }: Services, user: User, body: UserChange): void {
  if (body.role === undefined || body.role === 'admin' || user.role !== 'admin' || user.customerId !== null)
    return;
  const admins = [...engine.machine.facts.users.values()].filter(
    (each) => each.role === 'admin' && each.customerId === null,
  );
  if (admins.length === 1) throw new MusterError('conflict', 'The last administrator keeps the role.');
}

function userOf(user: User): UserAnswer {
  return {
    id: user.id,
    name: user.name,
    email: user.email,
    role: user.role,
    customer_id: user.customerId,
    created_at: isoTime(user.createdAt),
  };
}
