/**
 * One life of an orchestrator's daemon: the real machine, the driver, and a shell that does with simulated parts what the
 * production shell does with real ones. A new life starts from what the journal on disk holds.
 */
import type { AgentExit, BlobRef } from '@muster/contract';
import { EMPTY_STATE } from '@muster/contract';
import { agentTypes } from './agent-types.ts';
import { Driver } from './driver.ts';
import { FifoPipe } from './fifo-pipe.ts';
import type { Host } from './host.ts';
import { type AgentProcess, isFailure, type Keeper, type KeeperClient } from './keeper.ts';
import {
  type LocalCommand,
  type LocalResult,
  type OrchestratorEffect,
  type OrchestratorInput,
  OrchestratorMachine,
  type OrchestratorSnapshot,
} from './machines.ts';
import type { ManagerNode } from './manager-node.ts';
import { randomPort, type Stream } from './random.ts';
import { FAKE_SIGNATURE, Uplink } from './uplink.ts';
import { sha256, type World } from './world.ts';

type EffectOf<K extends OrchestratorEffect['kind']> = Extract<OrchestratorEffect, { kind: K }>;

export class Daemon {
  readonly #world: World;
  readonly #host: Host;
  readonly #stream: Stream;
  readonly machine: OrchestratorMachine;
  readonly uplink: Uplink;
  readonly #driver: Driver<OrchestratorInput, OrchestratorEffect, OrchestratorSnapshot>;
  readonly #localWaiters = new Map<
    string,
    { command: LocalCommand; answer: (result: LocalResult) => void }
  >();
  #keeper: { keeper: Keeper; client: KeeperClient } | null = null;
  #requests = 0;

