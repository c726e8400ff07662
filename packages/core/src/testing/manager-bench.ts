/**
 * A manager machine on the test bench: deterministic randomness, one clock, and short words for what tests do with it.
 */
import type { AgentReport, AgentTypeRecipe, ManagerFrame, OrchestratorFrame } from '@muster/contract';
import type { JournalRecord, Random } from '../machine.ts';
import type { Actor, CommandResult, ManagerCommand, ManagerEffect, ManagerInput } from '../manager/index.ts';
import { ManagerMachine, type ManagerOptions } from '../manager/index.ts';

export function countingRandom(): Random {
  let count = 0;
  return {
    id: (prefix) => `${prefix}_${(count += 1).toString().padStart(4, '0')}`,
    token: () => (count += 1).toString(16).padStart(32, '0'),
    fraction: () => 0.5,
  };
}

/** Not collision-resistant; good enough to tell test documents apart. */
export function toyDigest(text: string): string {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1)
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}

export const worker: AgentTypeRecipe = {
  type: 'worker',
  version: '1.0.0',
  title: 'Worker',
  description: 'A type for tests.',
  trading: false,
  run: { kind: 'node', entry: 'worker' },
  configSchema: {},
  defaults: {},
  resources: { memoryBytes: 100, cpuCores: 0.1 },
  verbs: [],
  stopGraceMs: 1000,
  inFlightMs: 0,
};
export const trader: AgentTypeRecipe = { ...worker, type: 'trader', trading: true };

export const admin: Actor = { id: 'user:admin', role: 'admin', customerId: null };

export class ManagerBench {
  readonly machine: ManagerMachine;
  readonly journal: JournalRecord[] = [];
  /** Effects of the last step. */
  effects: ManagerEffect[] = [];
  mono = 1_000_000;
  wall = 1_700_000_000_000;
  #requests = 0;

  constructor(options: Partial<ManagerOptions> = {}) {
    this.machine = new ManagerMachine({
      random: countingRandom(),
      digest: toyDigest,
      validateConfig: (_type, config) => ({ config, errors: [], warnings: [] }),
      beatIntervalMs: 5_000,
      software: 'test',
      ...options,
    });
    this.input({ kind: 'start', agentTypes: [worker, trader] });
  }

  input(input: ManagerInput): ManagerEffect[] {
    this.effects = [];
    this.machine.step({ mono: this.mono, wall: this.wall }, input, this.effects);
    for (const effect of this.effects) if (effect.kind === 'append') this.journal.push(...effect.records);
    return this.effects;
  }

  pass(ms: number): ManagerEffect[] {
    this.mono += ms;
    this.wall += ms;
    return this.input({ kind: 'tick' });
  }

  /** Run a command; undefined when the answer waits. */
  command(command: ManagerCommand, actor: Actor = admin): CommandResult | undefined {
    this.#requests += 1;
    const request = `req-${this.#requests}`;
    this.input({ kind: 'command', request, actor, command });
    return this.replyTo(request);
  }
  replyTo(request: string): CommandResult | undefined {
    for (const effect of this.effects)
      if (effect.kind === 'reply' && effect.request === request) return effect.result;
    return undefined;
  }
  replies(): CommandResult[] {
    return this.effects.flatMap((effect) => (effect.kind === 'reply' ? [effect.result] : []));
  }

  token(id: string, customerId = 'default', name: string | null = null): void {
    const expiresAt = this.wall + 86_400_000;
    this.command({ kind: 'createJoinToken', id, customerId, name, secretHash: `hash-${id}`, expiresAt });
  }

  /** Enrol an orchestrator with a fresh token; returns its id. */
  enrol(
    name: string,
    options: {
      customerId?: string;
      maxAgents?: number;
      key?: string;
      capabilities?: string[];
      resources?: Record<string, unknown>;
      metadata?: Record<string, unknown>;
    } = {},
  ): string {
    const tokenId = `token-${this.#requests}`;
    this.token(tokenId, options.customerId);
    const result = this.command({
      kind: 'enrol',
      method: 'token',
      tokenId,
      secretHash: `hash-${tokenId}`,
      agentId: name,
      publicKey: options.key ?? `key-${name}`,
      fields: {
        name,
        hostAddress: '127.0.0.1',
        apiPort: 8001,
        apiEndpoint: null,
        capabilities: options.capabilities ?? [],
        maxAgents: options.maxAgents ?? 10,
        resources: options.resources ?? {},
        metadata: options.metadata ?? {},
      },
    });
    if (result?.ok !== true) throw new Error(`enrol failed: ${JSON.stringify(result)}`);
    return result.value['orchestratorId'] as string;
  }

