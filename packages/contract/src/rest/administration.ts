/**
 * Join tokens, customers and users (ours).
 */
import { type Static, Type } from 'typebox';
import { roles } from '../vocabulary.ts';
import { Identifier, nullable, optional, Timestamp, words } from './shapes.ts';

const Name = Type.String({ minLength: 1, maxLength: 128 });
const Password = Type.String({ minLength: 12, maxLength: 1024 });

export const JoinTokenRequest = Type.Object({
  customer_id: optional(Identifier),
  /** Binds the token to one orchestrator name (its AGENT_ID or CONTAINER_NAME). */
  name: optional(Name),
  /** Validity in seconds. */
  expires_in: optional(Type.Integer({ minimum: 60, maximum: 2_592_000, default: 86_400 })),
});
export type JoinTokenRequest = Static<typeof JoinTokenRequest>;

const joinTokenMembers = {
  id: Identifier,
  customer_id: Identifier,
  name: nullable(Type.String()),
  status: words(['usable', 'used', 'expired', 'revoked'] as const),
  created_at: Timestamp,
  created_by: Type.String(),
  expires_at: Timestamp,
  used_at: nullable(Timestamp),
  used_by: nullable(Identifier),
  revoked_at: nullable(Timestamp),
};
export const JoinTokenAnswer = Type.Object(joinTokenMembers);
export type JoinTokenAnswer = Static<typeof JoinTokenAnswer>;
/** The only time the token itself is shown. */
export const JoinTokenCreated = Type.Object({
  ...joinTokenMembers,
  token: Type.String(),
  command: Type.String(),
});
export type JoinTokenCreated = Static<typeof JoinTokenCreated>;

export const CustomerRequest = Type.Object({
  id: Type.String({ minLength: 1, maxLength: 63 }),
  name: optional(Name),
});
export type CustomerRequest = Static<typeof CustomerRequest>;
export const CustomerChange = Type.Object({
  name: Type.Optional(Name),
  /** Addresses and CIDR ranges the customer's machines and users may come from; null lifts the limit. */
  allowed_ips: Type.Optional(
    nullable(Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { maxItems: 200 })),
  ),
});
export type CustomerChange = Static<typeof CustomerChange>;
export const CustomerAnswer = Type.Object({
  id: Identifier,
  name: Type.String(),
  allowed_ips: nullable(Type.Array(Type.String())),
  created_at: Timestamp,
  containers: Type.Integer(),
  agents: Type.Integer(),
});
export type CustomerAnswer = Static<typeof CustomerAnswer>;

export const UserRequest = Type.Object({
  name: Type.String({ minLength: 1, maxLength: 128, pattern: '^\\S(?:.*\\S)?$' }),
  email: optional(Type.String({ minLength: 3, maxLength: 254, pattern: '^[^@\\s]+@[^@\\s]+$' })),
  password: Password,
  role: words(roles),
  customer_id: optional(Identifier),
});
export type UserRequest = Static<typeof UserRequest>;
export const UserChange = Type.Object({
  password: Type.Optional(Password),
  /** Needed to change one's own password. */
  current_password: optional(Type.String({ maxLength: 1024 })),
  role: Type.Optional(words(roles)),
  email: optional(Type.String({ minLength: 3, maxLength: 254, pattern: '^[^@\\s]+@[^@\\s]+$' })),
});
export type UserChange = Static<typeof UserChange>;
export const UserAnswer = Type.Object({
  id: Identifier,
  name: Type.String(),
  email: nullable(Type.String()),
  role: words(roles),
  customer_id: nullable(Identifier),
  created_at: Timestamp,
});
export type UserAnswer = Static<typeof UserAnswer>;
