/**
 * Tells the machine, and when joining the manager, what this host is and how it is doing.
 */
import type { HostFacts } from '@muster/contract';
import type { OrchestratorInput } from '@muster/core/orchestrator';
import type { AgentCatalogue } from './agent-catalogue.ts';
import type { OrchestratorConfig } from './config.ts';
import { HostMeter, hostConstants } from './host-facts.ts';
import type { KeeperClient } from './keeper/index.ts';
import type { JoinFacts } from './uplink/join.ts';

const MEASURE_INTERVAL_MS = 5_000;

export interface HostReporterOptions {
  readonly config: OrchestratorConfig;
  readonly catalogue: AgentCatalogue;
  readonly version: string;
  readonly agentId: string;
  readonly apiPort: () => number;
  readonly keeper: () => KeeperClient | null;
  readonly submit: (input: OrchestratorInput) => void;
}

export class HostReporter {
  readonly #options: HostReporterOptions;
  readonly #meter: HostMeter;
  #resources: Readonly<Record<string, unknown>> = {};
  #timer: NodeJS.Timeout | null = null;

  constructor(options: HostReporterOptions) {
    this.#options = options;
    this.#meter = new HostMeter(options.config.dataDir);
    this.#resources = this.#meter.measure().resources;
  }

  start(): void {
    this.#measure();
    this.host();
    this.#timer = setInterval(() => this.#measure(), MEASURE_INTERVAL_MS);
    this.#timer.unref();
  }
  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** What the machine reports about this host from now on. */
  host(): void {
    const { config, agentId, apiPort } = this.#options;
    const host: HostFacts = {
      name: config.containerName ?? agentId,
      hostAddress: config.hostAddress,
      apiPort: apiPort(),
      capabilities: [...config.capabilities],
      maxAgents: config.maxAgents,
      resources: { ...this.#resources },
      metadata: this.metadata(),
    };
    this.#options.submit({ kind: 'host', host });
  }

  metadata(): Record<string, unknown> {
    const { config, catalogue, version, agentId, keeper } = this.#options;
    const client = keeper();
    return {
      agent_id: agentId,
      agent_type: config.agentType,
      version,
      ...(config.orchestratorNumber === null ? {} : { orchestrator_id: config.orchestratorNumber }),
      agent_types: catalogue.recipes.map(({ type, version: of }) => `${type}@${of}`),
      ...hostConstants(),
      ...(client === null
        ? {}
        : { kill_strength: client.killStrength, enforced_limits: { ...client.limits } }),
    };
  }

  joinFacts(): JoinFacts {
    const { config, agentId, apiPort } = this.#options;
    return {
      agent_id: agentId,
      container_name: config.containerName ?? agentId,
      host_address: config.hostAddress,
      api_port: apiPort(),
      capabilities: [...config.capabilities],
      max_agents: config.maxAgents,
      resources: { ...this.#resources },
      metadata: this.metadata(),
    };
  }

  #measure(): void {
    const { health, resources } = this.#meter.measure();
    this.#resources = resources;
    this.#options.submit({ kind: 'measured', health, resources });
  }
}
