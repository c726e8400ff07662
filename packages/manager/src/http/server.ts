/**
 * The HTTP application: one Fastify instance with the rules that hold for every route.
 *
 * Who may call is decided before a body is read. Every route says who (`config.access`), or the start fails. Every answer has
 * an X-Request-ID; every failure is a problem document.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { LINK_PATH, MusterError } from '@muster/contract';
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import { mayComeFrom } from '../auth/addresses.ts';
import { callerOf, includesRole } from '../auth/callers.ts';
import { addressListOf } from '../config.ts';
import type { Services } from '../services.ts';
import type { Access, App } from './app.ts';
import { addJsonParser, dropBody } from './bodies.ts';
import { registerOpenApi } from './openapi.ts';
import { answerError, sendProblem } from './problems.ts';
import { answerBrokenRequest } from './raw-answers.ts';
import { registerRoutes } from './routes.ts';
import { validatorCompiler } from './validation.ts';

const BODY_LIMIT_BYTES = 1_048_576;
/** A request must have arrived within this time, ms. */
const REQUEST_LIMIT_MS = 30_000;

/** The application, ready to `inject` or `listen`. */
export async function createServer(services: Services): Promise<App> {
  const { settings } = services;
  const trusted = addressListOf('TRUSTED_PROXIES', settings.trustedProxies);
  const options = {
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_LIMIT_MS,
    connectionTimeout: 0,
    keepAliveTimeout: 72_000,
    forceCloseConnections: true,
    trustProxy: settings.trustedProxies.length === 0 ? false : (address: string) => trusted.has(address),
    genReqId: (request: IncomingMessage) => requestIdOf(request),
    clientErrorHandler: answerBrokenRequest,
    // A path that cannot be decoded never gets as far as the hooks.
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) =>
      answerError(services, error, request, reply.header('x-request-id', request.id)),
    routerOptions: { maxParamLength: 4096 },
    exposeHeadRoutes: false,
  };
  const tls = settings.tls;
  const base =
    tls === null
      ? Fastify({ ...options, http: connectionOptions })
      : Fastify({
          ...options,
          https: {
            ...connectionOptions,
            cert: tls.certificate,
            key: tls.key.reveal(),
            minVersion: 'TLSv1.2',
          },
        });
  const app = (base as unknown as App).withTypeProvider<TypeBoxTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  app.setSchemaErrorFormatter((errors, part) =>
    Object.assign(new Error('invalid'), { validation: errors, validationContext: part }),
  );
  app.setErrorHandler(async (error: Error & { statusCode?: number }, request, reply) => {
    if (error.statusCode === 413) await dropBody(request.raw);
    return answerError(services, error, request, reply);
  });
  // An expectation that is not known is passed over, as RFC 9110 allows.
  app.server.on('checkExpectation', (request, reply) => app.server.emit('request', request, reply));
  addJsonParser(app);
  addHooks(app, services);
  const known = rememberRoutes(app);
  app.setNotFoundHandler((request, reply) => {
    const methods = known.methodsOf(request.url);
    if (methods.length === 0) {
      return sendProblem(
        reply,
        new MusterError('not-found', 'There is nothing at this path. See /openapi.json for what there is.'),
        request.id,
      );
    }
    void reply.header('allow', methods.join(', '));
    if (request.method === 'OPTIONS') return reply.code(204).send();
    return sendProblem(
      reply,
      new MusterError('method-not-allowed', `This path answers to ${methods.join(', ')}.`),
      request.id,
    );
  });
  await registerOpenApi(app, services.version);
  registerRoutes(app, services);
  await app.ready();
  return app;
}

const connectionOptions = {
  // How often late requests are looked for, ms: with the half minute of the framework a slow one would live for a minute.
  connectionsCheckingInterval: 5_000,
  // The application refuses them itself, so that the answer looks like all others.
  requireHostHeader: false,
  // Clients that offer HTTP/2 to everybody are answered in HTTP/1.1; only a link becomes something else.
  shouldUpgradeCallback: ({ url, headers }: IncomingMessage) =>
    url?.split('?')[0] === LINK_PATH && headers.upgrade?.toLowerCase() === 'websocket',
};

const requestIds = /^[A-Za-z0-9._-]{1,64}$/;

function requestIdOf(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && requestIds.test(given) ? given : randomUUID();
}

const openToAll: ReadonlySet<string> = new Set(['/health', '/ready']);

function addHooks(app: App, services: Services): void {
  const { settings, measures } = services;
  app.decorateRequest('caller', null);
  app.addHook('onRequest', async (request, reply) => {
    void reply.header('x-request-id', request.id);
    void reply.header('x-content-type-options', 'nosniff');
    if (request.headers.host === undefined && request.raw.httpVersion === '1.1')
      throw new MusterError('bad-request', 'The Host header is missing.');
    const { url } = request.routeOptions;
    if (settings.allowedIps !== null && !openToAll.has(url ?? '') && !settings.allowedIps.has(request.ip)) {
      throw new MusterError('address-not-allowed', `Your address ${request.ip} may not connect.`);
    }
    if (url !== undefined) await admit(request, services);
  });
  app.addHook('onRoute', ({ url, config }) => {
    if (config?.access === undefined) throw new Error(`The route ${url} does not say who may call it`);
  });
  app.addHook('onResponse', async (request, reply) => {
    const labels = {
      method: request.method,
      route: request.routeOptions.url ?? 'none',
      status: reply.statusCode,
    };
    measures.requests.observe(reply.elapsedTime / 1000, labels);
  });
}

/** Fill in the caller, or throw why the request goes no further. */
async function admit(request: FastifyRequest, services: Services): Promise<void> {
  const access: Access = request.routeOptions.config.access ?? 'admin';
  if (access === 'public') return;
  const { wall } = services.engine.clock.now();
  try {
    request.caller = await callerOf(
      request.headers.authorization,
      services.tokens,
      services.engine.machine.facts,
      wall,
    );
  } catch (error) {
    services.measures.refusedSignIns.add(1, { reason: 'token' });
    throw error;
  }
  const { caller } = request;
  if (caller.expired && access !== 'beating') {
    services.measures.refusedSignIns.add(1, { reason: 'expired' });
    throw new MusterError(
      'token-expired',
      'The token has expired. POST /api/v1/auth/login with email and password for a new one.',
    );
  }
  if (!mayComeFrom(services.engine.machine.facts, caller.user.customerId, request.ip)) {
    throw new MusterError('address-not-allowed', `Your address ${request.ip} may not act for this customer.`);
  }
  const needed = access === 'beating' ? 'operator' : access;
  if (!includesRole(caller.user.role, needed)) {
    throw new MusterError('forbidden', `This needs the role ${needed}; you are ${caller.user.role}.`);
  }
}

/** Which methods a path answers to, for 405. */
function rememberRoutes(app: App): { methodsOf(url: string): string[] } {
  const routes: { readonly pattern: RegExp; readonly methods: readonly string[] }[] = [];
  app.addHook('onRoute', ({ url, method }) => {
    const pattern = url.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/:[A-Za-z_]\w*/g, '[^/]+');
    routes.push({ pattern: new RegExp(`^${pattern}$`), methods: [method].flat() });
  });
  return {
    methodsOf(url) {
      const path = url.split('?')[0] ?? '';
      const methods = routes.filter(({ pattern }) => pattern.test(path)).flatMap((route) => route.methods);
      return [...new Set(methods)].sort();
    },
  };
}
