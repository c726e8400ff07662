/**
 * The people: operators of the vendor who deploy, stop, move and remove, sometimes against each other; customers' own
 * operators who stop and resume on their machines; machines that join. They know only what they were told.
 */
import { strategies } from '@muster/contract';
import { agentTypes } from './agent-types.ts';
import { administrator, type Fleet } from './fleet.ts';
import type { Host } from './host.ts';
import type { Actor, CommandResult, ManagerCommand } from './machines.ts';
import type { Stream } from './random.ts';

export interface WorkloadOptions {
  /** Agents the operators aim at. */
  readonly agents: number;
  readonly endsAt: number;
}

interface KnownAgent {
  readonly id: string;
  readonly customerId: string;
}

type Operation = (workload: Workload) => void;

export class Workload {
  readonly fleet: Fleet;
  readonly stream: Stream;
  readonly #options: WorkloadOptions;
  readonly known: KnownAgent[] = [];
  #locals = 0;

  constructor(fleet: Fleet, options: WorkloadOptions) {
    this.fleet = fleet;
    this.stream = fleet.world.stream.fork('workload');
    this.#options = options;
  }

  start(): void {
    for (const id of this.fleet.customers) if (id !== 'default') this.#createCustomer(id);
    this.#next();
  }

  #createCustomer(id: string): void {
    this.fleet.manager.ask(administrator, { kind: 'createCustomer', id, name: id }, (result) => {
      const settled = result?.ok === true || result?.code === 'name-taken';
      if (!settled) this.#later(2_000, () => this.#createCustomer(id));
    });
  }

  #next(): void {
    const { world } = this.fleet;
    const opening = this.known.length < this.#options.agents / 2 && world.now < 60_000;
    const mean = opening ? Math.min(700, world.swarm.workloadMs) : world.swarm.workloadMs;
    this.#later(mean * this.stream.between(0.2, 1.8), () => {
      if (world.now > this.#options.endsAt) return;
      const short = this.known.length < this.#options.agents;
      const operation = short && this.stream.chance(0.6) ? deployAgents : this.#draw();
      operation(this);
      this.#next();
    });
  }

  #draw(): Operation {
    let point = this.stream.fraction() * totalWeight;
    for (const [weight, operation] of operations) {
      point -= weight;
      if (point < 0) return operation;
    }
    return deployAgents;
  }

  #later(delayMs: number, action: () => void): void {
    this.fleet.world.schedule.after(delayMs, 'workload', action);
  }

  /** Somebody of this customer, or of the vendor. */
  actorFor(customerId: string): Actor {
    if (this.stream.chance(0.5)) return administrator;
    return { id: `user:${customerId}`, role: 'operator', customerId };
  }
  anyAgent(): KnownAgent | undefined {
    return this.stream.pick(this.known);
  }
  anyHost(): Host | undefined {
    return this.stream.pick(this.fleet.hosts.filter((host) => host.identity !== null && !host.condemned));
  }
  ask(
    actor: Actor,
    command: ManagerCommand,
    answer: (result: CommandResult | null) => void = () => undefined,
  ): void {
    this.fleet.manager.ask(actor, command, answer);
  }

  nextLocalName(): string {
    this.#locals += 1;
    return `local-${this.#locals}`;
  }

  /** One command about one agent; now and then a second operator wants something else at the same moment. */
  aboutAgent(make: (id: string) => ManagerCommand): void {
    const agent = this.anyAgent();
    if (agent === undefined) return;
    this.ask(this.actorFor(agent.customerId), make(agent.id));
    if (!this.stream.chance(0.25)) return;
    this.fleet.world.count('contradictory operators');
    const other = this.stream.pick(contradictions) ?? make;
    this.ask(administrator, other(agent.id));
  }

  forget(id: string): void {
    const index = this.known.findIndex((agent) => agent.id === id);
    if (index >= 0) this.known.splice(index, 1);
  }
}

const stop = (agentId: string): ManagerCommand => ({
  kind: 'stopAgent',
  agentId,
  wait: agentId.charCodeAt(5) % 2 === 0,
});
const start = (agentId: string): ManagerCommand => ({
  kind: 'startAgent',
  agentId,
  wait: agentId.charCodeAt(6) % 2 === 0,
});
const restart = (agentId: string): ManagerCommand => ({ kind: 'restartAgent', agentId, wait: false });
const move = (agentId: string): ManagerCommand => ({
  kind: 'migrateAgent',
  agentId,
  to: null,
  reason: 'test',
  preserveState: true,
});
const contradictions = [stop, start, restart, move];

