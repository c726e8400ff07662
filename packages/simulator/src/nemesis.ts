/**
 * Everything that goes wrong. Each fault kind that the swarm drew strikes again and again with its own mean interval until
 * the world is healed; `heal` undoes what is undoable and gives every machine a last start.
 */
import { encodeFrame } from '@muster/contract';
import { administrator, type Fleet } from './fleet.ts';
import type { Host } from './host.ts';
import { setBlocked } from './network.ts';
import { type Stream } from './random.ts';
import type { FaultKind } from './swarm.ts';
import type { World } from './world.ts';

type Strike = (nemesis: Nemesis) => void;

export class Nemesis {
  readonly fleet: Fleet;
  readonly world: World;
  readonly stream: Stream;

  constructor(fleet: Fleet) {
    this.fleet = fleet;
    this.world = fleet.world;
    this.stream = fleet.world.stream.fork('nemesis');
  }

  start(): void {
    for (const [kind, meanMs] of this.world.swarm.meanMs) {
      const strike = strikes[kind];
      if (strike !== undefined) this.#repeat(kind, meanMs, strike);
    }
  }

  #repeat(kind: FaultKind, meanMs: number, strike: Strike): void {
    this.later(meanMs * this.stream.between(0.2, 1.8), () => {
      if (!this.world.chaos) return;
      this.world.count(`fault ${kind}`);
      strike(this);
      this.#repeat(kind, meanMs, strike);
    });
  }

  later(delayMs: number, action: () => void): void {
    this.world.schedule.after(delayMs, 'nemesis', action);
  }
  host(): Host | undefined {
    return this.stream.pick(this.fleet.hosts.filter((host) => host.on && host.identity !== null));
  }

  /** All faults end. Machines that nobody declared dead come back; those declared dead are declared so until it is taken. */
  heal(): void {
    const { fleet, world } = this;
    world.chaos = false;
    world.line('world', 'heals');
    for (const host of fleet.hosts) {
      host.line.slowFactor = 1;
      host.line.refusesDials = false;
      setBlocked(host.line, 'up', false);
      setBlocked(host.line, 'down', false);
      host.boot();
      fleet.join(host);
      if (host.condemned) this.declareDead(host);
    }
    fleet.manager.start();
  }

  declareDead(host: Host): void {
    const orchestratorId = host.identity?.orchestratorId;
    if (orchestratorId === undefined) return;
    this.fleet.manager.ask(administrator, { kind: 'deregister', orchestratorId, force: true }, (result) => {
      const settled = result?.ok === true || result?.code === 'not-found';
      if (!settled) this.later(3_000, () => this.declareDead(host));
    });
  }
}

function partition(nemesis: Nemesis, directions: readonly ('up' | 'down')[]): void {
  const { stream, fleet } = nemesis;
  const everybody = stream.chance(0.2);
  const hosts = everybody ? fleet.hosts : fleet.hosts.filter(() => stream.chance(0.3));
  for (const host of hosts) for (const direction of directions) setBlocked(host.line, direction, true);
  // Restored one by one in random order: the swizzle that finds the deepest bugs.
  for (const host of hosts) {
    nemesis.later(stream.between(500, 45_000), () => {
      for (const direction of directions) setBlocked(host.line, direction, false);
    });
  }
}

function crashHost(nemesis: Nemesis, downMs: number): Host | undefined {
  const host = nemesis.host();
  if (host === undefined) return undefined;
  host.crash();
  nemesis.later(downMs, () => host.boot());
  return host;
}

