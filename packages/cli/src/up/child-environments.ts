/**
 * The environments of the children of `muster up`: what the person set, but each process sees only what concerns it.
 *
 * The manager's secrets never reach an orchestrator. Ports, directories and identities are `up`'s own to say.
 */
import type { Environment } from '@muster/runtime';
import { upMark, upMarkValue } from '../processes/parent-channel.ts';

const managerOnly = [
  'ADMIN_PASSWORD',
  'ADMIN_EMAIL',
  'JWT_SECRET',
  'MASTER_SECRET_KEY',
  'DATABASE_URL',
  'TLS_CERT',
  'TLS_KEY',
  'ALLOWED_IPS',
  'TRUSTED_PROXIES',
  'DIRECT_CALLBACK_ALLOW',
  'DIRECT_ORCHESTRATORS',
];
const orchestratorOnly = [
  'JOIN_TOKEN',
  'CENTRAL_MANAGER_URL',
  'AGENT_ID',
  'AGENT_TYPE',
  'AGENT_PORT',
  'AGENT_CONFIG',
  'CONTAINER_NAME',
  'ORCHESTRATOR_ID',
  'AUTO_REGISTER',
];
/** Set by `up` for each child. */
const own = ['PORT', 'DATA_DIR', 'AGENT_PORTS', 'ORCHESTRATORS'];

function without(environment: Environment, names: readonly string[]): Record<string, string | undefined> {
  const dropped = new Set(names.flatMap((name) => [name, `${name}_FILE`]));
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !dropped.has(name)));
}

export interface ManagerPlace {
  readonly port: number;
  readonly dataDirectory: string;
}

export function environmentOfManager(environment: Environment, place: ManagerPlace): Environment {
  return {
    LOG_FORMAT: 'text',
    ...without(environment, [...orchestratorOnly, ...own]),
    [upMark]: upMarkValue,
    PORT: String(place.port),
    DATA_DIR: place.dataDirectory,
  };
}

export interface OrchestratorPlace {
  readonly number: number;
  readonly name: string;
  readonly port: number;
  readonly dataDirectory: string;
  readonly managerUrl: string;
  /** Undefined: it has an identity already. */
  readonly joinTokenFile: string | undefined;
}

export function environmentOfOrchestrator(environment: Environment, place: OrchestratorPlace): Environment {
  return {
    LOG_FORMAT: 'text',
    ...without(environment, [...managerOnly, ...orchestratorOnly, ...own]),
    [upMark]: upMarkValue,
    AGENT_ID: place.name,
    CONTAINER_NAME: place.name,
    ORCHESTRATOR_ID: String(place.number),
    AGENT_CONFIG: JSON.stringify({
      capabilities: ['agent_runner', 'orchestrator_cluster'],
      orchestrator_id: place.number,
    }),
    AGENT_PORT: String(place.port),
    DATA_DIR: place.dataDirectory,
    CENTRAL_MANAGER_URL: place.managerUrl,
    ...(place.joinTokenFile === undefined ? {} : { JOIN_TOKEN_FILE: place.joinTokenFile }),
  };
}
