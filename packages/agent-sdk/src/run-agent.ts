/**
 * The life of an agent process: `runAgent({ setup })` and nothing else is needed.
 *
 * Order of things: connect → hello → welcome (configuration, fence) → `setup(context)` → the program calls
 * `context.ready()`. `setup` runs once per process; later welcomes only renew fence and report interval, because an agent
 * goes on working while the daemon is away. One timer sends health and metrics and calls the program's `report`.
 *
 * Exit codes: 0 stopped in order; 64 not started by an orchestrator; 70 a bug or a failed setup; 78 refused by the
 * orchestrator (this process is not the current incarnation) and therefore ended at once, without running `stop`.
 */
import { uptime } from 'node:os';
import type { AgentLifecycle, OrchestratorToAgentFrame } from '@muster/contract';
import { type AgentCommand, CommandDesk, type CommandHandler } from './commands.ts';
import { Connection } from './connection.ts';
import { type AgentLog, createLog, stdoutWriter, type WriteLine } from './log.ts';
import { type AgentState, StateClient } from './state-client.ts';

export const sdkVersion = '0.1.0';
const protocolVersion = 1;
export const exitCodes = { stopped: 0, notSupervised: 64, failed: 70, refused: 78 } as const;

/** What entitles this process to act. */
export interface Fence {
  /** Fencing number of the placement; larger is newer. */
  readonly epoch: number;
  /** Incarnation within the epoch, raised at each restart of the process. */
  readonly sub: number;
  /** For a venue's tag field; never part of a client order id, which must hash the decision alone. */
  readonly orderIdPrefix: string;
  /** Boot-clock milliseconds until which the agent may act; null without a lease. */
  readonly deadlineUptimeMs: number | null;
  /** False once the lease has run out; always true without one. Ask before every act that reaches the outside. */
  canTrade(): boolean;
}

export interface StopRequest {
  /** `signal` or the orchestrator's words. */
  readonly reason: string;
  /** Milliseconds until the process is killed. */
  readonly graceMs: number;
}

export interface AgentContext {
  readonly agentId: string;
  readonly agentType: string;
  /** The deployment this agent belongs to; its own id when it belongs to none. */
  readonly deploymentId: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly fence: Fence;
  /** Directory for the agent's own durable files; part of its portable state. */
  readonly stateDir: string;
  readonly log: AgentLog;
  readonly state: AgentState;
  /** Is the orchestrator's daemon reachable now? For display; never a reason to stop working. */
  connected(): boolean;
  /** The agent is able to do its work; repeated after each reconnect by the SDK. */
  ready(): void;
  /** Sent at once when it changed, and with every report. `ok` defaults to true except for failed and degraded. */
  health(state: AgentLifecycle, detail?: string, ok?: boolean): void;
  /** Replaces the metrics sent with the next report. Names `[a-z][a-z0-9_]*`; values that are not finite are left out. */
  metrics(values: Readonly<Record<string, number>>): void;
  command(verb: string, handler: CommandHandler): void;
  /** Ends the process in order, as if the orchestrator had asked for it. */
  stop(reason: string): void;
}

export interface AgentProgram {
  /** Called before each report, every `reportIntervalMs`: refresh metrics here instead of owning a timer. */
  report?(): void;
  /** Finish in order: the process exits when the promise settles. */
  stop?(request: StopRequest): void | Promise<void>;
}

export interface AgentDefinition {
  /** Named in `hello`, for example `@muster/agents 0.1.0`. */
  readonly name?: string;
  setup(context: AgentContext): AgentProgram | void | Promise<AgentProgram | void>;
}

/** The process around an agent; replaced in tests. */
export interface AgentHost {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly write: WriteLine;
  exit(code: number): void;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
}

type WelcomeFrame = Extract<OrchestratorToAgentFrame, { t: 'welcome' }>;

interface CurrentHealth {
  state: AgentLifecycle;
  ok: boolean;
  detail: string | undefined;
}

const signalGraceMs = 10_000;

