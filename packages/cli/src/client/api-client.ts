/**
 * Requests to a manager or to a local orchestrator: JSON in and out, problems as `CommandFailure`, streams line by line.
 *
 * The token travels in the Authorization header alone. Redirects are refused, so that it never goes elsewhere.
 */
import type { Secret } from '@muster/runtime';
import { exitCode } from '../exit-codes.ts';
import { CommandFailure, failureOfAnswer, isRecord } from '../failure.ts';

type QueryValue = string | number | boolean | undefined;

export interface RequestOptions {
  readonly query?: Readonly<Record<string, QueryValue>>;
  readonly body?: unknown;
  /** How long to wait for the answer, ms. Default 20,000. */
  readonly limitMs?: number;
}

export interface ApiClientOptions {
  readonly url: string;
  /** Undefined: requests carry no token. */
  readonly token?: Secret | undefined;
  /** Who answers there, for messages: "the manager". */
  readonly who: string;
  /** What to do when nobody answers. */
  readonly unreachableNext: string;
}

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';

export class ApiClient {
  readonly url: string;
  readonly #options: ApiClientOptions;

  constructor(options: ApiClientOptions) {
    this.url = options.url;
    this.#options = options;
  }

  get<Answer>(path: string, query?: Readonly<Record<string, QueryValue>>): Promise<Answer> {
    return this.#json('GET', path, query === undefined ? {} : { query });
  }

  post<Answer>(
    path: string,
    body: unknown = {},
    options: Omit<RequestOptions, 'body'> = {},
  ): Promise<Answer> {
    return this.#json('POST', path, { ...options, body });
  }

  delete<Answer>(path: string, options: RequestOptions = {}): Promise<Answer> {
    return this.#json('DELETE', path, options);
  }

  /** The lines of a streamed answer, until it ends or `signal` aborts. @throws CommandFailure */
  async *lines(
    path: string,
    query: Readonly<Record<string, QueryValue>>,
    signal: AbortSignal,
    headers: Readonly<Record<string, string>> = {},
  ): AsyncGenerator<string> {
    const answer = await this.#fetch('GET', path, { query }, signal, headers);
    if (!answer.ok) throw failureOfAnswer(answer.status, await readBody(answer));
    const decoder = new TextDecoder();
    let rest = '';
    try {
      for await (const piece of answer.body ?? []) {
        const lines = (rest + decoder.decode(piece, { stream: true })).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) yield line.endsWith('\r') ? line.slice(0, -1) : line;
      }
    } catch (error) {
      if (signal.aborted) return;
      throw this.#unreachable(error);
    }
    if (rest !== '') yield rest;
  }

  async #json<Answer>(method: Method, path: string, options: RequestOptions): Promise<Answer> {
    const signal = AbortSignal.timeout(options.limitMs ?? 20_000);
    const answer = await this.#fetch(method, path, options, signal);
    let body: unknown;
    try {
      body = await readBody(answer);
    } catch (error) {
      throw this.#unreachable(error);
    }
    if (!answer.ok) throw failureOfAnswer(answer.status, body);
    return body as Answer;
  }

  async #fetch(
    method: Method,
    path: string,
    { query = {}, body }: RequestOptions,
    signal: AbortSignal,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Response> {
    const url = new URL(this.url.replace(/\/$/, '') + path);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const { token } = this.#options;
    try {
      return await fetch(url, {
        method,
        redirect: 'error',
        signal,
        headers: {
          accept: 'application/json, application/problem+json',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token.reveal()}` }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (error) {
      throw this.#unreachable(error);
    }
  }

  #unreachable(error: unknown): CommandFailure {
    const { who, unreachableNext } = this.#options;
    const code = deepestCode(error);
    const timedOut = isRecord(error) ? false : (error as Error).name === 'TimeoutError';
    const certificate = /CERT|SELF_SIGNED|ERR_TLS/.test(code);
    return new CommandFailure(
      {
        what: `${who} cannot be reached at ${this.url}`,
        why: [timedOut ? 'No answer came in time.' : (reasons[code] ?? code)],
        next: certificate
          ? 'Name the authority that signed its certificate with NODE_EXTRA_CA_CERTS=FILE.'
          : unreachableNext,
        code: exitCode.unreachable,
      },
      error,
    );
  }
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Nothing listens there.',
  ENOTFOUND: 'The name is not known.',
  EAI_AGAIN: 'The name cannot be looked up at present.',
  ECONNRESET: 'The connection was closed.',
  UND_ERR_SOCKET: 'The connection was closed.',
  ETIMEDOUT: 'No answer came in time.',
  UND_ERR_CONNECT_TIMEOUT: 'No answer came in time.',
  EHOSTUNREACH: 'There is no way to that machine.',
  ENETUNREACH: 'There is no way to that network.',
};

/** The system's code of the innermost cause; its message when there is none. */
function deepestCode(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const inner = error instanceof AggregateError ? error.errors[0] : error.cause;
  if (inner instanceof Error) return deepestCode(inner);
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : error.message;
}

async function readBody(answer: Response): Promise<unknown> {
  const text = await answer.text();
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    return text.slice(0, 500);
  }
}