  constructor(world: World, host: Host, manager: ManagerNode, life: number) {
    this.#world = world;
    this.#host = host;
    this.#stream = world.stream.fork(`${host.name} daemon ${life}`);
    const { snapshotText, records } = host.disk.load();
    const identity = host.identity;
    if (identity === null) throw new Error(`${host.name} starts its daemon without an identity`);
    this.machine = new OrchestratorMachine({
      orchestratorId: identity.orchestratorId,
      random: randomPort(this.#stream.fork('machine')),
      digest: sha256,
      maxAgents: host.maxAgents,
      ...(snapshotText === null ? {} : { snapshot: JSON.parse(snapshotText) as OrchestratorSnapshot }),
      records,
      mutants: world.mutants,
    });
    this.uplink = new Uplink({
      world,
      host,
      manager,
      instance: this.#stream.word(16),
      stream: this.#stream.fork('uplink'),
      onUp: (welcome) =>
        this.#driver.submit({
          kind: 'linkUp',
          generation: welcome.generation,
          beatIntervalMs: welcome.beatIntervalMs,
        }),
      onDown: () => this.#driver.submit({ kind: 'linkDown' }),
      onFrame: (frame) =>
        this.#driver.submit(
          frame.t === 'order' ? { kind: 'order', body: frame.doc.body } : { kind: 'frame', frame },
        ),
    });
    this.#driver = this.#makeDriver();
  }

  #makeDriver(): Driver<OrchestratorInput, OrchestratorEffect, OrchestratorSnapshot> {
    const world = this.#world;
    const host = this.#host;
    return new Driver({
      name: host.name,
      schedule: world.schedule,
      stream: this.#stream.fork('driver'),
      disk: host.disk,
      machine: this.machine,
      now: () => host.clock.at(world.now),
      worldDelay: (ms) => host.clock.worldDelay(ms),
      execute: (effect) => this.#execute(effect),
      onNote: (note) => world.trace.note(world.now, host.name, note),
      onStep: (input, effects, appended) => {
        for (const observer of world.observers)
          observer.orchestratorStepped?.(host, input, effects, appended);
      },
      onExecute: (effect, required) => {
        const durable = host.disk.durableSeq;
        for (const observer of world.observers) {
          observer.orchestratorExecutes?.(host, effect, required, durable);
        }
      },
      crashPoint: (where) => {
        if (world.drawCrash(where)) host.crashDaemon();
      },
      onFatal: (error) => world.fail('machine-never-throws', `${host.name}: ${error.message}`),
      snapshotEvery: world.swarm.snapshotEvery,
      sendsBeforeDurable: world.mutants.has('sends-before-durable'),
    });
  }

  get alive(): boolean {
    return this.#driver.alive;
  }

  start(): void {
    this.#driver.submit({ kind: 'host', host: this.#host.facts });
    this.#driver.submit({ kind: 'measured', health: 100, resources: { cpu_usage_percent: 10 } });
    this.uplink.dial();
  }

  die(machineOff: boolean): void {
    this.#driver.kill();
    this.uplink.die(machineOff);
    if (this.#keeper !== null) this.#keeper.client.open = false;
    this.#keeper = null;
  }

  pauseUntil(worldTime: number): void {
    this.#driver.pauseUntil(worldTime);
  }

  /** Ask as the customer's own operator. */
  local(command: LocalCommand, answer: (result: LocalResult) => void): void {
    this.#requests += 1;
    const request = `local-${this.#requests}`;
    this.#localWaiters.set(request, { command, answer });
    this.#driver.submit({ kind: 'local', request, command });
  }

  // ---- keeper ----------------------------------------------------------------------------------------------------------

  /** A keeper is there: say hello. */
  connectKeeper(keeper: Keeper): void {
    const world = this.#world;
    const pipe = (label: string): FifoPipe => new FifoPipe(world.schedule, this.#stream.fork(label));
    this.#requests += 1;
    const client: KeeperClient = {
      toKeeper: pipe(`to keeper ${this.#requests}`),
      toDaemon: pipe(`to daemon ${this.#requests}`),
      open: true,
      onExited: (agentId: string, exit: AgentExit) => this.#driver.submit({ kind: 'exited', agentId, exit }),
    };
    this.#keeper = { keeper, client };
    client.toKeeper.send('hello', () => {
      if (!keeper.alive) return;
      const agents = keeper.hello(client);
      this.#fromKeeper(client, () => {
        this.#driver.submit({ kind: 'keeperUp', agents });
        for (const process of keeper.processes) this.agentConnects(process);
      });
    });
  }

  keeperDied(): void {
    if (this.#keeper === null) return;
    this.#keeper.client.open = false;
    this.#keeper = null;
    this.#driver.submit({ kind: 'keeperDown' });
  }

  /** An agent's socket: it says that it is ready a little after it could connect. */
  agentConnects(process: AgentProcess): void {
    const { agentId, epoch, sub } = process;
    this.#world.schedule.after(this.#stream.between(20, 1_500), 'ready', () => {
      if (!process.alive || !this.alive) return;
      this.#driver.submit({ kind: 'agentReady', agentId, epoch, sub });
      this.#driver.submit({
        kind: 'agentHealth',
        agentId,
        epoch,
        sub,
        state: 'running',
        ok: true,
        detail: '',
      });
      this.#driver.submit({ kind: 'agentMetrics', agentId, values: { equity: 100 + sub } });
      this.#host.agentWrites(process);
      this.#driver.submit({ kind: 'stateSize', agentId, bytes: 100 });
    });
  }

  #fromKeeper(client: KeeperClient, deliver: () => void): void {
    client.toDaemon.send('keeper-reply', () => {
      if (client.open && this.alive) deliver();
    });
  }

  #askKeeper<T extends object>(
    ask: (keeper: Keeper, answer: (result: T) => void) => void,
    onAnswer: (result: T) => void,
  ): void {
    const connected = this.#keeper;
    if (connected === null) return;
    const { keeper, client } = connected;
    client.toKeeper.send('keeper-request', () => {
      if (!keeper.alive) return;
      ask(keeper, (result) => this.#fromKeeper(client, () => onAnswer(result)));
    });
  }

  // ---- effects ---------------------------------------------------------------------------------------------------------

  #execute(effect: OrchestratorEffect): void {
    switch (effect.kind) {
      case 'append':
      case 'note':
        return;
      case 'send':
        return this.#send(effect);
      case 'sendReceipts': {
        const receipts = effect.receipts.map((doc) => ({ doc, sig: FAKE_SIGNATURE }));
        this.uplink.send({ t: 'receipts', receipts });
        return;
      }
      case 'dropLink':
        this.#world.count('link dropped by an orchestrator');
        return this.uplink.drop();
      case 'spawn':
        return this.#spawn(effect);
      case 'stopProcess':
        return this.#stopProcess(effect);
      case 'release':
        return this.#release(effect);
      case 'installState':
        return this.#install(effect);
      case 'collectState':
        return this.#collect(effect);
      case 'purgeState':
        return this.#later(() => {
          this.#host.changeState(effect.agentId, null, 'purge');
          this.#driver.submit({ kind: 'statePurged', agentId: effect.agentId });
        });
      case 'reply': {
        const waiter = this.#localWaiters.get(effect.request);
        this.#localWaiters.delete(effect.request);
        if (waiter === undefined) return;
        for (const observer of this.#world.observers) {
          observer.localReplied?.(this.#host, waiter.command, effect.result);
        }
        waiter.answer(effect.result);
      }
    }
  }

  #send({ frame }: EffectOf<'send'>): void {
    if (frame.t === 'stopped' && frame.state !== null && frame.state.bytes > 0) {
      const data = this.#host.packed.get(frame.state.digest);
      // Not packed here: the agent never began, and the state is the one that the manager gave.
      if (data !== undefined) this.uplink.send({ t: 'blob', digest: frame.state.digest, data });
    }
    this.uplink.send(frame);
  }

  #spawn({ agentId, epoch, spec, note }: EffectOf<'spawn'>): void {
    if (!agentTypes.some((recipe) => recipe.type === spec.type)) {
      return this.#driver.submit({
        kind: 'spawnFailed',
        agentId,
        epoch,
        code: 'unknown-type',
        message: 'unknown type',
      });
    }
    this.#askKeeper<{ sub: number; pid: number } | { code: never; message: string }>(
      (keeper, answer) => keeper.spawn({ agent: agentId, epoch, note }, (result) => answer(result as never)),
      (result) => {
        if (isFailure(result)) {
          const { code, message } = result;
          return this.#driver.submit({ kind: 'spawnFailed', agentId, epoch, code, message });
        }
        const { sub, pid } = result;
        this.#driver.submit({ kind: 'spawned', agentId, epoch, sub, pid, hostPid: pid });
        const process = this.#keeper?.keeper.processes.find((item) => item.pid === pid);
        if (process !== undefined) this.agentConnects(process);
      },
    );
  }

  #stopProcess({ agentId, graceMs }: EffectOf<'stopProcess'>): void {
    this.#askKeeper<object>(
      (keeper, answer) => keeper.stop(agentId, graceMs, answer),
      (result) => {
        const wasRunning = (result as { wasRunning?: boolean }).wasRunning === true;
        this.#driver.submit({ kind: 'stopAnswered', agentId, wasRunning });
      },
    );
  }

  #release({ agentId, epoch, graceMs, inFlightMs }: EffectOf<'release'>): void {
    if (this.#host.drawFailure()) {
      return this.#later(() =>
        this.#driver.submit({
          kind: 'releaseFailed',
          agentId,
          epoch,
          message: 'the record could not be written',
        }),
      );
    }
    this.#askKeeper<object>(
      (keeper, answer) => keeper.release({ agent: agentId, epoch, graceMs, inFlightMs }, answer),
      () => this.#driver.submit({ kind: 'released', agentId, epoch }),
    );
  }

  #install({ agentId, epoch, state }: EffectOf<'installState'>): void {
    const ready = (content: number | null): void =>
      this.#later(() => {
        this.#host.changeState(agentId, content, 'install');
        this.#driver.submit({ kind: 'stateReady', agentId, epoch });
      });
    const failed = (message: string): void =>
      this.#later(() => this.#driver.submit({ kind: 'stateFailed', agentId, epoch, message }));
    if (this.#host.drawFailure()) return failed('no space left on the device');
    if (state.digest === EMPTY_STATE.digest) return ready(null);
    this.uplink.fetchBlob(state.digest, (data) => {
      if (data === null) return failed('the manager could not be asked for the state');
      if (sha256(data) !== state.digest) return failed('the state is damaged');
      ready(Number(data));
    });
  }

  #collect({ agentId, epoch }: EffectOf<'collectState'>): void {
    const failing = this.#host.drawFailure();
    this.#later(() => {
      const content = this.#host.readState(agentId);
      let state: BlobRef | null = null;
      if (!failing && content !== null) {
        const data = String(content);
        state = { digest: sha256(data), bytes: data.length };
        this.#host.packed.set(state.digest, data);
      }
      const error = failing ? 'the state could not be read' : null;
      this.#driver.submit({ kind: 'stateCollected', agentId, epoch, state, error });
    });
  }

  /** File work of the daemon: takes a while, dies with the daemon. */
  #later(action: () => void): void {
    this.#world.schedule.after(this.#stream.between(1, 300), 'files', () => {
      if (this.alive) action();
    });
  }
}
