/**
 * Reaching the manager: HTTPS requests and the WebSocket, through whatever lies between.
 *
 * Proxies come from HTTP(S)_PROXY and NO_PROXY and are asked with CONNECT; additional CAs come from NODE_EXTRA_CA_CERTS, which
 * Node reads itself. Where the join token named a CA, the server's certificate chain must contain exactly that one. There is
 * no way to switch verification off. Inside a container a loopback address means the container itself, so after the literal
 * address refused, and only then, the same port is tried at `host.docker.internal` if that name exists here.
 */
import { createHash } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { existsSync } from 'node:fs';
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { checkServerIdentity, type DetailedPeerCertificate, type PeerCertificate } from 'node:tls';
import { LINK_FRAME_MAX_BYTES, LINK_SUBPROTOCOL } from '@muster/contract';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { getProxyForUrl } from 'proxy-from-env';
import { WebSocket } from 'ws';

const CONNECT_LIMIT_MS = 15_000;
const ANSWER_MAX_BYTES = 1_048_576;
const CONTAINER_HOST = 'host.docker.internal';

/** The manager could not be reached; the message is for a person. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
  /** The address answered that nobody listens there. */
  readonly refused: boolean;
  constructor(message: string, refused = false) {
    super(message);
    this.refused = refused;
  }
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Parsed JSON; null when it is none. */
  readonly body: unknown;
}

export interface TransportOptions {
  readonly managerUrl: URL;
  readonly loopbackRewrite: 'auto' | 'off';
  /** SHA-256 (hex) of a CA certificate that must be in the chain; null: any trusted chain. */
  readonly caHash: string | null;
}

type RequestOptions = {
  readonly method: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
};

export class Transport {
  readonly #options: TransportOptions;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  /** One request with a JSON answer of any status. @throws Unreachable */
  request(path: string, options: RequestOptions): Promise<HttpAnswer> {
    return this.#tryEach((base) => this.#requestAt(new URL(path.replace(/^\//, ''), base), options));
  }

  /** An open WebSocket of the link's subprotocol. @throws Unreachable */
  dial(path: string): Promise<WebSocket> {
    return this.#tryEach((base) => this.#dialAt(new URL(path.replace(/^\//, ''), base)));
  }

  async #tryEach<T>(attempt: (base: URL) => Promise<T>): Promise<T> {
    const { managerUrl, loopbackRewrite, caHash } = this.#options;
    if (caHash !== null && managerUrl.protocol !== 'https:') {
      throw new Unreachable(
        'The join token names a CA certificate, so CENTRAL_MANAGER_URL must begin with https.',
      );
    }
    try {
      return await attempt(managerUrl);
    } catch (error) {
      const mayRewrite =
        error instanceof Unreachable &&
        error.refused &&
        loopbackRewrite === 'auto' &&
        isLoopback(managerUrl.hostname);
      if (!mayRewrite || !(await containerHostExists())) throw error;
      const rewritten = new URL(managerUrl);
      rewritten.hostname = CONTAINER_HOST;
      return await attempt(rewritten);
    }
  }

  #requestAt(url: URL, { method, headers = {}, body }: RequestOptions): Promise<HttpAnswer> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => reject(unreachable(url, error));
      const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
      const sent: ClientRequest = send(url, {
        method,
        headers: {
          accept: 'application/json',
          ...(text === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
          ...headers,
        },
        ...this.#connection(url),
      });
      const limit = setTimeout(
        () => sent.destroy(new Error(`no answer within ${CONNECT_LIMIT_MS} ms`)),
        CONNECT_LIMIT_MS,
      );
      sent.on('close', () => clearTimeout(limit));
      sent.on('error', fail);
      sent.on('response', (answer) => {
        readAnswer(answer).then(
          (parsed) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: parsed }),
          fail,
        );
      });
      sent.end(text);
    });
  }

  #dialAt(base: URL): Promise<WebSocket> {
    const url = new URL(base);
    url.protocol = base.protocol === 'https:' ? 'wss:' : 'ws:';
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, [LINK_SUBPROTOCOL], {
        perMessageDeflate: false,
        maxPayload: LINK_FRAME_MAX_BYTES,
        handshakeTimeout: CONNECT_LIMIT_MS,
        followRedirects: false,
        ...this.#connection(base),
      });
      socket.once('error', (error) => reject(unreachable(base, error)));
      socket.once('unexpected-response', (request, answer) => {
        void readAnswer(answer).then((body) => {
          request.destroy();
          reject(
            new Unreachable(
              `${base.origin} answered ${answer.statusCode ?? 0} to the link: ${detailOf(body) ?? 'no reason given'}`,
            ),
          );
        }, reject);
      });
      socket.once('open', () => {
        socket.removeAllListeners('error');
        resolve(socket);
      });
    });
  }

  #connection(url: URL): Record<string, unknown> {
    const proxy = getProxyForUrl(url.href);
    return {
      ...(proxy === '' ? {} : { agent: proxyAgent(proxy) }),
      ...(url.protocol === 'https:'
        ? {
            checkServerIdentity: (host: string, certificate: PeerCertificate) =>
              this.#checkCertificate(host, certificate),
          }
        : {}),
    };
  }

  #checkCertificate(host: string, certificate: PeerCertificate): Error | undefined {
    const mismatch = checkServerIdentity(host, certificate);
    const { caHash } = this.#options;
    if (mismatch !== undefined || caHash === null) return mismatch;
    return chainHolds(certificate as DetailedPeerCertificate, caHash)
      ? undefined
      : new Error(
          'its certificate does not lead to the CA that the join token names; something between may be intercepting the connection',
        );
  }
}

