/**
 * Signing in: a name and a password for a bearer token. The form variant is the OAuth 2 password grant.
 */
import { type Static, Type } from 'typebox';
import { roles } from '../vocabulary.ts';
import { Identifier, nullable, optional, Timestamp, words } from './shapes.ts';

const Name = Type.String({ minLength: 1, maxLength: 254 });
const Password = Type.String({ minLength: 1, maxLength: 1024 });

/** `email` or `username`, one of them. */
export const LoginRequest = Type.Object({
  email: optional(Name),
  username: optional(Name),
  password: Password,
});
export type LoginRequest = Static<typeof LoginRequest>;

export const TokenForm = Type.Object({
  /** May be left out or empty. */
  grant_type: optional(words(['password', ''] as const)),
  username: Name,
  password: Password,
  scope: optional(Type.String({ maxLength: 1024 })),
  client_id: optional(Type.String({ maxLength: 256 })),
  client_secret: optional(Type.String({ maxLength: 1024 })),
});
export type TokenForm = Static<typeof TokenForm>;

export const TokenAnswer = Type.Object({
  access_token: Type.String(),
  token_type: Type.Literal('bearer'),
  expires_in: Type.Integer({ description: 'Seconds' }),
});
export type TokenAnswer = Static<typeof TokenAnswer>;

/** GET /api/v1/auth/me */
export const WhoAmI = Type.Object({
  user_id: Identifier,
  name: Type.String(),
  email: nullable(Type.String()),
  role: words(roles),
  customer_id: nullable(Identifier),
  expires_at: Timestamp,
});
export type WhoAmI = Static<typeof WhoAmI>;
