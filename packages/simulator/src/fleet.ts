/**
 * The fleet of one world: the manager, the hosts, the agent types, and how a host joins.
 */
import { Host, type HostOptions } from './host.ts';
import type { Actor, ManagerCommand } from './machines.ts';
import { ManagerNode } from './manager-node.ts';
import type { Stream } from './random.ts';
import type { World } from './world.ts';

/** Sees every customer. */
export const administrator: Actor = { id: 'user:administrator', role: 'admin', customerId: null };
const joinDesk: Actor = { id: 'system', role: 'admin', customerId: null };

export class Fleet {
  readonly world: World;
  readonly manager: ManagerNode;
  readonly hosts: Host[] = [];
  readonly customers: readonly string[];
  readonly #stream: Stream;
  /** Join tokens that were used; somebody may try them again. */
  readonly usedTokens: { readonly id: string; readonly secretHash: string }[] = [];

  constructor(world: World, customers: readonly string[]) {
    this.world = world;
    this.customers = customers;
    this.manager = new ManagerNode(world);
    this.#stream = world.stream.fork('fleet');
  }

  addHost(options: HostOptions): Host {
    const host = new Host(this.world, this.manager, options);
    this.hosts.push(host);
    return host;
  }
  hostOf(orchestratorId: string): Host | undefined {
    return this.hosts.find((host) => host.identity?.orchestratorId === orchestratorId);
  }
  hostNamed(name: string): Host | undefined {
    return this.hosts.find((host) => host.name === name);
  }

  /** Give a host its identity, however often that has to be tried; then it starts its daemon. */
  join(host: Host): void {
    if (host.identity !== null || host.condemned) return;
    const id = this.#stream.word(12);
    const secretHash = this.#stream.word(32);
    host.publicKey ??= this.#stream.word(43);
    const { publicKey } = host;
    const expiresAt = Number.MAX_SAFE_INTEGER;
    const token: ManagerCommand = {
      kind: 'createJoinToken',
      id,
      customerId: host.customerId,
      name: null,
      secretHash,
      expiresAt,
    };
    const later = (action: () => void): void =>
      this.world.schedule.after(this.#stream.between(500, 6_000), 'join-later', action);
    this.manager.ask(administrator, token, (made) => {
      if (made?.ok !== true) return later(() => this.join(host));
      this.#enrol(host, { id, secretHash, publicKey }, later);
    });
  }

  #enrol(
    host: Host,
    token: { id: string; secretHash: string; publicKey: string },
    later: (action: () => void) => void,
  ): void {
    if (!host.on) return later(() => this.#enrol(host, token, later));
    const command = this.enrolCommand(host, token);
    this.manager.ask(joinDesk, command, (result) => {
      if (host.identity !== null || host.condemned) return;
      if (result?.ok === true) {
        const orchestratorId = String(result.value['orchestratorId']);
        this.usedTokens.push(token);
        host.identity = { orchestratorId, publicKey: token.publicKey };
        this.world.line(host.name, `joined as ${orchestratorId}`);
        return host.startDaemon();
      }
      // No answer: the token may be used up already; then a person has to hand out a new one.
      const usedUp = result?.ok === false && result.code !== 'identity-taken';
      later(() => (usedUp ? this.join(host) : this.#enrol(host, token, later)));
    });
  }

  enrolCommand(host: Host, token: { id: string; secretHash: string; publicKey: string }): ManagerCommand {
    const { facts } = host;
    return {
      kind: 'enrol',
      method: 'token',
      tokenId: token.id,
      secretHash: token.secretHash,
      agentId: host.name,
      publicKey: token.publicKey,
      fields: {
        name: facts.name,
        hostAddress: facts.hostAddress,
        apiPort: facts.apiPort,
        apiEndpoint: null,
        capabilities: facts.capabilities,
        maxAgents: facts.maxAgents,
        resources: facts.resources,
        metadata: facts.metadata,
      },
    };
  }
}