/** One agent inside one process. Exported for tests; programs use `runAgent`. */
export class AgentRunner {
  readonly #definition: AgentDefinition;
  readonly #host: AgentHost;
  readonly #connection: Connection;
  readonly #state: StateClient;
  readonly #desk = new CommandDesk();
  readonly #log: AgentLog;
  readonly #agentId: string;
  readonly #epoch: string;
  #program: AgentProgram | undefined;
  /** Settles when `setup` has: commands that arrive earlier wait for it. */
  #prepared: Promise<void> | undefined;
  #welcomed = false;
  #configText = '';
  #fence: WelcomeFrame['fence'] = {
    epoch: 0,
    sub: 0,
    deadlineUptimeMs: null,
  };
  #ready = false;
  #stopping = false;
  #health: CurrentHealth = { state: 'initializing', ok: true, detail: undefined };
  #metrics: Record<string, number> = {};
  #reportTimer: NodeJS.Timeout | undefined;
  #reportIntervalMs = 5_000;

  constructor(definition: AgentDefinition, host: AgentHost, path: string) {
    this.#definition = definition;
    this.#host = host;
    this.#agentId = host.environment['MUSTER_AGENT_ID'] ?? 'unknown';
    this.#epoch = host.environment['MUSTER_EPOCH'] ?? '0.0';
    this.#log = createLog(host.write);
    this.#connection = new Connection({
      path,
      backoffMinMs: host.backoffMinMs,
      backoffMaxMs: host.backoffMaxMs,
      onOpen: () => this.#sendHello(),
      onFrame: (frame) => this.#receive(frame),
      onClose: (reason) => this.#lost(reason),
    });
    this.#state = new StateClient((frame) => this.#welcomed && this.#connection.send(frame));
  }

  start(): void {
    this.#connection.start();
  }

  /** Runs the program's `stop`, says goodbye and exits 0 (70 when `stop` threw). Repeated calls do nothing. */
  async stop(request: StopRequest): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#setHealth('stopping', request.reason, true);
    let code: number = exitCodes.stopped;
    try {
      // A program that is still being set up is stopped once it exists; the kill after the grace time bounds the wait.
      await this.#prepared;
      await this.#program?.stop?.(request);
    } catch (error) {
      code = exitCodes.failed;
      this.#log.error('stopping failed', { error: describe(error) });
    }
    this.#report();
    clearInterval(this.#reportTimer);
    await this.#connection.end();
    this.#host.exit(code);
  }

  /** A broken invariant or an unhandled rejection: say it and end, the orchestrator starts a fresh process. */
  fail(error: unknown): void {
    this.#log.error('the agent failed', { error: describe(error) });
    this.#setHealth('failed', error instanceof Error ? error.message : 'unknown failure', false);
    void this.#connection.end(200).finally(() => this.#host.exit(exitCodes.failed));
  }

  #sendHello(): void {
    this.#connection.send({
      t: 'hello',
      v: protocolVersion,
      agent: this.#agentId,
      epoch: this.#epoch,
      sdk: `muster-agent-sdk/${sdkVersion}${this.#definition.name === undefined ? '' : ` ${this.#definition.name}`}`.slice(
        0,
        100,
      ),
      pid: process.pid,
    });
  }

  #receive(frame: OrchestratorToAgentFrame): void {
    switch (frame.t) {
      case 'welcome':
        return this.#welcome(frame);
      case 'refused':
        this.#log.error('refused by the orchestrator; this process ends itself', {
          code: frame.code,
          reason: frame.message,
        });
        return this.#host.exit(exitCodes.refused);
      case 'command':
        return this.#answer({ id: frame.id, verb: frame.verb, args: frame.args });
      case 'result':
        return this.#state.settle(frame.id, frame.ok, frame.value, frame.error);
      case 'stop':
        void this.stop({ reason: frame.reason, graceMs: frame.graceMs });
        return;
      case 'ping':
        this.#connection.send({ t: 'pong', id: frame.id });
        return;
      default:
        // A newer orchestrator may know more frames; those are not for this version.
        return;
    }
  }

  #welcome(frame: WelcomeFrame): void {
    const first = this.#configText === '';
    const configText = JSON.stringify(frame.config);
    this.#welcomed = true;
    this.#connection.welcomed();
    this.#fence = frame.fence;
    this.#schedule(frame.reportIntervalMs);
    if (first) {
      this.#configText = configText;
      this.#prepared = this.#setup(frame).catch((error: unknown) => this.fail(error));
      return;
    }
    if (configText !== this.#configText)
      this.#log.warn('a changed configuration takes effect at the next start of this agent');
    if (this.#ready) this.#connection.send({ t: 'ready' });
    this.#state.resend();
    this.#report();
  }

  async #setup(frame: WelcomeFrame): Promise<void> {
    const fence = this.#liveFence();
    const program = await this.#definition.setup({
      agentId: this.#agentId,
      agentType: frame.agentType,
      deploymentId: frame.deployment ?? this.#agentId,
      config: frame.config,
      fence,
      stateDir: this.#host.environment['MUSTER_STATE_DIR'] ?? '.',
      log: this.#log,
      state: this.#state,
      connected: () => this.#welcomed,
      ready: () => this.#becomeReady(),
      health: (state, detail, ok) =>
        this.#setHealth(state, detail, ok ?? (state !== 'failed' && state !== 'degraded')),
      metrics: (values) => {
        this.#metrics = finiteOnly(values);
      },
      command: (verb, handler) => this.#desk.handle(verb, handler),
      stop: (reason) => void this.stop({ reason, graceMs: signalGraceMs }),
    });
    this.#program = program ?? {};
    this.#report();
  }

  /** A view of the newest fence, so that whoever holds it sees renewals. */
  #liveFence(): Fence {
    const current = (): WelcomeFrame['fence'] => this.#fence;
    return {
      get epoch() {
        return current().epoch;
      },
      get sub() {
        return current().sub;
      },
      get orderIdPrefix() {
        return `e${current().epoch}`;
      },
      get deadlineUptimeMs() {
        return current().deadlineUptimeMs;
      },
      canTrade: () => {
        const { deadlineUptimeMs } = current();
        return deadlineUptimeMs === null || uptime() * 1000 < deadlineUptimeMs;
      },
    };
  }

  #becomeReady(): void {
    if (this.#ready) return;
    this.#ready = true;
    if (this.#welcomed) this.#connection.send({ t: 'ready' });
  }

  #setHealth(state: AgentLifecycle, detail: string | undefined, ok: boolean): void {
    const current = this.#health;
    const changed = current.state !== state || current.ok !== ok || current.detail !== detail;
    this.#health = { state, ok, detail: detail?.slice(0, 500) };
    if (changed) this.#sendHealth();
  }

  #sendHealth(): void {
    if (!this.#welcomed) return;
    const { state, ok, detail } = this.#health;
    this.#connection.send(
      detail === undefined ? { t: 'health', state, ok } : { t: 'health', state, ok, detail },
      true,
    );
  }

  #schedule(intervalMs: number): void {
    if (this.#reportTimer !== undefined && intervalMs === this.#reportIntervalMs) return;
    clearInterval(this.#reportTimer);
    this.#reportIntervalMs = intervalMs;
    this.#reportTimer = setInterval(() => this.#report(), intervalMs);
  }

  /** The program's `report` runs also while the daemon is away: it may watch files or renew its own state. */
  #report(): void {
    try {
      this.#program?.report?.();
    } catch (error) {
      this.fail(error);
      return;
    }
    this.#sendHealth();
    if (this.#welcomed && Object.keys(this.#metrics).length > 0)
      this.#connection.send({ t: 'metrics', values: this.#metrics }, true);
  }

  #answer(command: AgentCommand): void {
    const answered = (this.#prepared ?? Promise.resolve()).then(() => this.#desk.answer(command));
    void answered.then((frame) => {
      if (this.#connection.send(frame)) return;
      if (!this.#connection.open) return; // Asked again after the reconnect, and answered from memory.
      const error = {
        code: 'answer-too-large',
        message: 'The answer exceeds one protocol line; ask for a smaller page.',
      };
      this.#connection.send({ t: 'answer', id: command.id, ok: false, error });
    });
  }

  #lost(reason: string): void {
    this.#welcomed = false;
    if (!this.#stopping)
      this.#log.warn('the orchestrator is out of reach; the agent goes on and connects again', { reason });
  }
}

/**
 * Runs an agent in this process until it is stopped. Reads `MUSTER_SOCKET`, `MUSTER_AGENT_ID`, `MUSTER_EPOCH` and
 * `MUSTER_STATE_DIR`; without a socket it says so and exits 64.
 */
export function runAgent(definition: AgentDefinition): void {
  const host: AgentHost = {
    environment: process.env,
    write: stdoutWriter(),
    exit: (code) => process.exit(code),
    backoffMinMs: 50,
    backoffMaxMs: 5_000,
  };
  const path = host.environment['MUSTER_SOCKET'];
  if (path === undefined || path === '') {
    createLog(host.write).error(
      'MUSTER_SOCKET is not set: an agent is started by an orchestrator, for example with "muster deploy"',
    );
    host.exit(exitCodes.notSupervised);
    return;
  }
  const runner = new AgentRunner(definition, host, path);
  process.on('SIGTERM', () => void runner.stop({ reason: 'SIGTERM', graceMs: signalGraceMs }));
  // The terminal's interrupt goes to the whole foreground group; the orchestrator decides what it means for agents.
  process.on('SIGINT', () => {});
  process.on('uncaughtException', (error) => runner.fail(error));
  process.on('unhandledRejection', (error) => runner.fail(error));
  runner.start();
}

function finiteOnly(values: Readonly<Record<string, number>>): Record<string, number> {
  const finite: Record<string, number> = {};
  for (const [name, value] of Object.entries(values)) if (Number.isFinite(value)) finite[name] = value;
  return finite;
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
