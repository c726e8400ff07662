/**
 * The manager's process: the real machine, the driver, and a shell that accepts links, numbers orders, keeps the bytes of
 * states, and carries requests of clients in and answers out. It may die at any moment; the next life starts from the disk.
 */
import {
  decodeOrchestratorFrame,
  encodeFrame,
  type ManagerFrame,
  type OrchestratorFrame,
} from '@muster/contract';
import { agentTypes, validateConfig } from './agent-types.ts';
import { HostClock } from './clock.ts';
import { Driver } from './driver.ts';
import { JournalDisk } from './journal-disk.ts';
import {
  type Actor,
  type CommandResult,
  type ManagerCommand,
  type ManagerEffect,
  type ManagerInput,
  ManagerMachine,
  type ManagerRecord,
  type ManagerSnapshot,
} from './machines.ts';
import { Connection, type End, type Line } from './network.ts';
import { randomPort, type Stream } from './random.ts';
import { FAKE_SIGNATURE } from './uplink.ts';
import { sha256, type World } from './world.ts';

const HANDSHAKE_LIMIT_MS = 10_000;
const ORDER_LIFE_MS = 600_000;
const NAME = 'manager';
export const BEAT_INTERVAL_MS = 5_000;

/** The shell's side of one connection. */
interface Link {
  readonly connection: Connection;
  hello: Extract<OrchestratorFrame, { t: 'hello' }> | null;
  opened: boolean;
  sequence: number;
}

/** Null: the manager could not be reached, or died before it answered; whether it acted is unknown. */
export type Answer = (result: CommandResult | null) => void;

export class ManagerNode {
  readonly #world: World;
  readonly #stream: Stream;
  readonly disk: JournalDisk;
  readonly clock: HostClock;
  readonly #links = new Map<string, Link>();
  readonly #requests = new Map<string, { command: ManagerCommand; answer: Answer }>();
  /** Content-addressed, written through before the frame that names it is passed on. */
  readonly #blobs = new Map<string, string>();
  #machine: ManagerMachine | null = null;
  #driver: Driver<ManagerInput, ManagerEffect, ManagerSnapshot> | null = null;
  #lives = 0;
  #connections = 0;
  #requestCount = 0;
  /** The last order sent on each line, to replay it where it does not belong. */
  readonly lastOrders = new Map<Line, string>();