function deployAgents(workload: Workload): void {
  const { stream, fleet } = workload;
  const customerId = stream.pick(fleet.customers) ?? 'default';
  const type = stream.pick(agentTypes)?.type ?? 'trading_agent';
  const hosts = fleet.hosts.filter((host) => host.identity !== null);
  const pinned = stream.chance(0.1) ? stream.pick(hosts) : undefined;
  const command: ManagerCommand = {
    kind: 'deploy',
    agentType: type,
    agentConfig: {},
    resourceRequirements: {},
    preferredContainer: pinned?.name ?? null,
    strategy: stream.pick(strategies) ?? 'least_loaded',
    constraints: stream.chance(0.15) ? { required_capabilities: ['gpu'] } : {},
    name: null,
    customerId: stream.chance(0.9) ? customerId : null,
    onDisconnect: 'continue',
    replicas: stream.chance(0.2) ? 1 + stream.integer(4) : 1,
    waitRunning: stream.chance(0.2),
  };
  workload.ask(workload.actorFor(customerId), command, (result) => {
    if (result?.ok !== true) return;
    const agents = result.value['agents'] as readonly { agentId: string }[];
    for (const { agentId } of agents) workload.known.push({ id: agentId, customerId });
  });
}

function removeOne(workload: Workload): void {
  const agent = workload.anyAgent();
  if (agent === undefined) return;
  const wait = workload.stream.chance(0.5);
  workload.ask(
    workload.actorFor(agent.customerId),
    { kind: 'removeAgent', agentId: agent.id, wait },
    (result) => {
      if (result?.ok === true) workload.forget(agent.id);
    },
  );
}

function moveOne(workload: Workload): void {
  const target = workload.anyHost()?.identity?.orchestratorId ?? null;
  const to = workload.stream.chance(0.5) ? target : null;
  const preserveState = !workload.stream.chance(0.2);
  workload.aboutAgent((agentId) => ({
    kind: 'migrateAgent',
    agentId,
    to,
    reason: 'operator',
    preserveState,
  }));
}

function drainOne(workload: Workload): void {
  const host = workload.anyHost();
  if (host?.identity == null) return;
  const { orchestratorId } = host.identity;
  const actor = workload.actorFor(host.customerId);
  workload.ask(actor, { kind: 'drain', orchestratorId, draining: true, reason: 'maintenance' });
  const undo = (): void =>
    workload.ask(actor, { kind: 'drain', orchestratorId, draining: false, reason: 'done' });
  workload.fleet.world.schedule.after(workload.stream.between(2_000, 40_000), 'undrain', undo);
}

function deregisterOne(workload: Workload): void {
  const host = workload.anyHost();
  if (host?.identity == null || workload.fleet.hosts.length < 4) return;
  workload.ask(administrator, {
    kind: 'deregister',
    orchestratorId: host.identity.orchestratorId,
    force: false,
  });
}

function replayJoin(workload: Workload): void {
  const { fleet, stream } = workload;
  const token = stream.pick(fleet.usedTokens);
  const host = stream.pick(fleet.hosts);
  if (token === undefined || host === undefined) return;
  fleet.world.count('used join token tried again');
  const command = fleet.enrolCommand(host, { ...token, publicKey: stream.word(43) });
  if (command.kind !== 'enrol') return;
  workload.ask(administrator, { ...command, agentId: `impostor-${stream.word(6)}` });
}

function localWord(workload: Workload): void {
  const { stream, fleet } = workload;
  const host = workload.anyHost();
  const daemon = host?.daemon;
  if (host === undefined || daemon == null) return;
  const entries = [...daemon.machine.facts.entries.keys()];
  const agentId = stream.chance(0.15) ? null : (stream.pick(entries) ?? null);
  if (agentId === null && stream.chance(0.5)) return;
  daemon.local({ kind: 'stop', agentId, by: 'customer', reason: 'night' }, () => undefined);
  if (stream.chance(0.15)) return;
  fleet.world.schedule.after(stream.between(500, 60_000), 'resume', () => {
    host.daemon?.local({ kind: 'resume', agentId, by: 'customer' }, () => undefined);
  });
}

function localDeploy(workload: Workload): void {
  const host = workload.anyHost();
  if (host?.daemon == null) return;
  const agentId = workload.nextLocalName();
  const spec = {
    name: agentId,
    customerId: host.customerId,
    type: 'quick_agent',
    typeVersion: '1.0.0',
    config: {},
    resources: { memoryBytes: 0, cpuCores: 0 },
    onDisconnect: { rule: 'continue' as const },
    stopGraceMs: 200,
    inFlightMs: 500,
  };
  host.daemon.local({ kind: 'deploy', agentId, spec, by: 'customer' }, () => undefined);
}

const operations: readonly (readonly [number, Operation])[] = [
  [4, deployAgents],
  [10, (workload) => workload.aboutAgent(stop)],
  [12, (workload) => workload.aboutAgent(start)],
  [8, (workload) => workload.aboutAgent(restart)],
  [5, removeOne],
  [12, moveOne],
  [3, (workload) => workload.ask(administrator, { kind: 'rebalance' })],
  [2, drainOne],
  [0.3, deregisterOne],
  [2, replayJoin],
  [5, localWord],
  [1, localDeploy],
];
const totalWeight = operations.reduce((sum, [weight]) => sum + weight, 0);
