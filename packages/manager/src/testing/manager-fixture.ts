/**
 * A whole manager for tests, in a temporary directory and on a free port, with requests that sign in.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import type { JoinTokenCreated, TokenAnswer, UserAnswer } from '@muster/contract';
import { createLog, type Environment, type Journal, MemoryJournal } from '@muster/runtime';
import { type RunningManager, startManager } from '../main.ts';
import { type FakeOrchestrator, type JoinFields, join } from './fake-orchestrator.ts';

export const ADMIN_PASSWORD = 'correct horse battery';

export interface Answer<T = Record<string, unknown>> {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: T;
  readonly text: string;
}

export interface TestManagerOptions {
  readonly environment?: Environment;
  readonly folder?: string;
  readonly journal?: Journal;
  /** The embedded journal on disk instead of one in memory. */
  readonly durable?: boolean;
  readonly queueLimit?: number;
}

/** Wait until `probe` gives something other than undefined and false. */
export async function until<T>(
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  what = 'the condition',
): Promise<T> {
  const giveUpAt = performance.now() + 20_000;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > giveUpAt) throw new Error(`${what} did not come about`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Start one. */
export async function testManager(options: TestManagerOptions = {}): Promise<TestManager> {
  const folder = options.folder ?? mkdtempSync(joinPath(tmpdir(), 'muster-manager-'));
  const lines: string[] = [];
  const journal = options.journal ?? new MemoryJournal();
  const environment = {
    PORT: '0',
    DATA_DIR: folder,
    ADMIN_PASSWORD,
    BEAT_INTERVAL_MS: '1000',
    ...options.environment,
  };
  const manager = await startManager({
    environment,
    log: createLog({ name: 'test', level: 'debug', write: (line) => lines.push(line) }),
    ...(options.durable === true ? {} : { openJournal: async () => journal }),
    ...(options.queueLimit === undefined ? {} : { queueLimit: options.queueLimit }),
    processMetrics: false,
    hashCost: { memoryKibibytes: 64, passes: 1 },
  });
  const test = new TestManager(manager, folder, lines);
  test.adminToken = await test.signIn('admin', environment.ADMIN_PASSWORD);
  return test;
}

export class TestManager {
  readonly manager: RunningManager;
  readonly folder: string;
  /** Lines of the log. */
  readonly log: readonly string[];
  adminToken = '';
  readonly #orchestrators: FakeOrchestrator[] = [];
  #users = 0;

  constructor(manager: RunningManager, folder: string, log: readonly string[]) {
    this.manager = manager;
    this.folder = folder;
    this.log = log;
  }

  /** A request without a socket; as the administrator unless a token is given, without any for null. */
  async request<T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
    token: string | null = this.adminToken,
  ): Promise<Answer<T>> {
    const answer = await this.manager.app.inject({
      method: method as 'GET',
      url: path,
      headers: token === null ? {} : { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { payload: body as object }),
    });
    const isJson = String(answer.headers['content-type'] ?? '').includes('json');
    const value: unknown = isJson && answer.body !== '' ? answer.json() : {};
    return { status: answer.statusCode, headers: answer.headers, text: answer.body, body: value as T };
  }

  async signIn(username: string, password: string): Promise<string> {
    const answer = await this.request<TokenAnswer>(
      'POST',
      '/api/v1/auth/login',
      { username, password },
      null,
    );
    return answer.body.access_token;
  }

  /** A user of some role, signed in. */
  async user(
    role: string,
    customerId: string | null,
  ): Promise<{ id: string; token: string; name: string; password: string }> {
    this.#users += 1;
    const name = `${role}-${this.#users}`;
    const password = `a password of ${name}`;
    const body = { name, password, role, customer_id: customerId };
    const made = await this.request<UserAnswer>('POST', '/api/v1/users', body);
    return { id: made.body.id, token: await this.signIn(name, password), name, password };
  }

  async joinToken(customerId?: string): Promise<string> {
    const made = await this.request<JoinTokenCreated>('POST', '/api/v1/cluster/join-tokens', {
      customer_id: customerId,
    });
    return made.body.token;
  }

  /** A joined orchestrator; connected and eligible unless said otherwise. */
  async orchestrator({
    customerId,
    connect = true,
    ...fields
  }: JoinFields & { customerId?: string; connect?: boolean }): Promise<FakeOrchestrator> {
    const orchestrator = await join(this.manager.url, await this.joinToken(customerId), fields);
    this.#orchestrators.push(orchestrator);
    if (connect) {
      await orchestrator.connect();
      const { presence } = this.manager.services.engine.machine;
      await until(() => presence.of(orchestrator.id)?.phase === 'eligible', 'eligibility');
    }
    return orchestrator;
  }

  /** Close the manager; the folder stays. */
  async stop(): Promise<void> {
    await this.manager.close();
    for (const orchestrator of this.#orchestrators) await orchestrator.drop();
  }

  /** Close everything and delete the folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
