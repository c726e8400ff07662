/**
 * The agent protocol: what an agent process and its orchestrator say to each other.
 *
 * Transport: a Unix stream socket named by the environment variable `MUSTER_SOCKET`, one JSON object per line, UTF-8,
 * at most `AGENT_LINE_MAX_BYTES` per line. There is one socket per agent, so the socket is the identity; `hello` still
 * names agent and incarnation so that a stale process is told so. The agent speaks first. Logs do not travel here: an
 * agent writes lines (plain text or JSON objects with `level` and `msg`) to stdout or stderr, which survive the daemon.
 *
 * An agent must keep working while the socket is gone (the daemon may be restarting) and connect again with back-off.
 */
import { type Static, Type } from 'typebox';

export const AGENT_PROTOCOL_VERSION = 1;
export const AGENT_LINE_MAX_BYTES = 1_048_576;
/** Largest value of one state key, as JSON text. */
export const AGENT_STATE_VALUE_MAX_BYTES = 262_144;
/** Largest portable state of one agent (all keys and files of its state directory, uncompressed). */
export const AGENT_PORTABLE_STATE_MAX_BYTES = 1_048_576;

/** Environment an agent process is given, besides an allow-list (PATH, HOME, LANG, TZ, MUSTER_MARKET_DATA, NODE_EXTRA_CA_CERTS) and NODE_COMPILE_CACHE. */
export const agentEnvironment = {
  socket: 'MUSTER_SOCKET',
  agentId: 'MUSTER_AGENT_ID',
  /** `epoch.sub`: placement epoch and local incarnation. */
  epoch: 'MUSTER_EPOCH',
  /** Directory of the agent's own durable files; part of its portable state. */
  stateDir: 'MUSTER_STATE_DIR',
} as const;

/** Life-cycle states an agent reports about itself (trading.md §3.1). */
export const AgentLifecycle = Type.Union([
  Type.Literal('initializing'),
  Type.Literal('reconciling'),
  Type.Literal('warming_up'),
  Type.Literal('running'),
  Type.Literal('paused'),
  Type.Literal('degraded'),
  Type.Literal('halted'),
  Type.Literal('stopping'),
  Type.Literal('failed'),
]);
export type AgentLifecycle =
  | 'initializing'
  | 'reconciling'
  | 'warming_up'
  | 'running'
  | 'paused'
  | 'degraded'
  | 'halted'
  | 'stopping'
  | 'failed';

const strict = { additionalProperties: false } as const;
const Id = Type.String({ minLength: 1, maxLength: 128 });

/** Agent → orchestrator. */
export const AgentFrame = Type.Union([
  Type.Object(
    {
      t: Type.Literal('hello'),
      v: Type.Integer({ minimum: 1 }),
      agent: Id,
      epoch: Type.String({ pattern: '^[0-9]+\\.[0-9]+$' }),
      sdk: Type.String({ maxLength: 100 }),
      pid: Type.Integer({ minimum: 1 }),
    },
    strict,
  ),
  /** The agent is able to do its work; before it the agent is `starting`. */
  Type.Object({ t: Type.Literal('ready') }, strict),
  Type.Object(
    {
      t: Type.Literal('health'),
      state: AgentLifecycle,
      ok: Type.Boolean(),
      /** One sentence for a person. */
      detail: Type.Optional(Type.String({ maxLength: 500 })),
    },
    strict,
  ),
  Type.Object(
    {
      t: Type.Literal('metrics'),
      values: Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }), Type.Number()),
    },
    strict,
  ),
  Type.Object(
    {
      t: Type.Literal('state.put'),
      id: Id,
      key: Type.String({ minLength: 1, maxLength: 200 }),
      value: Type.Unknown(),
    },
    strict,
  ),
  Type.Object(
    { t: Type.Literal('state.get'), id: Id, key: Type.String({ minLength: 1, maxLength: 200 }) },
    strict,
  ),
  Type.Object(
    { t: Type.Literal('state.delete'), id: Id, key: Type.String({ minLength: 1, maxLength: 200 }) },
    strict,
  ),
  /** Answer to a `command`. */
  Type.Object(
    {
      t: Type.Literal('answer'),
      id: Id,
      ok: Type.Boolean(),
      value: Type.Optional(Type.Unknown()),
      error: Type.Optional(Type.Object({ code: Type.String(), message: Type.String() }, strict)),
    },
    strict,
  ),
  Type.Object({ t: Type.Literal('pong'), id: Id }, strict),
]);
export type AgentFrame = Static<typeof AgentFrame>;

/** Orchestrator → agent. */
export const OrchestratorToAgentFrame = Type.Union([
  Type.Object(
    {
      t: Type.Literal('welcome'),
      v: Type.Integer({ minimum: 1 }),
      agentType: Type.String(),
      /** Deployment the agent belongs to; part of what client order ids hash. Absent: the agent id stands for it. */
      deployment: Type.Optional(Id),
      /** The agent's configuration with the type's defaults already applied. */
      config: Type.Record(Type.String(), Type.Unknown()),
      fence: Type.Object(
        {
          epoch: Type.Integer(),
          sub: Type.Integer(),
          /** Reserved for leases: boot-clock milliseconds (`os.uptime()*1000`) until which the agent may act; null = no lease. */
          deadlineUptimeMs: Type.Union([Type.Number(), Type.Null()]),
        },
        strict,
      ),
      /** How often the agent should send `health` and `metrics`. */
      reportIntervalMs: Type.Integer({ minimum: 100 }),
    },
    strict,
  ),
  /** This process is not the current incarnation (or speaks another version): it must end itself at once. */
  Type.Object({ t: Type.Literal('refused'), code: Type.String(), message: Type.String() }, strict),
  Type.Object(
    {
      t: Type.Literal('command'),
      id: Id,
      verb: Type.String({ maxLength: 64 }),
      args: Type.Record(Type.String(), Type.Unknown()),
    },
    strict,
  ),
  /** Answer to a `state.*` request; a put is answered only once it is durable. `value` is null when the key is absent. */
  Type.Object(
    {
      t: Type.Literal('result'),
      id: Id,
      ok: Type.Boolean(),
      value: Type.Optional(Type.Unknown()),
      error: Type.Optional(Type.Object({ code: Type.String(), message: Type.String() }, strict)),
    },
    strict,
  ),
  /** Finish in order; SIGTERM carries the same meaning and SIGKILL follows after `graceMs`. */
  Type.Object(
    { t: Type.Literal('stop'), graceMs: Type.Integer({ minimum: 0 }), reason: Type.String() },
    strict,
  ),
  Type.Object({ t: Type.Literal('ping'), id: Id }, strict),
]);
export type OrchestratorToAgentFrame = Static<typeof OrchestratorToAgentFrame>;
