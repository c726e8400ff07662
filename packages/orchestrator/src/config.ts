/**
 * Settings of the orchestrator daemon, read once from the environment (every variable also as `NAME_FILE`).
 *
 * A value that cannot be used stops the start with one sentence that names the variable; a value that has no effect is
 * listed in `remarks`, one log line each. Secrets stay `Secret` and are never repeated in an error.
 */
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import {
  type Environment,
  type JoinToken,
  type LogLevel,
  parseJoinToken,
  readBoolean,
  readChoice,
  readDurationMs,
  readInteger,
  readLogLevel,
  readSecret,
  readVariable,
  type Secret,
  VariableInvalid,
} from '@muster/runtime';

export interface OrchestratorConfig {
  readonly dataDir: string;
  /** `AGENT_ID` as given; null: made from the host's name at first start and kept in the data directory. */
  readonly agentId: string | null;
  /** The contract's `agent_type` of the daemon itself; shown, decides nothing. */
  readonly agentType: string;
  /** Port of the local API; 0: any free one. */
  readonly apiPort: number;
  readonly bind: string;
  /** Base URL of the manager; null: none configured. */
  readonly managerUrl: URL | null;
  readonly joinToken: JoinToken | null;
  readonly adminPassword: Secret | null;
  /** Display name; null: the agent id. */
  readonly containerName: string | null;
  /** Address shown for this machine. */
  readonly hostAddress: string;
  /** As given, text or number; null: none. */
  readonly orchestratorNumber: string | number | null;
  readonly capabilities: readonly string[];
  readonly maxAgents: number;
  /** False: neither joins nor connects. */
  readonly autoRegister: boolean;
  /** Upper bound of the beat period, ms. */
  readonly heartbeatIntervalMs: number;
  readonly loopbackRewrite: 'auto' | 'off';
  readonly logLevel: LogLevel;
  /** What was accepted without effect, or deserves a word: one log line each. */
  readonly remarks: readonly string[];
}

export const DEFAULT_MAX_AGENTS = 10;
const HEARTBEAT_INTERVAL_DEFAULT_MS = 30_000;
const idPattern = /^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$/;

/** @throws VariableInvalid naming the variable. */
export function readConfig(environment: Environment): OrchestratorConfig {
  const remarks: string[] = [];
  const agentConfig = readAgentConfig(environment);
  const agentId = readVariable(environment, 'AGENT_ID')?.trim() ?? null;
  if (agentId !== null && !idPattern.test(agentId)) {
    throw new VariableInvalid(
      'AGENT_ID',
      'must be 1 to 128 letters, digits and . _ : @ -, beginning with a letter or digit.',
    );
  }
  if (readVariable(environment, 'REDIS_URL') !== undefined) {
    remarks.push('REDIS_URL is set: an orchestrator needs no Redis, the variable has no effect here.');
  }
  const joinToken = readJoinToken(environment);
  const adminPassword = readSecret(environment, 'ADMIN_PASSWORD') ?? null;
  if (joinToken !== null && adminPassword !== null) {
    remarks.push('JOIN_TOKEN and ADMIN_PASSWORD are both set: the join token is used, the password is not.');
  }
  const managerUrl = readManagerUrl(environment);
  const autoRegister = readBoolean(environment, 'AUTO_REGISTER') ?? true;
  if (!autoRegister)
    remarks.push('AUTO_REGISTER is false: this orchestrator neither joins nor connects to a manager.');
  else if (managerUrl === null)
    remarks.push('CENTRAL_MANAGER_URL is not set: this orchestrator works without a manager.');
  return {
    dataDir: resolve(readVariable(environment, 'DATA_DIR') ?? '.muster/orchestrator'),
    agentId,
    agentType: readVariable(environment, 'AGENT_TYPE')?.trim().slice(0, 128) ?? 'orchestrator',
    apiPort: readInteger(environment, 'AGENT_PORT', 0, 65_535) ?? 8001,
    bind: readVariable(environment, 'BIND')?.trim() ?? '127.0.0.1',
    managerUrl,
    joinToken,
    adminPassword,
    containerName: readVariable(environment, 'CONTAINER_NAME')?.trim().slice(0, 128) ?? null,
    hostAddress: readVariable(environment, 'EXTERNAL_IP')?.trim().slice(0, 255) ?? hostname(),
    orchestratorNumber: orchestratorNumberOf(environment, agentConfig),
    capabilities: agentConfig.capabilities,
    maxAgents: agentConfig.maxAgents,
    autoRegister,
    heartbeatIntervalMs: readDurationMs(environment, 'HEARTBEAT_INTERVAL') || HEARTBEAT_INTERVAL_DEFAULT_MS,
    loopbackRewrite: readChoice(environment, 'LOOPBACK_REWRITE', ['auto', 'off']) ?? 'auto',
    logLevel: readLogLevel(environment),
    remarks,
  };
}