const strikes: Partial<Record<FaultKind, Strike>> = {
  managerCrash: ({ fleet }) => fleet.manager.crash(),
  daemonCrash: (nemesis) => nemesis.host()?.crashDaemon(),
  keeperCrash: (nemesis) => nemesis.host()?.crashKeeper(),
  hostCrash: (nemesis) => void crashHost(nemesis, nemesis.stream.between(1_000, 60_000)),
  agentCrash(nemesis) {
    const keeper = nemesis.host()?.keeper;
    const process = nemesis.stream.pick(keeper?.processes ?? []);
    if (process !== undefined) keeper?.crashAgent(process, 1 + nemesis.stream.integer(3));
  },
  partition: (nemesis) => partition(nemesis, ['up', 'down']),
  oneWayPartition: (nemesis) => partition(nemesis, [nemesis.stream.chance(0.5) ? 'up' : 'down']),
  linkReset: (nemesis) => nemesis.host()?.daemon?.uplink.connection?.reset(),
  halfOpen: (nemesis) => nemesis.host()?.daemon?.uplink.connection?.becomeHalfOpen(),
  slowPeer(nemesis) {
    const line = nemesis.host()?.line;
    if (line === undefined) return;
    line.slowFactor = nemesis.stream.between(3, 60);
    nemesis.later(nemesis.stream.between(2_000, 40_000), () => {
      line.slowFactor = 1;
    });
  },
  refusedDial(nemesis) {
    const line = nemesis.host()?.line;
    if (line === undefined) return;
    line.refusesDials = true;
    nemesis.later(nemesis.stream.between(2_000, 30_000), () => {
      line.refusesDials = false;
    });
  },
  garbageFrame(nemesis) {
    const host = nemesis.host();
    const texts = [
      '{"t":"report"}',
      'GET / HTTP/1.1',
      '{"t":"beat","seq":-1,"health":1e9}',
      '{"t":"__proto__"}',
      '[]',
    ];
    const text = nemesis.stream.pick(texts) ?? '';
    if (nemesis.stream.chance(0.5)) host?.daemon?.uplink.sendRaw(text);
    else host?.daemon?.uplink.connection?.send('down', text);
  },
  replayedOrder(nemesis) {
    const host = nemesis.host();
    const text = host === undefined ? undefined : nemesis.fleet.manager.lastOrders.get(host.line);
    if (text !== undefined) host?.daemon?.uplink.connection?.send('down', text);
  },
  unaskedStopped(nemesis) {
    // A machine that says an agent has stopped although nobody asked and it has not: a hint, never proof (R8).
    const host = nemesis.host();
    const entry = nemesis.stream.pick([...(host?.daemon?.machine.facts.entries.values() ?? [])]);
    if (host === undefined || entry === undefined) return;
    const { agentId, epoch } = entry;
    const query = `q_${nemesis.stream.word(26)}`;
    const text = encodeFrame({ t: 'stopped', agentId, epoch, query, state: null, stateError: null });
    for (let repeat = 0; repeat < 5; repeat += 1) {
      nemesis.later(repeat * 2_000, () => {
        if (host.daemon?.uplink.session != null) host.daemon.uplink.sendRaw(text);
      });
    }
  },
  processPause(nemesis) {
    const until = nemesis.world.now + nemesis.stream.between(500, 25_000);
    if (nemesis.stream.chance(0.2)) nemesis.fleet.manager.pauseUntil(until);
    else nemesis.host()?.daemon?.pauseUntil(until);
  },
  wallJump(nemesis) {
    const byMs = nemesis.stream.between(-1, 1) * (nemesis.stream.chance(0.2) ? 3e10 : 3.6e6);
    const clock = nemesis.stream.chance(0.3) ? nemesis.fleet.manager.clock : nemesis.host()?.clock;
    clock?.jumpWall(Math.round(byMs));
  },
  lostDataDir(nemesis) {
    const host = nemesis.host();
    if (host === undefined) return;
    host.crash();
    host.wipe();
    nemesis.later(nemesis.stream.between(1_000, 30_000), () => {
      host.boot();
      nemesis.fleet.join(host);
    });
  },
  deadForGood(nemesis) {
    const alive = nemesis.fleet.hosts.filter((host) => !host.condemned);
    const host = nemesis.host();
    if (host === undefined || alive.length < 4) return;
    host.crash();
    host.condemned = true;
    nemesis.later(nemesis.stream.between(100, 30_000), () => nemesis.declareDead(host));
    const { name, customerId, maxAgents } = host;
    const capabilities = host.facts.capabilities;
    // The customer buys another machine.
    nemesis.later(nemesis.stream.between(5_000, 60_000), () => {
      const fresh = nemesis.fleet.addHost({ name: `${name}x`, customerId, maxAgents, capabilities });
      fresh.boot();
      nemesis.fleet.join(fresh);
    });
  },
};
