/**
 * Real keepers with real agents for the tests: temporary data directories, agents written in shell, and looking at
 * processes from the outside. `cleanUp` fails when a test left a process behind that the keeper should have ended.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentExit } from '@muster/contract';
import { KeeperClient } from './client.ts';
import { endKeeper, type KeeperOptions } from './launch.ts';
import { findProcesses } from './process-table.ts';

const CONDITION_TIMEOUT_MS = 15_000;
const POLL_INTERVAL_MS = 5;

/** Returns the first truthy answer. */
export async function until<T>(what: string, ask: () => T | null | undefined | false): Promise<T> {
  const startedAt = performance.now();
  for (;;) {
    const answer = ask();
    if (answer !== null && answer !== undefined && answer !== false) return answer;
    if (performance.now() - startedAt > CONDITION_TIMEOUT_MS) throw new Error(`never happened: ${what}`);
    await delay(POLL_INTERVAL_MS);
  }
}

/** Host pids of live processes whose command line contains `text`, this test's own excepted. */
export function pidsByCommandLine(text: string): number[] {
  return findProcesses((stat) => {
    try {
      return fs.readFileSync(`/proc/${stat.pid}/cmdline`, 'utf8').includes(text);
    } catch {
      return false;
    }
  }).map((stat) => stat.pid);
}

let uniqueNumber = 0;

/** Seconds for `sleep` that no other process uses, so that a process can be found by them. */
export function uniqueSeconds(): string {
  uniqueNumber += 1;
  return `1000.${process.pid}${String(uniqueNumber).padStart(4, '0')}`;
}

export class KeeperBench {
  readonly directory: string;
  readonly dataDir: string;
  readonly #isolation: NonNullable<KeeperOptions['isolation']>;
  readonly #clients: KeeperClient[] = [];

  constructor(isolation: NonNullable<KeeperOptions['isolation']>) {
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'keeper-test-'));
    this.dataDir = path.join(this.directory, 'data');
    this.#isolation = isolation;
  }

  async open(options: Partial<KeeperOptions> = {}): Promise<KeeperClient> {
    const client = await KeeperClient.open({ dataDir: this.dataDir, isolation: this.#isolation, ...options });
    this.#clients.push(client);
    return client;
  }

  file(name: string): string {
    return path.join(this.directory, name);
  }

  /** Parameters of an agent that is a shell script. */
  agent(
    agent: string,
    epoch: number,
    script: string,
    changes: Partial<Parameters<KeeperClient['spawn']>[0]> = {},
  ): Parameters<KeeperClient['spawn']>[0] {
    return {
      agent,
      epoch,
      command: 'sh',
      args: ['-c', script],
      env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
      cwd: this.directory,
      stdoutPath: this.file(`${agent}.out`),
      stderrPath: this.file(`${agent}.err`),
      limits: { memoryBytes: null, cpuCores: null },
      deadlineUptimeMs: null,
      note: '',
      ...changes,
    };
  }

  /** Text of a file once it has a whole line. */
  line(name: string): Promise<string> {
    return until(`a line in ${name}`, () => {
      const text = fs.existsSync(this.file(name)) ? fs.readFileSync(this.file(name), 'utf8') : '';
      return text.includes('\n') ? text.trimEnd() : null;
    });
  }

  async cleanUp(): Promise<void> {
    for (const client of this.#clients) client.close();
    await endKeeper(this.dataDir);
    const left = pidsByCommandLine(this.directory);
    fs.rmSync(this.directory, { recursive: true });
    if (left.length > 0) throw new Error(`processes left behind: ${left.join(', ')}`);
  }
}

/** The next exit of that agent. */
export function nextExit(client: KeeperClient, agent: string): Promise<AgentExit> {
  return new Promise((resolve) => {
    const stopListening = client.onExit((name, exit) => {
      if (name !== agent) return;
      queueMicrotask(() => stopListening());
      resolve(exit);
    });
  });
}