function readManagerUrl(environment: Environment): URL | null {
  const text = readVariable(environment, 'CENTRAL_MANAGER_URL')?.trim();
  if (text === undefined) return null;
  const sentence =
    'must be an address such as https://manager.example.com or http://127.0.0.1:8000, without user or password.';
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new VariableInvalid('CENTRAL_MANAGER_URL', sentence);
  }
  const plain = url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if ((url.protocol !== 'http:' && url.protocol !== 'https:') || !plain) {
    throw new VariableInvalid('CENTRAL_MANAGER_URL', sentence);
  }
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}

function readJoinToken(environment: Environment): JoinToken | null {
  const text = readSecret(environment, 'JOIN_TOKEN');
  if (text === undefined) return null;
  try {
    return parseJoinToken(text.reveal());
  } catch (error) {
    throw new VariableInvalid('JOIN_TOKEN', `cannot be used. ${(error as Error).message}`);
  }
}

interface AgentConfig {
  readonly capabilities: readonly string[];
  readonly maxAgents: number;
  readonly orchestratorId: string | number | null;
}

function readAgentConfig(environment: Environment): AgentConfig {
  const text = readVariable(environment, 'AGENT_CONFIG');
  const wrong = (sentence: string): VariableInvalid => new VariableInvalid('AGENT_CONFIG', sentence);
  let value: unknown = {};
  try {
    if (text !== undefined) value = JSON.parse(text);
  } catch {
    throw wrong(
      'is not valid JSON. Example: {"capabilities":["trading"],"max_agents":10,"orchestrator_id":1}',
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong('must be a JSON object.');
  const {
    capabilities = [],
    max_agents: maxAgents = DEFAULT_MAX_AGENTS,
    orchestrator_id: id = null,
  } = value as Record<string, unknown>;
  const isWord = (each: unknown): each is string =>
    typeof each === 'string' && each.length > 0 && each.length <= 128;
  if (!Array.isArray(capabilities) || capabilities.length > 200 || !capabilities.every(isWord)) {
    throw wrong('has a bad "capabilities": it must be a list of at most 200 words.');
  }
  if (!Number.isSafeInteger(maxAgents) || (maxAgents as number) < 0 || (maxAgents as number) > 100_000) {
    throw wrong('has a bad "max_agents": it must be a whole number from 0 to 100000.');
  }
  const idFits = id === null || isWord(id) || Number.isSafeInteger(id);
  if (!idFits) throw wrong('has a bad "orchestrator_id": it must be text or a whole number.');
  return { capabilities, maxAgents: maxAgents as number, orchestratorId: id as string | number | null };
}

function orchestratorNumberOf(environment: Environment, agentConfig: AgentConfig): string | number | null {
  const given = readVariable(environment, 'ORCHESTRATOR_ID')?.trim().slice(0, 128);
  const configured = agentConfig.orchestratorId;
  if (given === undefined) return configured;
  if (configured !== null && String(configured) !== given) {
    throw new VariableInvalid(
      'ORCHESTRATOR_ID',
      'and AGENT_CONFIG.orchestrator_id differ. Set one of them, or both alike.',
    );
  }
  return configured ?? given;
}
