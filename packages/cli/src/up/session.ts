/**
 * One run of `muster up`, from the first child to the last.
 *
 * Order of a start: the manager listens; machines without an identity get a join token; orchestrators listen and connect; a
 * fleet without agents gets some. The picture is refreshed all the while. Nothing goes on after a stop was asked for: every
 * step checks before it acts.
 */
import { join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type ExitCode, exitCode, exitCodeMeanings } from '../exit-codes.ts';
import { CommandFailure } from '../failure.ts';
import type { Services } from '../services.ts';
import { Child, ChildFailed } from './child.ts';
import { environmentOfManager, environmentOfOrchestrator } from './child-environments.ts';
import { deployDemo } from './demo.ts';
import type { Display } from './display.ts';
import { forgetToken, hasIdentity, type LocalMachine, prepareMachine, tokenFileOf } from './enrolment.ts';
import { adminPassword, FleetClient, passwordPath } from './fleet-client.ts';
import { FleetReader, type FleetView, isSettled, nodeRows, type ProcessRow } from './fleet-view.ts';
import { launcherWatch } from './launcher.ts';
import type { UpSettings } from './settings.ts';
import type { Interruption } from './up.ts';

export interface SessionOptions {
  readonly services: Services;
  readonly settings: UpSettings;
  readonly managerDirectory: string;
  readonly machines: readonly LocalMachine[];
  readonly display: Display;
}

/** An orchestrator stops its agents first, each within its own grace. */
const orchestratorStopLimitMs = 40_000;
const managerStopLimitMs = 20_000;
const refreshEveryMs = 500;
const rotateEveryMs = 60_000;
/** How long machines may take to join before the start goes on without them, ms. */
const joinLimitMs = 60_000;

class Interrupted extends Error {}

