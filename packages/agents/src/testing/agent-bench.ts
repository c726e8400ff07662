/** Real agent processes under a test orchestrator, in a directory that goes away with them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SocketOrchestrator } from '@muster/agent-sdk/testing';

export class AgentBench {
  readonly directory = mkdtempSync(join(tmpdir(), 'muster-agents-'));
  readonly orchestrator: SocketOrchestrator;
  readonly #entry: string;
  readonly #children = new Set<ChildProcess>();

  private constructor(kind: 'trading' | 'analysis', config: Record<string, unknown>) {
    this.#entry = join(import.meta.dirname, '..', kind, 'main.ts');
    this.orchestrator = new SocketOrchestrator({
      path: join(this.directory, 's'),
      agentType: `${kind}_agent`,
      config,
      reportIntervalMs: 100,
    });
  }

  static async open(kind: 'trading' | 'analysis', config: Record<string, unknown>): Promise<AgentBench> {
    const bench = new AgentBench(kind, config);
    await bench.orchestrator.listen();
    return bench;
  }

  /** Starts an agent process whose durable files are in `stateName`. */
  start(stateName = 'state'): ChildProcess {
    const env = {
      PATH: process.env['PATH'],
      MUSTER_SOCKET: join(this.directory, 's'),
      MUSTER_AGENT_ID: 'agt_1',
      MUSTER_EPOCH: '1.1',
      MUSTER_STATE_DIR: this.stateDir(stateName),
    };
    const child = spawn(process.execPath, [this.#entry], { env, stdio: 'ignore' });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  stateDir(stateName = 'state'): string {
    return join(this.directory, stateName);
  }

  async kill(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  /** Asks the connected agent to stop and resolves with exit code and signal. */
  async stop(child: ChildProcess): Promise<unknown[]> {
    const gone = once(child, 'exit');
    this.orchestrator.send({ t: 'stop', graceMs: 5_000, reason: 'done' });
    return gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#children].map((child) => this.kill(child)));
    await this.orchestrator.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