  constructor(world: World) {
    this.#world = world;
    this.#stream = world.stream.fork(NAME);
    this.clock = new HostClock(1 + world.swarm.rateError * this.#stream.between(-1, 1));
    this.disk = new JournalDisk({
      schedule: world.schedule,
      stream: this.#stream.fork('disk'),
      commitMs: world.swarm.commitMs,
      outOfOrder: world.mutants.has('journal-out-of-order'),
      onDurable: (records) => {
        for (const observer of world.observers)
          observer.managerDurable?.(records as readonly ManagerRecord[]);
      },
      count: world.count,
    });
  }

  get up(): boolean {
    return this.#driver !== null;
  }
  /** The living machine. Throws while the manager is down. */
  get machine(): ManagerMachine {
    if (this.#machine === null) throw new Error('the manager is down');
    return this.#machine;
  }

  start(): void {
    if (this.#driver !== null) return;
    const world = this.#world;
    this.#lives += 1;
    const stream = this.#stream.fork(`life ${this.#lives}`);
    const { snapshotText, records } = this.disk.load();
    for (const observer of world.observers) observer.managerStarted?.(this.disk.durableRecords);
    let machine: ManagerMachine;
    try {
      machine = new ManagerMachine({
        random: randomPort(stream.fork('machine')),
        digest: sha256,
        validateConfig,
        beatIntervalMs: BEAT_INTERVAL_MS,
        software: 'simulated',
        ...(snapshotText === null ? {} : { snapshot: JSON.parse(snapshotText) as ManagerSnapshot }),
        records,
        mutants: world.mutants,
      });
    } catch (error) {
      return world.fail(
        'replay-gives-same-digest',
        `the manager cannot start from its journal: ${(error as Error).message}`,
      );
    }
    this.#machine = machine;
    this.#driver = this.#makeDriver(machine, stream);
    world.line(NAME, `starts, life ${this.#lives}, ${this.disk.durableSeq} records`);
    this.#driver.submit({ kind: 'start', agentTypes });
  }

  #makeDriver(machine: ManagerMachine, stream: Stream): Driver<ManagerInput, ManagerEffect, ManagerSnapshot> {
    const world = this.#world;
    return new Driver<ManagerInput, ManagerEffect, ManagerSnapshot>({
      name: NAME,
      schedule: world.schedule,
      stream: stream.fork('driver'),
      disk: this.disk,
      machine,
      now: () => this.clock.at(world.now),
      worldDelay: (ms) => this.clock.worldDelay(ms),
      execute: (effect) => this.#execute(effect),
      onNote: (note) => world.trace.note(world.now, NAME, note),
      onStep: (input, effects, appended) => {
        for (const observer of world.observers) observer.managerStepped?.(input, effects, appended);
      },
      onExecute: (effect, required) => {
        const durable = this.disk.durableSeq;
        for (const observer of world.observers) observer.managerExecutes?.(effect, required, durable);
      },
      crashPoint: (where) => {
        if (world.drawCrash(where)) this.crash();
      },
      onFatal: (error) => world.fail('machine-never-throws', `manager: ${error.message}`),
      snapshotEvery: world.swarm.snapshotEvery * 3,
      sendsBeforeDurable: world.mutants.has('sends-before-durable'),
    });
  }

  /** SIGKILL. Its supervisor starts it again. */
  crash(restartAfterMs = this.#stream.between(50, 15_000)): void {
    if (this.#driver === null) return;
    const world = this.#world;
    world.line(NAME, 'dies');
    this.#driver.kill();
    this.#driver = null;
    this.#machine = null;
    for (const { connection } of this.#links.values()) connection.processDied('manager');
    this.#links.clear();
    this.lastOrders.clear();
    this.disk.crash();
    const unanswered = [...this.#requests.values()];
    this.#requests.clear();
    for (const { answer } of unanswered) world.schedule.after(1, 'unanswered', () => answer(null));
    for (const observer of world.observers) observer.managerCrashed?.();
    world.schedule.after(restartAfterMs, 'manager-restart', () => this.start());
  }

  pauseUntil(worldTime: number): void {
    this.#driver?.pauseUntil(worldTime);
  }

  /** A client's request over HTTP. */
  ask(actor: Actor, command: ManagerCommand, answer: Answer): void {
    const world = this.#world;
    const delay = world.swarm.networkMs * this.#stream.between(0.3, 1.7);
    world.schedule.after(delay, 'request', () => {
      if (this.#driver === null) return answer(null);
      this.#requestCount += 1;
      const request = `req-${this.#requestCount}`;
      this.#requests.set(request, { command, answer });
      world.line(NAME, `asked by ${actor.id}: ${JSON.stringify(command)}`);
      this.#driver.submit({ kind: 'command', request, actor, command });
    });
  }

  /** A connection that an orchestrator has dialled. */
  accept(line: Line, orchestratorEnd: End): Connection {
    const world = this.#world;
    this.#connections += 1;
    const id = `link-${this.#connections}`;
    const options = {
      schedule: world.schedule,
      stream: world.stream.fork(`connection ${id}`),
      meanMs: world.swarm.networkMs,
    };
    const managerEnd: End = {
      onText: (text) => this.#onText(id, text),
      onClosed: () => this.#onClosed(id),
    };
    const connection = new Connection(
      id,
      line,
      { manager: managerEnd, orchestrator: orchestratorEnd },
      options,
    );
    this.#links.set(id, { connection, hello: null, opened: false, sequence: 0 });
    world.schedule.after(HANDSHAKE_LIMIT_MS, 'handshake-limit', () => {
      const link = this.#links.get(id);
      if (link !== undefined && !link.opened) this.#close(id);
    });
    return connection;
  }

  #close(id: string): void {
    const link = this.#links.get(id);
    if (link === undefined) return;
    link.connection.close('manager');
    this.#onClosed(id);
  }

  #onClosed(id: string): void {
    const link = this.#links.get(id);
    if (link === undefined) return;
    this.#links.delete(id);
    if (link.opened) this.#driver?.submit({ kind: 'linkClosed', link: id });
  }

  #onText(id: string, text: string): void {
    const link = this.#links.get(id);
    if (link === undefined || this.#driver === null) return;
    const decoded = decodeOrchestratorFrame(text);
    if (!decoded.ok) {
      this.#world.count('garbage refused by the manager');
      return this.#reject(id, 'link-protocol', 1_000);
    }
    const { frame } = decoded;
    if (!link.opened) return this.#handshake(id, link, frame);
    if (frame.t === 'hello' || frame.t === 'proof') return this.#reject(id, 'link-protocol', 1_000);
    if (frame.t === 'blob') {
      if (sha256(frame.data) === frame.digest) this.#blobs.set(frame.digest, frame.data);
      return;
    }
    if (frame.t === 'blobGet') {
      const data = this.#blobs.get(frame.digest) ?? null;
      return this.#sendFrame(link, { t: 'blob', digest: frame.digest, data });
    }
    this.#driver.submit({ kind: 'frame', link: id, frame });
  }

  #handshake(id: string, link: Link, frame: OrchestratorFrame): void {
    if (frame.t === 'hello' && link.hello === null) {
      link.hello = frame;
      return this.#sendFrame(link, challengeFrame(this.#stream));
    }
    if (frame.t !== 'proof' || link.hello === null) return this.#reject(id, 'link-protocol', 1_000);
    const { orchestratorId, publicKey, instance, bootId, software } = link.hello;
    link.opened = true;
    this.#driver?.submit({
      kind: 'linkOpened',
      link: id,
      orchestratorId,
      publicKey,
      instance,
      bootId,
      software,
    });
  }

  #reject(id: string, code: string, retryAfterMs: number): void {
    const link = this.#links.get(id);
    if (link === undefined) return;
    this.#sendFrame(link, { t: 'reject', code, message: code, next: '', retryAfterMs });
    this.#close(id);
  }

