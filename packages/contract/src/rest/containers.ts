/**
 * Containers: this API's word for registered orchestrators.
 */
import { type Static, Type } from 'typebox';
import { connectionWords, linkKinds, orchestratorStatuses, syncWords } from '../vocabulary.ts';
import {
  Amount,
  Identifier,
  JsonFacts,
  nullable,
  optional,
  ShortText,
  Timestamp,
  WholeNumber,
  words,
} from './shapes.ts';

const containerMembers = {
  container_id: Identifier,
  id: Identifier,
  container_name: Type.String(),
  name: Type.String(),
  host_address: Type.String(),
  api_port: Type.Integer(),
  api_endpoint: nullable(Type.String()),
  capabilities: Type.Array(Type.String()),
  resources: JsonFacts,
  metadata: JsonFacts,
  status: words(orchestratorStatuses),
  health_score: Type.Number({ minimum: 0, maximum: 100 }),
  active_agents: WholeNumber,
  max_agents: WholeNumber,
  registered_at: Timestamp,
  last_heartbeat: nullable(Timestamp),
  customer_id: Identifier,
  link: words(linkKinds),
  /** Placements it should hold, closing ones included. */
  placed_agents: WholeNumber,
  connection: words(connectionWords),
  sync: words(syncWords),
  draining: Type.Boolean(),
  software: nullable(Type.String()),
};

export const Container = Type.Object(containerMembers);
export type Container = Static<typeof Container>;
export const ContainerDetail = Type.Object({
  ...containerMembers,
  deployed_agents: Type.Array(Identifier),
  /** SHA-256 of the identity's public key, hex; null for direct programs. */
  key_fingerprint: nullable(Type.String()),
});
export type ContainerDetail = Static<typeof ContainerDetail>;

export const ContainersQuery = Type.Object({
  include_inactive: Type.Optional(Type.Boolean({ default: false })),
});
export type ContainersQuery = Static<typeof ContainersQuery>;

export const RegisterRequest = Type.Object({
  container_name: Type.String({ minLength: 1, maxLength: 128 }),
  host_address: Type.String({ minLength: 1, maxLength: 255 }),
  api_port: optional(Type.Integer({ minimum: 0, maximum: 65535, default: 8001 })),
  api_endpoint: optional(Type.String({ maxLength: 1000 })),
  capabilities: optional(Type.Array(Type.String({ maxLength: 128 }), { maxItems: 200 })),
  resources: optional(JsonFacts),
  metadata: optional(JsonFacts),
});
export type RegisterRequest = Static<typeof RegisterRequest>;
export const RegisterAnswer = Type.Object({
  success: Type.Literal(true),
  container_id: Identifier,
  message: Type.String(),
});
export type RegisterAnswer = Static<typeof RegisterAnswer>;

export const HeartbeatRequest = Type.Object({
  container_id: Identifier,
  health_score: Type.Number({ minimum: 0, maximum: 100 }),
  resources: optional(JsonFacts),
  active_agents: optional(Type.Integer({ minimum: 0, maximum: 1_000_000 })),
  agent_count: optional(Type.Integer({ minimum: 0, maximum: 1_000_000 })),
  metadata: optional(JsonFacts),
});
export type HeartbeatRequest = Static<typeof HeartbeatRequest>;
export const HeartbeatAnswer = Type.Object({ status: Type.Literal('acknowledged') });
export type HeartbeatAnswer = Static<typeof HeartbeatAnswer>;

export const RemoveContainerQuery = Type.Object({ force: Type.Optional(Type.Boolean({ default: false })) });
export type RemoveContainerQuery = Static<typeof RemoveContainerQuery>;
export const DoneAnswer = Type.Object({ success: Type.Literal(true), message: Type.String() });
export type DoneAnswer = Static<typeof DoneAnswer>;

/** Ours: POST /api/v1/cluster/containers/{id}/drain */
export const DrainRequest = Type.Object({
  draining: optional(Type.Boolean({ default: true })),
  reason: optional(ShortText),
});
export type DrainRequest = Static<typeof DrainRequest>;
export const DrainAnswer = Type.Object({
  success: Type.Literal(true),
  container_id: Identifier,
  draining: Type.Boolean(),
});
export type DrainAnswer = Static<typeof DrainAnswer>;

export const DiscoveredQuery = Type.Object({
  container_type: Type.Optional(Type.String({ maxLength: 128 })),
  capability: Type.Optional(Type.String({ maxLength: 128 })),
  healthy_only: Type.Optional(Type.Boolean({ default: true })),
});
export type DiscoveredQuery = Static<typeof DiscoveredQuery>;

export const DistributionEntry = Type.Object({
  container_name: Type.String(),
  agent_count: WholeNumber,
  agents: Type.Array(Identifier),
  health_score: Amount,
  resources: JsonFacts,
});
export const Distribution = Type.Object({
  total_containers: WholeNumber,
  total_agents: WholeNumber,
  timestamp: Timestamp,
  distribution: Type.Record(Type.String(), DistributionEntry),
});
export type Distribution = Static<typeof Distribution>;
