/**
 * Deploying agents, and where they are.
 */
import { type Static, Type } from 'typebox';
import { agentStatuses, disconnectRules } from '../vocabulary.ts';
import {
  Amount,
  Identifier,
  JsonFacts,
  nullable,
  optional,
  Timestamp,
  WholeNumber,
  words,
} from './shapes.ts';

const Words = Type.Array(Type.String({ maxLength: 128 }), { maxItems: 200 });

export const PlacementConstraints = Type.Object(
  {
    min_memory: optional(Amount),
    min_cpu: optional(Amount),
    required_capabilities: optional(Words),
    require_capability: optional(Type.String({ maxLength: 128 })),
    preferred_capabilities: optional(Words),
    /** Agent type or deployment id to be near to (affinity_based). */
    affinity: optional(Type.String({ maxLength: 128 })),
    /** Agent type or deployment id that must not be on the same orchestrator. */
    anti_affinity: optional(Type.String({ maxLength: 128 })),
  },
  { additionalProperties: true },
);
export type PlacementConstraints = Static<typeof PlacementConstraints>;

export const DeployRequest = Type.Object({
  agent_type: Type.String({ minLength: 1, maxLength: 128 }),
  agent_config: optional(JsonFacts),
  resource_requirements: optional(JsonFacts),
  preferred_container: optional(Type.String({ minLength: 1, maxLength: 128 })),
  deployment_strategy: optional(Type.String({ maxLength: 64, default: 'least_loaded' })),
  constraints: optional(PlacementConstraints),
  name: optional(Type.String({ minLength: 1, maxLength: 128 })),
  customer_id: optional(Identifier),
  on_disconnect: optional(
    Type.Union([
      Type.String({ maxLength: 64 }),
      Type.Object({ rule: Type.String({ maxLength: 64 }), then: optional(Type.Unknown()) }),
    ]),
  ),
  replicas: optional(Type.Integer({ minimum: 1, maximum: 1000, default: 1 })),
  /** `running` (or true): answer once the orchestrators have confirmed the processes, at most 30 s. */
  wait: optional(Type.Union([Type.Literal('running'), Type.Literal('placed'), Type.Boolean()])),
});
export type DeployRequest = Static<typeof DeployRequest>;

const DeployedAgent = Type.Object({
  agent_id: Identifier,
  container_id: Identifier,
  container_name: Type.String(),
  status: words(agentStatuses),
  epoch: WholeNumber,
});

export const Deployed = Type.Object({
  success: Type.Literal(true),
  agent_id: Identifier,
  container_id: Identifier,
  container_name: Type.String(),
  status: words(agentStatuses),
  epoch: WholeNumber,
  deployment_id: Identifier,
  agents: Type.Array(DeployedAgent),
  deployment_details: Type.Object({
    agent_type: Type.String(),
    customer_id: Identifier,
    deployment_strategy: Type.String(),
    reason: Type.String(),
    resources: Type.Object({ memory_bytes: WholeNumber, cpu_cores: Amount }),
    on_disconnect: Type.Object({ rule: words(disconnectRules) }),
    warnings: Type.Array(Type.String()),
    /** Only with `wait`: whether every process was confirmed in time. */
    confirmed: nullable(Type.Boolean()),
    deployed_at: Timestamp,
  }),
});
export type Deployed = Static<typeof Deployed>;

/** `{agent_id: container_id}` */
export const Deployments = Type.Record(Type.String(), Type.String());
export type Deployments = Static<typeof Deployments>;

export const Deployment = Type.Object({
  agent_id: Identifier,
  container_id: Identifier,
  container_name: Type.String(),
  host_address: Type.String(),
  deployment_time: Timestamp,
  epoch: WholeNumber,
  phase: words(['OPEN', 'CLOSING'] as const),
  reason: Type.String(),
  status: words(agentStatuses),
});
export type Deployment = Static<typeof Deployment>;

export const MigrateRequest = Type.Object({
  agent_id: Identifier,
  target_container_id: optional(Identifier),
  reason: optional(Type.String({ maxLength: 500, default: 'manual' })),
  preserve_state: optional(Type.Boolean({ default: true })),
});
export type MigrateRequest = Static<typeof MigrateRequest>;
export const MigrateAnswer = Type.Object({
  success: Type.Literal(true),
  from_container: Identifier,
  to_container: Identifier,
  /** False: the move goes on; the stop at the source was not confirmed within the time of this request. */
  complete: Type.Boolean(),
});
export type MigrateAnswer = Static<typeof MigrateAnswer>;
