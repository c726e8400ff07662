/** `muster deploy`. */
import type { Deployed, DeployRequest } from '@muster/contract';
import type { ClientContext } from '../client/context.ts';
import { findNode } from '../client/find.ts';
import { exitCode } from '../exit-codes.ts';
import { CommandFailure } from '../failure.ts';
import { printable } from '../terminal/text.ts';
import { statusText } from '../terminal/words.ts';
import { readConfiguration, setValue } from './configuration.ts';

export interface DeployOptions {
  readonly name?: string;
  readonly config?: string;
  readonly set: readonly string[];
  readonly on?: string;
  readonly strategy?: string;
  readonly replicas?: number;
  readonly customer?: string;
  readonly onDisconnect?: string;
  readonly memory?: number;
  readonly cpu?: number;
  readonly require: readonly string[];
  readonly wait?: true;
}

export async function deploy(
  { api, print, services }: ClientContext,
  agentType: string,
  options: DeployOptions,
): Promise<void> {
  const configuration = await readConfiguration(options.config, services.stdin);
  for (const assignment of options.set) setValue(configuration, assignment);
  const node = options.on === undefined ? undefined : await findNode(api, options.on);
  const request: DeployRequest = {
    agent_type: agentType,
    agent_config: configuration,
    ...optionalMembers(options),
    ...(node === undefined ? {} : { preferred_container: node.container_id }),
  };
  const answer = await api.post<Deployed>('/api/v1/cluster/agents/deploy', request, { limitMs: 60_000 });
  if (print.isJson) print.json(answer);
  else {
    for (const agent of answer.agents) {
      const place = printable(agent.container_name);
      print.line(`${agent.agent_id} on ${place}  ${statusText('agent', agent.status, print.paint)}`);
    }
    for (const warning of answer.deployment_details.warnings) print.remark(`warning: ${warning}`);
  }
  if (options.wait === true && answer.deployment_details.confirmed === false) {
    throw new CommandFailure({
      what: 'Deployed, but not every process was confirmed in time',
      next: 'Look again with: muster ps',
      code: exitCode.failure,
    });
  }
}

function optionalMembers(options: DeployOptions): Partial<DeployRequest> {
  const resources = {
    ...(options.memory === undefined ? {} : { memory_bytes: options.memory }),
    ...(options.cpu === undefined ? {} : { cpu_cores: options.cpu }),
  };
  return {
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.strategy === undefined ? {} : { deployment_strategy: options.strategy }),
    ...(options.replicas === undefined ? {} : { replicas: options.replicas }),
    ...(options.customer === undefined ? {} : { customer_id: options.customer }),
    ...(options.onDisconnect === undefined ? {} : { on_disconnect: options.onDisconnect }),
    ...(options.require.length === 0 ? {} : { constraints: { required_capabilities: [...options.require] } }),
    ...(Object.keys(resources).length === 0 ? {} : { resource_requirements: resources }),
    ...(options.wait === true ? { wait: 'running' as const } : {}),
  };
}
