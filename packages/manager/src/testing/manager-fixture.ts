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

export interface TestManager {
  readonly manager: RunningManager;
  readonly folder: string;
  readonly adminToken: string;
  /** Lines of the log. */
  readonly log: string[];
  request<T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
    token?: string | null,
  ): Promise<Answer<T>>;
  /** A user of some role, signed in. */
  user(
    role: string,
    customerId: string | null,
  ): Promise<{ id: string; token: string; name: string; password: string }>;
  joinToken(customerId?: string): Promise<string>;
  /** A joined orchestrator; connected unless said otherwise. */
  orchestrator(fields: JoinFields & { customerId?: string; connect?: boolean }): Promise<FakeOrchestrator>;
  /** Close the manager; the folder stays. */
  stop(): Promise<void>;
  /** Close everything and delete the folder. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface TestManagerOptions {
  readonly environment?: Environment;
  readonly folder?: string;
  readonly journal?: Journal;
  /** The embedded journal on disk instead of one in memory. */
  readonly durable?: boolean;
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

export async function testManager(options: TestManagerOptions = {}): Promise<TestManager> {
  const folder = options.folder ?? mkdtempSync(joinPath(tmpdir(), 'muster-manager-'));
  const lines: string[] = [];
  const journal = options.journal ?? new MemoryJournal();
  const manager = await startManager({
    environment: {
      PORT: '0',
      DATA_DIR: folder,
      ADMIN_PASSWORD,
      BEAT_INTERVAL_MS: '1000',
      ...options.environment,
    },
    log: createLog({ name: 'test', level: 'debug', write: (line) => lines.push(line) }),
    ...(options.durable === true ? {} : { openJournal: async () => journal }),
    processMetrics: false,
    hashCost: { memoryKibibytes: 64, passes: 1 },
  });
  const orchestrators: FakeOrchestrator[] = [];
  const request = async <T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
    token?: string | null,
  ): Promise<Answer<T>> => {
    const bearer = token === undefined ? adminToken : token;
    const answer = await manager.app.inject({
      method: method as 'GET',
      url: path,
      headers: bearer === null ? {} : { authorization: `Bearer ${bearer}` },
      ...(body === undefined ? {} : { payload: body as object }),
    });
    const isJson = String(answer.headers['content-type'] ?? '').includes('json');
    const value: unknown = isJson && answer.body !== '' ? answer.json() : {};
    return { status: answer.statusCode, headers: answer.headers, text: answer.body, body: value as T };
  };
  let adminToken = '';
  const signedIn = await request<TokenAnswer>(
    'POST',
    '/api/v1/auth/login',
    { username: 'admin', password: options.environment?.['ADMIN_PASSWORD'] ?? ADMIN_PASSWORD },
    null,
  );
  adminToken = signedIn.body.access_token;
  let users = 0;
  const joinToken = async (customerId?: string): Promise<string> =>
    (await request<JoinTokenCreated>('POST', '/api/v1/cluster/join-tokens', { customer_id: customerId })).body
      .token;
  const stop = async (): Promise<void> => {
    await manager.close();
    for (const orchestrator of orchestrators) await orchestrator.drop();
  };
  return {
    manager,
    folder,
    get adminToken() {
      return adminToken;
    },
    log: lines,
    request,
    joinToken,
    async user(role, customerId) {
      users += 1;
      const name = `${role}-${users}`;
      const password = `a password of ${name}`;
      const made = await request<UserAnswer>('POST', '/api/v1/users', {
        name,
        password,
        role,
        customer_id: customerId,
      });
      const signIn = await request<TokenAnswer>(
        'POST',
        '/api/v1/auth/login',
        { username: name, password },
        null,
      );
      return { id: made.body.id, token: signIn.body.access_token, name, password };
    },
    async orchestrator({ customerId, connect = true, ...fields }) {
      const orchestrator = await join(manager.url, await joinToken(customerId), fields);
      orchestrators.push(orchestrator);
      if (connect) {
        await orchestrator.connect();
        const { presence } = manager.services.engine.machine;
        await until(() => presence.of(orchestrator.id)?.phase === 'eligible', 'eligibility');
      }
      return orchestrator;
    },
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
