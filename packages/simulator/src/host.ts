/**
 * One customer machine: its disk, its clock, its line to the manager, and the three things that live and die on it
 * separately: daemon, keeper (with the agents), and the machine itself.
 */
import type { AgentExit, HostFacts } from '@muster/contract';
import { HostClock } from './clock.ts';
import { Daemon } from './daemon.ts';
import { JournalDisk } from './journal-disk.ts';
import { type AgentProcess, Keeper, type KeeperRecord } from './keeper.ts';
import type { OrchestratorRecord } from './machines.ts';
import type { ManagerNode } from './manager-node.ts';
import { Line } from './network.ts';
import type { Stream } from './random.ts';
import type { World } from './world.ts';

export interface HostOptions {
  readonly name: string;
  readonly customerId: string;
  readonly maxAgents: number;
  readonly capabilities: readonly string[];
}

export class Host {
  readonly name: string;
  readonly customerId: string;
  readonly maxAgents: number;
  readonly clock: HostClock;
  readonly line: Line;
  readonly facts: HostFacts;
  readonly #world: World;
  readonly #manager: ManagerNode;
  readonly #stream: Stream;
  // ---- on disk ----
  disk: JournalDisk;
  identity: { readonly orchestratorId: string; readonly publicKey: string } | null = null;
  /** Made at the first start, kept with the identity. */
  publicKey: string | null = null;
  readonly #keeperRecords = new Map<string, KeeperRecord>();
  /** Content of each agent's state directory. */
  readonly #states = new Map<string, number>();
  /** Packed states, by digest. */
  readonly packed = new Map<string, string>();
  // ---- living ----
  on = false;
  bootId = '';
  daemon: Daemon | null = null;
  keeper: Keeper | null = null;
  /** Declared dead by a person: this installation never comes back. */
  condemned = false;
  #lives = 0;

  constructor(world: World, manager: ManagerNode, options: HostOptions) {
    this.#world = world;
    this.#manager = manager;
    this.#stream = world.stream.fork(`host ${options.name}`);
    this.name = options.name;
    this.customerId = options.customerId;
    this.maxAgents = options.maxAgents;
    this.clock = new HostClock(1 + world.swarm.rateError * this.#stream.between(-1, 1));
    this.line = new Line(options.name);
    this.disk = this.#newDisk();
    this.facts = {
      name: options.name,
      hostAddress: '192.0.2.1',
      apiPort: 8001,
      capabilities: [...options.capabilities],
      maxAgents: options.maxAgents,
      resources: { cpu_count: 64, memory_limit: 2 ** 36 },
      metadata: { orchestrator_id: options.name },
    };
  }

  #newDisk(): JournalDisk {
    const world = this.#world;
    return new JournalDisk({
      schedule: world.schedule,
      stream: this.#stream.fork('disk'),
      commitMs: world.swarm.commitMs,
      outOfOrder: world.mutants.has('journal-out-of-order'),
      onDurable: (records) => {
        for (const observer of world.observers) {
          observer.orchestratorDurable?.(this, records as readonly OrchestratorRecord[]);
        }
      },
      count: world.count,
    });
  }

