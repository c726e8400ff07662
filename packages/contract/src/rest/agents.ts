/**
 * Agents: looking at them and controlling them (ours, beside the fixed routes).
 */
import { type Static, Type } from 'typebox';
import { agentStatuses, disconnectRules, receiptOutcomes } from '../vocabulary.ts';
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

const agentMembers = {
  agent_id: Identifier,
  name: Type.String(),
  agent_type: Type.String(),
  type_version: Type.String(),
  customer_id: Identifier,
  deployment_id: Identifier,
  desired: words(['running', 'stopped', 'removed'] as const),
  status: words(agentStatuses),
  /** Why it is as it is; empty when there is nothing to say. */
  detail: Type.String(),
  /** False: the last word is old because the orchestrator is out of reach. */
  fresh: Type.Boolean(),
  container_id: nullable(Identifier),
  container_name: nullable(Type.String()),
  epoch: WholeNumber,
  /** Process id on its machine; null when none runs. */
  pid: nullable(Type.Integer()),
  since: nullable(Timestamp),
  crashes: WholeNumber,
  created_at: Timestamp,
  /** Latest numbers the agent published (beats carry them). */
  metrics: Type.Record(Type.String(), Type.Number()),
};

export const Agent = Type.Object(agentMembers);
export type Agent = Static<typeof Agent>;

export const AgentDetail = Type.Object({
  ...agentMembers,
  config: JsonFacts,
  resources: Type.Object({ memory_bytes: WholeNumber, cpu_cores: Amount }),
  on_disconnect: Type.Object({ rule: words(disconnectRules) }),
  deployment_strategy: Type.String(),
  constraints: JsonFacts,
  pinned_to: nullable(Identifier),
  created_by: Type.String(),
  placement: nullable(
    Type.Object({
      container_id: Identifier,
      epoch: WholeNumber,
      placed_at: Timestamp,
      reason: Type.String(),
      phase: words(['OPEN', 'CLOSING'] as const),
      closing: nullable(
        Type.Object({ why: Type.String(), then: Type.String(), to: nullable(Identifier), at: Timestamp }),
      ),
      restarts: WholeNumber,
    }),
  ),
  stored_state: nullable(Type.Object({ digest: Type.String(), bytes: WholeNumber })),
});
export type AgentDetail = Static<typeof AgentDetail>;

export const AgentsQuery = Type.Object({
  customer_id: Type.Optional(Type.String({ maxLength: 128 })),
  container_id: Type.Optional(Type.String({ maxLength: 128 })),
  agent_type: Type.Optional(Type.String({ maxLength: 128 })),
  status: Type.Optional(words(agentStatuses)),
  deployment_id: Type.Optional(Type.String({ maxLength: 128 })),
});
export type AgentsQuery = Static<typeof AgentsQuery>;

/** Stop, start, delete: `wait=true` answers when the orchestrator has confirmed, at most 30 s. */
export const WaitQuery = Type.Object({ wait: Type.Optional(Type.Boolean({ default: false })) });
export type WaitQuery = Static<typeof WaitQuery>;

export const AgentActionAnswer = Type.Object({
  success: Type.Literal(true),
  agent_id: Identifier,
  status: Type.String({
    description: 'What the agent is or becomes: stopping, stopped, starting, running, removing, removed',
  }),
  /** Whether its orchestrator is connected; if not, the order waits for it. */
  connected: Type.Boolean(),
  /** True when the outcome is confirmed by the orchestrator. */
  confirmed: Type.Boolean(),
  container_id: nullable(Identifier),
  epoch: WholeNumber,
});
export type AgentActionAnswer = Static<typeof AgentActionAnswer>;

export const LogsQuery = Type.Object({
  tail: Type.Optional(Type.Integer({ minimum: 0, maximum: 5000, default: 100 })),
  follow: Type.Optional(Type.Boolean({ default: false })),
  stream: Type.Optional(words(['all', 'stdout', 'stderr'] as const)),
});
export type LogsQuery = Static<typeof LogsQuery>;
/** Without `follow`; with it the answer is newline-delimited JSON, one line object each. */
export const LogsAnswer = Type.Object({ agent_id: Identifier, lines: Type.Array(Type.Unknown()) });
export type LogsAnswer = Static<typeof LogsAnswer>;

export const AgentMetrics = Type.Object({
  agent_id: Identifier,
  timestamp: Timestamp,
  fresh: Type.Boolean(),
  metrics: Type.Record(Type.String(), Type.Number()),
});
export type AgentMetrics = Static<typeof AgentMetrics>;

export const AgentState = Type.Object({ agent_id: Identifier, state: Type.Unknown() });
export type AgentState = Static<typeof AgentState>;

export const CommandRequest = Type.Object({
  verb: Type.String({ minLength: 1, maxLength: 64 }),
  args: optional(JsonFacts),
  /** How long to wait for the agent's answer, ms. */
  timeout_ms: optional(Type.Integer({ minimum: 100, maximum: 30_000, default: 10_000 })),
});
export type CommandRequest = Static<typeof CommandRequest>;
export const CommandAnswer = Type.Object({
  success: Type.Literal(true),
  agent_id: Identifier,
  verb: Type.String(),
  result: Type.Unknown(),
});
export type CommandAnswer = Static<typeof CommandAnswer>;

export const AgentType = Type.Object({
  agent_type: Type.String(),
  version: Type.String(),
  title: Type.String(),
  description: Type.String(),
  trading: Type.Boolean(),
  config_schema: JsonFacts,
  defaults: JsonFacts,
  resources: Type.Object({ memory_bytes: WholeNumber, cpu_cores: Amount }),
  verbs: Type.Array(Type.String()),
});
export type AgentType = Static<typeof AgentType>;

export const OrdersQuery = Type.Object({
  agent_id: Type.Optional(Type.String({ maxLength: 128 })),
  container_id: Type.Optional(Type.String({ maxLength: 128 })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
});
export type OrdersQuery = Static<typeof OrdersQuery>;
/** Latest first. */
export const Order = Type.Object({
  order_id: Identifier,
  agent_id: Identifier,
  container_id: Identifier,
  epoch: WholeNumber,
  what: words(['run', 'restart', 'close', 'remove'] as const),
  by: Type.String(),
  at: Timestamp,
  outcome: nullable(words(receiptOutcomes)),
  detail: ShortText,
  concluded_at: nullable(Timestamp),
});
export type Order = Static<typeof Order>;