export class UpSession {
  readonly #options: SessionOptions;
  readonly #manager: Child;
  readonly #orchestrators: readonly { readonly machine: LocalMachine; readonly child: Child }[];
  readonly #startedAtMs = performance.now();
  #reader: FleetReader | undefined;
  #view: FleetView;
  #stopping = false;
  #signInFailed = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    const { services, settings, managerDirectory, machines } = options;
    this.#manager = this.#child('manager', managerStopLimitMs, () =>
      environmentOfManager(services.environment, {
        port: this.#manager.told?.port ?? settings.port,
        dataDirectory: managerDirectory,
      }),
    );
    this.#orchestrators = machines.map((machine, index) => {
      const child: Child = this.#child(machine.name, orchestratorStopLimitMs, () =>
        environmentOfOrchestrator(services.environment, {
          ...machine,
          port: child.told?.port ?? settings.agentPorts[index] ?? 0,
          managerUrl: this.#url,
          joinTokenFile: tokenFileOf(machine),
        }),
      );
      return { machine, child };
    });
    this.#view = { manager: processRow(this.#manager), nodes: [], agents: [], fresh: true };
  }

  /** Runs until the interruption. Returns the exit code. @throws CommandFailure when the start fails. */
  async run(interruption: Interruption): Promise<number> {
    const { display } = this.#options;
    interruption.again = () =>
      display.notice(`still stopping, for ${orchestratorStopLimitMs / 1000} s at most`);
    const interrupted = new Promise<void>((resolve) => {
      interruption.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    let failure: Error | undefined;
    const launcherIsGone = launcherWatch();
    const refreshing = this.#refreshUntilStopped(() => {
      if (launcherIsGone()) interruption.stop();
    });
    try {
      await Promise.race([this.#start(), interrupted, refreshing]);
      await Promise.race([interrupted, refreshing]);
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error));
    }
    this.#stopping = true;
    this.#show();
    await refreshing.catch(() => {});
    await this.#stop();
    this.#show();
    display.close();
    if (failure !== undefined) throw failure;
    const where = this.#shown(this.#options.settings.dataDirectory);
    display.say(`Stopped; nothing runs any more. Everything is kept in ${where}.`);
    return exitCode.ok;
  }

  // ── Starting ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async #start(): Promise<void> {
    const { services, settings, managerDirectory, display } = this.#options;
    const told = await this.#listening(this.#manager);
    const client = new FleetClient(this.#url, () => adminPassword(services.environment, managerDirectory));
    display.say(`Manager at ${this.#url}. Sign in as admin${this.#passwordHint(told.passwordMade === true)}`);
    for (const { machine } of this.#orchestrators) await this.#step(() => prepareMachine(client, machine));
    this.#reader = new FleetReader(client);
    await Promise.all(this.#orchestrators.map(({ child }) => this.#listening(child)));
    const joined = await this.#waitForMachines();
    for (const { machine } of this.#orchestrators) if (hasIdentity(machine)) forgetToken(machine);
    if (!settings.demo || !joined) return;
    const markPath = join(settings.dataDirectory, 'demo.json');
    const names = await this.#step(() => deployDemo(client, markPath, this.#orchestrators.length));
    if (names.length > 0) display.notice(`deployed ${names.join(', ')}`);
  }

  /** The password itself only when it was made just now; later where it is kept. */
  #passwordHint(made: boolean): string {
    const { services, managerDirectory } = this.#options;
    if (!made) return `; ${this.#passwordPlace()}.`;
    const password = adminPassword(services.environment, managerDirectory).reveal();
    const path = this.#shown(passwordPath(managerDirectory));
    return ` with the password ${password}\n(shown only now; it is kept in ${path})`;
  }

  #passwordPlace(): string {
    const { environment } = this.#options.services;
    const given =
      (environment['ADMIN_PASSWORD'] ?? '') !== '' || (environment['ADMIN_PASSWORD_FILE'] ?? '') !== '';
    if (given) return 'the password is that of ADMIN_PASSWORD';
    return `the password is in ${this.#shown(passwordPath(this.#options.managerDirectory))}`;
  }

  /** Starts a child and waits until it listens. @throws CommandFailure with the last line of its log. */
  async #listening(child: Child): ReturnType<Child['start']> {
    try {
      return await this.#step(() => child.start());
    } catch (error) {
      if (!(error instanceof ChildFailed)) throw error;
      const known = exitCodeMeanings.some(([code]) => code === error.exitCode && code >= exitCode.damaged);
      const reason = error.lastLine?.replace(/^muster: /, '') ?? error.message;
      throw new CommandFailure({
        what: `${child.name} did not start: ${reason}`,
        next: `Its log is ${this.#shown(child.log.path)}`,
        code: known ? (error.exitCode as ExitCode) : exitCode.unavailable,
      });
    }
  }

  /** Does `act` unless a stop was asked for, and drops its result when one was asked for meanwhile. */
  async #step<Result>(act: () => Promise<Result>): Promise<Result> {
    if (this.#stopping) throw new Interrupted();
    const result = await act();
    if (this.#stopping) throw new Interrupted();
    return result;
  }

  /** Returns whether every machine is connected; says which is not when time is up. */
  async #waitForMachines(): Promise<boolean> {
    const giveUpAt = performance.now() + joinLimitMs;
    const waiting = (): readonly string[] =>
      this.#orchestrators
        .map(({ child }) => child.name)
        .filter((name) => this.#view.nodes.find((node) => node.name === name)?.connection !== 'connected');
    while (waiting().length > 0 && performance.now() < giveUpAt) await this.#step(() => delay(100));
    for (const { child } of this.#orchestrators.filter(({ child: { name } }) => waiting().includes(name))) {
      this.#options.display.notice(
        `${child.name} is not connected after ${joinLimitMs / 1000} s: ${child.log.lastLine() ?? 'its log is empty'}`,
      );
    }
    return waiting().length === 0;
  }

  // ── Showing ───────────────────────────────────────────────────────────────────────────────────────────────────────

  async #refreshUntilStopped(onTick: () => void): Promise<void> {
    let rotateAt = performance.now() + rotateEveryMs;
    let settled = false;
    while (!this.#stopping) {
      onTick();
      await this.#refresh();
      this.#show();
      if (!settled && this.#view.agents.length > 0 && isSettled(this.#view)) {
        settled = true;
        this.#options.display.notice(`all ${this.#view.agents.length} agents are running`);
      }
      if (performance.now() >= rotateAt) {
        rotateAt += rotateEveryMs;
        for (const child of this.#children) child.log.rotate();
      }
      await delay(refreshEveryMs);
    }
  }

  async #refresh(): Promise<void> {
    const { agents, nodes } = this.#view;
    const processes = this.#orchestrators.map(({ child }) => processRow(child));
    const manager = processRow(this.#manager);
    try {
      const read = await this.#reader?.read();
      this.#view = {
        manager,
        nodes: nodeRows(processes, read?.nodes ?? []),
        agents: read?.agents ?? [],
        fresh: true,
      };
    } catch (error) {
      if (!(error instanceof CommandFailure)) throw error;
      if (error.code === exitCode.notAllowed) this.#tellSignInFailed();
      const old = nodes.map((node) => ({
        ...node,
        process: processes.find(({ name }) => name === node.name) ?? null,
      }));
      this.#view = { manager, nodes: old, agents, fresh: false };
    }
  }

  #tellSignInFailed(): void {
    if (this.#signInFailed) return;
    this.#signInFailed = true;
    this.#options.display.notice(
      'the manager does not accept the password of admin known here, so nothing of the fleet can be shown: set ADMIN_PASSWORD',
    );
  }

  #show(): void {
    const { settings, display } = this.#options;
    const { dataDirectory } = settings;
    const view = this.#stopping ? this.#stoppingView() : this.#view;
    display.show({
      view,
      url: this.#url,
      upMs: performance.now() - this.#startedAtMs,
      stopping: this.#stopping,
      hints: [
        ['sign in', `user admin, ${this.#passwordPlace()}`],
        ['shell', `npx muster login --url ${this.#url}, then npx muster ps`],
        ['data', `${this.#shown(dataDirectory)}, logs in ${this.#shown(join(dataDirectory, 'logs'))}`],
      ],
    });
  }

  #stoppingView(): FleetView {
    const processes = this.#orchestrators.map(({ child }) => processRow(child));
    const nodes = this.#view.nodes.map((node) => ({
      ...node,
      process: processes.find(({ name }) => name === node.name) ?? null,
    }));
    // What was last heard of agents that are being stopped is old from now on.
    return { ...this.#view, manager: processRow(this.#manager), nodes, fresh: false };
  }

  // ── Stopping ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async #stop(): Promise<void> {
    await Promise.all(
      this.#orchestrators.map(async ({ child }) => {
        await child.stop();
        if (child.mayHaveLeftAgents) await this.#endLeftAgents(child);
        this.#show();
      }),
    );
    await this.#manager.stop();
  }

  /** An orchestrator that died has left its agents to the keeper: it is started once more, to end both in order. */
  async #endLeftAgents(child: Child): Promise<void> {
    try {
      await child.restartForStop();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#options.display.say(
        `${child.name} could not end its agents in order: ${reason}. See ${child.log.path}`,
      );
    }
    await child.stop();
  }

  // ── Small things ──────────────────────────────────────────────────────────────────────────────────────────────────

  #child(
    name: string,
    stopLimitMs: number,
    environment: () => ReturnType<typeof environmentOfManager>,
  ): Child {
    const { settings, display } = this.#options;
    return new Child({
      name,
      arguments: [name === 'manager' ? 'manager' : 'orchestrator'],
      environment,
      logPath: join(settings.dataDirectory, 'logs', `${name}.log`),
      stopLimitMs,
      notice: (line) => display.notice(line),
      script: fileURLToPath(new URL('../main.ts', import.meta.url)),
    });
  }

  get #children(): readonly Child[] {
    return [this.#manager, ...this.#orchestrators.map(({ child }) => child)];
  }

  get #url(): string {
    return this.#manager.told?.url ?? `http://127.0.0.1:${this.#options.settings.port}`;
  }

  /** A path as the person would type it. */
  #shown(path: string): string {
    const near = relative(process.cwd(), path);
    return near !== '' && !near.startsWith('..') ? near : path;
  }
}

function processRow(child: Child): ProcessRow {
  return { name: child.name, state: child.state, pid: child.pid ?? null, port: child.told?.port ?? null };
}
