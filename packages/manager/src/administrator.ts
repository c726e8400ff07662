/**
 * The first administrator: made at the first start, kept in step with ADMIN_PASSWORD and ADMIN_EMAIL afterwards.
 *
 * A password given by the environment is applied when it differs from the one applied last time, not at every start: so
 * somebody who changed it over the API keeps that until the variable changes.
 */
import type { User } from '@muster/core/manager';
import { Secret } from '@muster/runtime';
import type { Passwords } from './auth/passwords.ts';
import type { ManagerSettings } from './config.ts';
import { type Engine, systemActor } from './engine.ts';
import { givenOrKept, keep, readKept } from './secrets.ts';

export const ADMIN_NAME = 'admin';

export interface AdministratorOutcome {
  /** The password that was given or made; it signs in unless it was changed over the API. */
  readonly password: Secret;
  /** True: it was made in this very start, so somebody must be told. */
  readonly made: boolean;
}

/** Make or update the administrator. Rejects with the machine's refusal. */
export async function settleAdministrator(
  engine: Engine,
  settings: ManagerSettings,
  passwords: Passwords,
): Promise<AdministratorOutcome> {
  const { dataDirectory } = settings;
  const { secret: password, made } = givenOrKept(dataDirectory, 'admin-password', settings.adminPassword);
  const users = [...engine.machine.facts.users.values()];
  const admin = users.find((user) => user.name === ADMIN_NAME);
  if (admin === undefined) {
    const hasOther = users.some((user) => user.role === 'admin' && user.customerId === null);
    if (!hasOther) await createAdministrator(engine, settings, passwords, password);
  } else {
    await updateAdministrator(engine, settings, passwords, admin, password);
  }
  return { password, made };
}

async function createAdministrator(
  engine: Engine,
  settings: ManagerSettings,
  passwords: Passwords,
  password: Secret,
): Promise<void> {
  const passwordHash = await passwords.hash(password);
  await engine.command(systemActor, {
    kind: 'createUser',
    name: ADMIN_NAME,
    email: settings.adminEmail,
    passwordHash,
    role: 'admin',
    customerId: null,
  });
  keep(settings.dataDirectory, 'admin-password-applied', new Secret(passwordHash));
}

async function updateAdministrator(
  engine: Engine,
  settings: ManagerSettings,
  passwords: Passwords,
  admin: User,
  password: Secret,
): Promise<void> {
  const applied = readKept(settings.dataDirectory, 'admin-password-applied');
  const isNew = !(await passwords.fits(password, applied?.reveal() ?? admin.passwordHash));
  const changes = {
    ...(isNew ? { passwordHash: await passwords.hash(password) } : {}),
    ...(admin.email === settings.adminEmail ? {} : { email: settings.adminEmail }),
  };
  if (Object.keys(changes).length > 0)
    await engine.command(systemActor, { kind: 'changeUser', id: admin.id, ...changes });
  if (changes.passwordHash !== undefined)
    keep(settings.dataDirectory, 'admin-password-applied', new Secret(changes.passwordHash));
}