  open(id: string, link: string, instance = `instance-${id}`): ManagerEffect[] {
    const publicKey = this.machine.facts.orchestrators.get(id)?.publicKey ?? '';
    return this.input({
      kind: 'linkOpened',
      link,
      orchestratorId: id,
      publicKey,
      instance,
      bootId: 'boot',
      software: 'test',
    });
  }
  frame(link: string, frame: OrchestratorFrame): ManagerEffect[] {
    return this.input({ kind: 'frame', link, frame });
  }

  /** Open a link, report and acknowledge: the orchestrator is eligible afterwards. */
  connect(id: string, link = `link-${id}`, agents: AgentReport[] = []): string {
    this.open(id, link);
    this.report(id, link, agents);
    this.acknowledge(id, link);
    return link;
  }
  report(
    id: string,
    link: string,
    agents: AgentReport[] = [],
    epochs: Record<string, number> = {},
  ): ManagerEffect[] {
    const known = this.machine.facts.orchestrators.get(id);
    if (known === undefined) throw new Error(`no orchestrator ${id}`);
    const { name, hostAddress, apiPort, capabilities, maxAgents, resources, metadata } = known;
    const host = {
      name,
      hostAddress,
      apiPort,
      capabilities: [...capabilities],
      maxAgents,
      resources,
      metadata,
    };
    return this.frame(link, {
      t: 'report',
      host,
      agents,
      epochs,
      generation: 1,
      revision: 0,
      digest: 'none',
    });
  }
  acknowledge(id: string, link: string): ManagerEffect[] {
    const revision = this.machine.facts.orchestrators.get(id)?.target.revision ?? 0;
    return this.frame(link, { t: 'targetAck', generation: 1, revision });
  }

  deploy(
    more: Partial<Extract<ManagerCommand, { kind: 'deploy' }>> = {},
    actor: Actor = admin,
  ): CommandResult | undefined {
    return this.command(
      {
        kind: 'deploy',
        agentType: 'worker',
        agentConfig: {},
        resourceRequirements: {},
        preferredContainer: null,
        strategy: 'least_loaded',
        constraints: {},
        name: null,
        customerId: null,
        onDisconnect: 'continue',
        replicas: 1,
        waitRunning: false,
        ...more,
      },
      actor,
    );
  }
  /** Deploy one agent and return its id. */
  agent(more: Partial<Extract<ManagerCommand, { kind: 'deploy' }>> = {}): string {
    const result = this.deploy(more);
    if (result?.ok !== true) throw new Error(`deploy failed: ${JSON.stringify(result)}`);
    return (result.value['agents'] as { agentId: string }[])[0]?.agentId ?? '';
  }

  orders(): Extract<ManagerEffect, { kind: 'order' }>['body'][] {
    return this.effects.flatMap((effect) => (effect.kind === 'order' ? [effect.body] : []));
  }
  sent(): ManagerFrame[] {
    return this.effects.flatMap((effect) => (effect.kind === 'send' ? [effect.frame] : []));
  }
  closed(): { link: string; code: string }[] {
    return this.effects.flatMap((effect) =>
      effect.kind === 'closeLink' ? [{ link: effect.link, code: effect.code }] : [],
    );
  }
  /** The challenge the last step sent for an agent. */
  query(agentId: string): string | undefined {
    for (const body of this.orders())
      if (body.kind === 'stopQuery' && body.stopQuery.agentId === agentId) return body.stopQuery.query;
    return undefined;
  }
}

export function agentReport(
  agentId: string,
  epoch: number,
  status: AgentReport['status'] = 'running',
): AgentReport {
  return {
    agentId,
    epoch,
    sub: 1,
    status,
    pid: 42,
    since: 0,
    crashes: 0,
    detail: '',
    lastExit: null,
    stateBytes: null,
    local: false,
  };
}

/** A manager with `count` eligible orchestrators. */
export function fleet(
  count: number,
  maxAgents = 10,
): { bench: ManagerBench; ids: string[]; links: string[] } {
  const bench = new ManagerBench();
  const ids = Array.from({ length: count }, (_, index) => bench.enrol(`node-${index + 1}`, { maxAgents }));
  const links = ids.map((id) => bench.connect(id));
  return { bench, ids, links };
}