  #sendFrame(link: Link, frame: ManagerFrame): void {
    link.connection.send('down', encodeFrame(frame));
  }

  #execute(effect: ManagerEffect): void {
    switch (effect.kind) {
      case 'append':
      case 'note':
      case 'publish':
        return;
      case 'send': {
        const link = this.#links.get(effect.link);
        if (link !== undefined) this.#sendFrame(link, effect.frame);
        return;
      }
      case 'order': {
        const link = this.#links.get(effect.link);
        if (link === undefined) return;
        link.sequence += 1;
        const { wall } = this.clock.at(this.#world.now);
        const { customerId, orchestratorId, session, body } = effect;
        const times = { issuedAt: wall, expiresAt: wall + ORDER_LIFE_MS };
        const doc = { customerId, orchestratorId, session, sequence: link.sequence, ...times, body };
        const text = encodeFrame({ t: 'order', doc, sig: FAKE_SIGNATURE });
        this.#world.count(body.kind === 'target' ? `order target ${body.target.kind}` : 'order stopQuery');
        this.lastOrders.set(link.connection.line, text);
        link.connection.send('down', text);
        return;
      }
      case 'closeLink':
        return this.#reject(effect.link, effect.code, effect.retryAfterMs);
      case 'reply': {
        const request = this.#requests.get(effect.request);
        this.#requests.delete(effect.request);
        if (request === undefined) return;
        const { command, answer } = request;
        for (const observer of this.#world.observers) observer.replied?.(command, effect.result);
        if (!effect.result.ok) this.#world.count(`refused ${effect.result.code}`);
        else this.#world.count(`done ${command.kind}`);
        const delay = this.#world.swarm.networkMs * this.#stream.between(0.3, 1.7);
        this.#world.schedule.after(delay, 'reply', () => answer(effect.result));
      }
    }
  }
}

function challengeFrame(stream: Stream): ManagerFrame {
  const key = 'k'.repeat(43);
  const doc = {
    v: 1 as const,
    root: key,
    signer: key,
    scope: 'everything' as const,
    notBefore: 0,
    notAfter: 1e15,
    serial: 1,
  };
  const delegation = { doc, sig: FAKE_SIGNATURE, key };
  return { t: 'challenge', v: 1, nonce: stream.word(20), delegation, sig: FAKE_SIGNATURE };
}