function proxyAgent(proxy: string): HttpsProxyAgent<string> {
  try {
    return new HttpsProxyAgent(proxy);
  } catch {
    throw new Unreachable(
      'The manager cannot be reached: HTTPS_PROXY or HTTP_PROXY is not an address such as http://proxy:3128.',
    );
  }
}

function chainHolds(leaf: DetailedPeerCertificate, hash: string): boolean {
  const seen = new Set<string>();
  for (
    let each: DetailedPeerCertificate | undefined = leaf;
    each?.raw !== undefined;
    each = each.issuerCertificate
  ) {
    const digest = createHash('sha256').update(each.raw).digest('hex');
    if (digest === hash) return true;
    if (seen.has(digest)) return false;
    seen.add(digest);
  }
  return false;
}

export function isLoopback(hostname: string): boolean {
  const bare = hostname.replace(/^\[|\]$/g, '').toLowerCase();
  return (
    bare === 'localhost' ||
    bare.endsWith('.localhost') ||
    bare === '::1' ||
    (isIP(bare) === 4 && bare.startsWith('127.'))
  );
}

async function containerHostExists(): Promise<boolean> {
  if (!existsSync('/.dockerenv')) return false;
  try {
    await lookup(CONTAINER_HOST);
    return true;
  } catch {
    return false;
  }
}

async function readAnswer(answer: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer) {
    bytes += (chunk as Buffer).length;
    if (bytes > ANSWER_MAX_BYTES) throw new Error('its answer is too large');
    chunks.push(chunk as Buffer);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch {
    return null;
  }
}

/** `detail` of a problem document. */
export function detailOf(body: unknown): string | null {
  const { detail, next } = (typeof body === 'object' && body !== null ? body : {}) as {
    detail?: unknown;
    next?: unknown;
  };
  if (typeof detail !== 'string') return null;
  return (typeof next === 'string' && !detail.includes(next) ? `${detail} ${next}` : detail).slice(0, 600);
}

function unreachable(url: URL, error: Error): Unreachable {
  const { code = '' } = error as NodeJS.ErrnoException;
  const where = url.origin;
  const known: Readonly<Record<string, string>> = {
    ECONNREFUSED: `nothing listens at ${where}. Is the manager running, and is the port right?`,
    ENOTFOUND: `the name in ${where} does not exist. Check CENTRAL_MANAGER_URL.`,
    EAI_AGAIN: `the name in ${where} could not be looked up (no DNS).`,
    ETIMEDOUT: `${where} did not answer in time (a firewall?).`,
    EHOSTUNREACH: `there is no route to ${where}.`,
    ENETUNREACH: `there is no network to ${where}.`,
    ECONNRESET: `${where} closed the connection.`,
    EPROTO: `${where} does not speak TLS. Should CENTRAL_MANAGER_URL begin with http:?`,
  };
  const tls = /^(UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|CERT_|ERR_TLS_CERT)/.test(code);
  const sentence = tls
    ? `the certificate of ${where} is not trusted (${code}). Give the manager's CA in NODE_EXTRA_CA_CERTS.`
    : (known[code] ?? `${where}: ${error.message}`);
  return new Unreachable(
    `The manager cannot be reached: ${sentence}`,
    code === 'ECONNREFUSED' || isRefusedEverywhere(error),
  );
}

/** A name with several addresses fails with one error per address. */
function isRefusedEverywhere(error: Error): boolean {
  const each = (error as AggregateError).errors;
  return (
    Array.isArray(each) &&
    each.length > 0 &&
    each.every((one) => (one as NodeJS.ErrnoException).code === 'ECONNREFUSED')
  );
}
