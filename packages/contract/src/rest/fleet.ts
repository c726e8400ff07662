/**
 * The fleet as a whole: overview, actions, the message hub, discovery, the event stream.
 */
import { type Static, Type } from 'typebox';
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

export const Discovery = Type.Object({
  is_running: Type.Boolean(),
  discovery_running: Type.Boolean(),
  known_containers: WholeNumber,
  last_scan_time: nullable(Timestamp),
  /** Seconds between two scans. */
  discovery_interval: Amount,
  scan_in_progress: Type.Boolean(),
  /** Containers that answered the last scan. */
  reachable_containers: WholeNumber,
});
export type Discovery = Static<typeof Discovery>;

export const Hub = Type.Object({
  active_containers: WholeNumber,
  message_stats: Type.Object({
    /** Deliveries to listeners of the event stream. */
    sent: WholeNumber,
    /** Messages handed in. */
    received: WholeNumber,
    /** Messages put on a topic. */
    routed: WholeNumber,
    /** Messages whose source or target does not exist. */
    failed: WholeNumber,
    /** Messages pushed out of a full topic by newer ones. */
    dropped: WholeNumber,
  }),
  subscriptions: Type.Record(Type.String(), Type.Array(Type.String())),
  encryption_enabled: Type.Boolean(),
  /** From being handed in to having been given to every listener; null before the first message. */
  latency_ms: Type.Object({ p50: nullable(Amount), p99: nullable(Amount) }),
  timestamp: Timestamp,
});
export type Hub = Static<typeof Hub>;

export const MessageQuery = Type.Object({
  source_container: Identifier,
  target_container: Type.Optional(Identifier),
  message_type: words(['command', 'query', 'event'] as const),
});
export type MessageQuery = Static<typeof MessageQuery>;
export const MessageAnswer = Type.Object({ message_id: Identifier });
export type MessageAnswer = Static<typeof MessageAnswer>;

/** Ours: GET /api/v1/cluster/communication/messages */
export const MessagesQuery = Type.Object({
  container_id: Identifier,
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
});
export type MessagesQuery = Static<typeof MessagesQuery>;
export const HubMessage = Type.Object({
  message_id: Identifier,
  topic: Type.String(),
  source_container: Identifier,
  target_container: nullable(Identifier),
  message_type: words(['command', 'query', 'event'] as const),
  payload: Type.Unknown(),
  timestamp: Timestamp,
});
export type HubMessage = Static<typeof HubMessage>;

export const Overview = Type.Object({
  status: words(['operational', 'degraded'] as const),
  timestamp: Timestamp,
  cluster: Type.Object({
    total_containers: WholeNumber,
    registered_containers: WholeNumber,
    active_containers: WholeNumber,
    inactive_containers: WholeNumber,
    total_cpu_cores: Amount,
    total_memory_bytes: Amount,
    capability_distribution: Type.Record(Type.String(), WholeNumber),
    cluster_health: Amount,
    timestamp: Timestamp,
  }),
  discovery: Discovery,
  communication: Hub,
  deployments: Type.Object({
    total_agents: WholeNumber,
    agent_distribution: Type.Record(Type.String(), WholeNumber),
    /** Agents by status word. */
    agent_statuses: Type.Record(Type.String(), WholeNumber),
  }),
});
export type Overview = Static<typeof Overview>;

export const fleetActions = ['rebalance', 'health_check', 'optimize'] as const;
export const ActionRequest = Type.Object({ action: words(fleetActions), params: optional(JsonFacts) });
export type ActionRequest = Static<typeof ActionRequest>;

export const RebalanceAnswer = Type.Object({
  rebalanced: Type.Boolean(),
  migrations: Type.Array(Type.Object({ agent_id: Identifier, from: Identifier, to: Identifier })),
  migrations_performed: WholeNumber,
  final_distribution: Type.Record(Type.String(), WholeNumber),
});
export type RebalanceAnswer = Static<typeof RebalanceAnswer>;
export const HealthCheckAnswer = Type.Object({
  action: Type.Literal('health_check'),
  status: Type.Object({ healthy: WholeNumber, unhealthy: WholeNumber, total: WholeNumber }),
  timestamp: Timestamp,
  containers: Type.Record(
    Type.String(),
    Type.Object({ healthy: Type.Boolean(), latency_ms: nullable(Amount), reason: Type.String() }),
  ),
});
export type HealthCheckAnswer = Static<typeof HealthCheckAnswer>;
/** Looks, judges and suggests; changes nothing. */
export const OptimizeAnswer = Type.Object({
  action: Type.Literal('optimize'),
  timestamp: Timestamp,
  suggestions: Type.Array(
    Type.Object({
      kind: words(['move', 'place', 'capacity', 'drain', 'repair'] as const),
      container_id: nullable(Identifier),
      agent_id: nullable(Identifier),
      suggestion: Type.String(),
    }),
  ),
});
export type OptimizeAnswer = Static<typeof OptimizeAnswer>;
export const ActionAnswer = Type.Union([RebalanceAnswer, HealthCheckAnswer, OptimizeAnswer]);
export type ActionAnswer = Static<typeof ActionAnswer>;

export const EventsQuery = Type.Object({
  /** Comma-separated event types; `agent.*` names a family. */
  types: Type.Optional(Type.String({ maxLength: 1000 })),
});
export type EventsQuery = Static<typeof EventsQuery>;
