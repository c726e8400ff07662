/**
 * From a bearer token to who is calling. Role and customer come from the user's present record, never from the token.
 */
import { MusterError, type Role, roles } from '@muster/contract';
import type { Actor, Facts, User } from '@muster/core/manager';
import type { Tokens } from './tokens.ts';

export interface Caller {
  readonly user: User;
  readonly actor: Actor;
  readonly expiresAtMs: number;
  /** The token is ours and too old; only the heartbeat route looks at such callers. */
  readonly expired: boolean;
}

/** The caller of a request. Throws a 401 `MusterError` that says how to get a token. */
export async function callerOf(
  header: string | undefined,
  tokens: Tokens,
  facts: Facts,
  nowWall: number,
): Promise<Caller> {
  if (header === undefined || header === '') throw new MusterError('unauthenticated');
  const match = /^Bearer +([A-Za-z0-9._-]+) *$/i.exec(header);
  const verdict =
    match === null ? ({ kind: 'invalid' } as const) : await tokens.verify(match[1] ?? '', nowWall);
  if (verdict.kind === 'invalid') {
    throw new MusterError(
      'unauthenticated',
      'The token is not valid. POST /api/v1/auth/login with email and password for a new one.',
    );
  }
  const user = facts.users.get(verdict.userId);
  if (user === undefined || user.tokenVersion !== verdict.version) {
    throw new MusterError(
      'unauthenticated',
      'The token was withdrawn. POST /api/v1/auth/login with email and password for a new one.',
    );
  }
  const actor: Actor = { id: `user:${user.id}`, role: user.role, customerId: user.customerId };
  return { user, actor, expiresAtMs: verdict.expiresAtMs, expired: verdict.kind === 'expired' };
}

/** Whether `role` includes what `needed` may do. `roles` is ordered from most to least. */
export const includesRole = (role: Role, needed: Role): boolean =>
  roles.indexOf(role) <= roles.indexOf(needed);

/** Whether an actor sees what belongs to `customerId`. */
export const sees = (actor: Actor, customerId: string): boolean =>
  actor.customerId === null || actor.customerId === customerId;

/** The user a name or e-mail belongs to, in any case. */
export function userNamed(facts: Facts, name: string): User | undefined {
  const wanted = name.trim().toLowerCase();
  for (const user of facts.users.values()) {
    if (user.name.toLowerCase() === wanted || user.email?.toLowerCase() === wanted) return user;
  }
  return undefined;
}
