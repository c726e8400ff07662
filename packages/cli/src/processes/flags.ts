/** Flags of `muster manager` and `muster orchestrator`: each stands for an environment variable and wins over it. */
import type { Environment } from '@muster/runtime';

export interface ManagerFlags {
  readonly port?: number;
  readonly bind?: string;
  readonly data?: string;
  readonly logLevel?: string;
}

export interface OrchestratorFlags extends ManagerFlags {
  readonly manager?: string;
  readonly joinTokenFile?: string;
  readonly name?: string;
  readonly stopAgents?: true;
}

export function managerEnvironment(environment: Environment, flags: ManagerFlags): Environment {
  return overlay(environment, {
    PORT: flags.port,
    BIND: flags.bind,
    DATA_DIR: flags.data,
    LOG_LEVEL: flags.logLevel,
  });
}

export function orchestratorEnvironment(environment: Environment, flags: OrchestratorFlags): Environment {
  const own = flags.joinTokenFile === undefined ? environment : { ...environment, JOIN_TOKEN: undefined };
  return overlay(own, {
    CENTRAL_MANAGER_URL: flags.manager,
    JOIN_TOKEN_FILE: flags.joinTokenFile,
    AGENT_PORT: flags.port,
    BIND: flags.bind,
    DATA_DIR: flags.data,
    CONTAINER_NAME: flags.name,
    LOG_LEVEL: flags.logLevel,
  });
}

/** A given flag also switches off the variable's `_FILE` form, or both would be set. */
function overlay(
  environment: Environment,
  values: Readonly<Record<string, string | number | undefined>>,
): Environment {
  const result: Record<string, string | undefined> = { ...environment };
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) continue;
    result[name] = String(value);
    if (!name.endsWith('_FILE')) delete result[`${name}_FILE`];
  }
  return result;
}