  boot(): void {
    if (this.on || this.condemned) return;
    this.on = true;
    this.bootId = this.#stream.word(12);
    this.clock.boot(this.#world.now);
    this.#world.line(this.name, 'boots');
    this.startKeeper();
    this.startDaemon();
  }

  /** Power cut. Nobody is told. */
  crash(): void {
    if (!this.on) return;
    this.on = false;
    this.#world.line(this.name, 'host crashes');
    this.daemon?.die(true);
    this.daemon = null;
    this.keeper?.die();
    this.keeper = null;
    this.disk.crash();
  }

  /** The data directory is lost: identity, journal, keeper's record and states. */
  wipe(): void {
    this.disk.wipe();
    this.identity = null;
    this.publicKey = null;
    this.#keeperRecords.clear();
    this.#states.clear();
    this.packed.clear();
    for (const observer of this.#world.observers) observer.hostWiped?.(this);
  }

  /** The daemon starts once the machine has joined. */
  startDaemon(): void {
    if (!this.on || this.daemon !== null || this.identity === null) return;
    this.#lives += 1;
    this.daemon = new Daemon(this.#world, this, this.#manager, this.#lives);
    for (const observer of this.#world.observers) observer.daemonStarted?.(this);
    this.#world.line(this.name, 'daemon starts');
    this.daemon.start();
    if (this.keeper === null) this.startKeeper();
    else this.daemon.connectKeeper(this.keeper);
  }

  /** SIGKILL; its supervisor starts it again. */
  crashDaemon(): void {
    if (this.daemon === null) return;
    this.#world.line(this.name, 'daemon dies');
    this.daemon.die(false);
    this.daemon = null;
    this.disk.crash();
    this.#world.schedule.after(this.#stream.between(100, 8_000), 'daemon-restart', () => this.startDaemon());
  }

  startKeeper(): void {
    if (!this.on || this.keeper !== null) return;
    this.#forgetWhatIsNotDurable();
    const { meanMs } = this.#world.swarm;
    this.keeper = new Keeper({
      host: this.name,
      schedule: this.#world.schedule,
      stream: this.#stream.fork(`keeper ${this.#world.now}`),
      clock: this.clock,
      records: this.#keeperRecords,
      nextPid: this.#world.nextPid,
      onStarted: (process) => this.#world.processStarted(process),
      onEnded: (process, exit) => this.#ended(process, exit),
      ignoredSigterm: meanMs.has('ignoredSigterm') ? 0.2 : 0,
      failedSpawn: () => (meanMs.has('failedSpawn') && this.#world.chaos ? 0.05 : 0),
      count: this.#world.count,
    });
    this.daemon?.connectKeeper(this.keeper);
  }

  /** SIGKILL to the keeper: its agents die with it, and the daemon starts another. */
  crashKeeper(): void {
    if (this.keeper === null) return;
    this.#world.line(this.name, 'keeper dies');
    this.keeper.die();
    this.keeper = null;
    this.#world.schedule.after(this.#stream.between(0.1, 20), 'keeper-gone', () => {
      if (this.keeper === null) this.daemon?.keeperDied();
    });
    this.#world.schedule.after(this.#stream.between(50, 3_000), 'keeper-restart', () => this.startKeeper());
  }

  /** Planted bugs: what a keeper with a weaker record would have lost. */
  #forgetWhatIsNotDurable(): void {
    const { mutants } = this.#world;
    for (const record of this.#keeperRecords.values()) {
      if (mutants.has('keeper-forgets-released')) record.releasedEpoch = 0;
      if (mutants.has('keeper-sub-not-durable')) record.sub = 0;
    }
  }

  #ended(process: AgentProcess, exit: AgentExit): void {
    if (exit.code === 0) this.#states.set(process.agentId, this.#world.nextWrite(process.agentId));
    this.#world.processEnded(process, exit);
  }

  // ---- the agents' state directories -------------------------------------------------------------------------------------

  agentWrites(process: AgentProcess): void {
    if (process.alive) this.#states.set(process.agentId, this.#world.nextWrite(process.agentId));
  }
  readState(agentId: string): number | null {
    return this.#states.get(agentId) ?? null;
  }
  /** The shell replaces or deletes a state directory. Nothing may live in it at that moment. */
  changeState(agentId: string, content: number | null, why: string): void {
    const living = this.keeper?.processes.find((process) => process.agentId === agentId);
    if (living !== undefined) {
      const detail = `${this.name}: ${why} of the state of ${agentId} under its live process ${living.epoch}.${living.sub}`;
      this.#world.fail('state-follows-agent', detail);
    }
    if (content === null) this.#states.delete(agentId);
    else this.#states.set(agentId, content);
  }
  drawFailure(): boolean {
    const { swarm, chaos } = this.#world;
    if (!chaos || !swarm.meanMs.has('failedState') || !this.#stream.chance(0.1)) return false;
    this.#world.count('fault failedState');
    return true;
  }
}
