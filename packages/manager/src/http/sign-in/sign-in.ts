/**
 * Sign-in with a name and a password. Wrong name and wrong password answer alike, take alike and count alike.
 */
import { LoginRequest, MusterError, TokenAnswer, TokenForm, WhoAmI } from '@muster/contract';
import type { User } from '@muster/core/manager';
import { Secret } from '@muster/runtime';
import type { FastifyRequest } from 'fastify';
import { userNamed } from '../../auth/callers.ts';
import type { Services } from '../../services.ts';
import { isoTime } from '../../views/containers.ts';
import { type App, callerIn } from '../app.ts';
import { tooMany } from '../problems.ts';

export function registerSignIn(app: App, services: Services): void {
  const config = { access: 'public' } as const;
  const tags = ['sign-in'];
  const response = { 200: TokenAnswer };
  app.post(
    '/api/v1/auth/login',
    { config, schema: { tags, summary: 'Sign in with JSON', body: LoginRequest, response } },
    (request) => {
      const { email, username, password } = request.body;
      const name = email ?? username;
      if (name == null) {
        throw new MusterError('validation', 'Send "email" or "username" together with "password".', {
          errors: [{ path: '/email', message: 'is required (or "username")' }],
        });
      }
      return signIn(services, name, new Secret(password), request);
    },
  );
  void app.register(async (forms) => {
    forms.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'buffer' },
      (_request, bytes, done) => {
        const fields: Record<string, string> = {};
        for (const [key, value] of new URLSearchParams(bytes.toString())) {
          if (key !== '__proto__' && !Object.hasOwn(fields, key)) fields[key] = value;
        }
        done(null, fields);
      },
    );
    const schema = {
      tags,
      summary: 'Sign in with a form (OAuth 2 password grant)',
      consumes: ['application/x-www-form-urlencoded'],
      body: TokenForm,
      response,
    };
    (forms as App).post('/api/v1/auth/token', { config, schema }, (request) => {
      const { username, password } = request.body;
      return signIn(services, username, new Secret(password), request);
    });
  });
  app.get(
    '/api/v1/auth/me',
    {
      config: { access: 'viewer' },
      schema: { tags, summary: 'Who is signed in', response: { 200: WhoAmI } },
    },
    (request) => {
      const { user, expiresAtMs } = callerIn(request);
      return {
        user_id: user.id,
        name: user.name,
        email: user.email,
        role: user.role,
        customer_id: user.customerId,
        expires_at: isoTime(expiresAtMs),
      };
    },
  );
}

async function signIn(
  services: Services,
  name: string,
  password: Secret,
  request: FastifyRequest,
): Promise<TokenAnswer> {
  const { engine, signInLimiter, tokens, measures } = services;
  const { mono } = engine.clock.now();
  const waitMs = signInLimiter.begin(name, request.ip, mono);
  if (waitMs > 0) {
    measures.refusedSignIns.add(1, { reason: 'limited' });
    throw tooMany(waitMs);
  }
  let user: User | undefined;
  try {
    user = await userWith(services, name, password);
  } finally {
    signInLimiter.end(name, request.ip, engine.clock.now().mono, user !== undefined);
  }
  if (user === undefined) {
    measures.refusedSignIns.add(1, { reason: 'credentials' });
    throw new MusterError('bad-credentials', 'Name or password is wrong.');
  }
  const token = await tokens.issue(user.id, user.tokenVersion, engine.clock.now().wall);
  return { access_token: token, token_type: 'bearer', expires_in: Math.floor(tokens.lifetimeMs / 1000) };
}

/** The user whose name and password these are; otherwise undefined, after the same time. */
async function userWith(
  { engine, passwords }: Services,
  name: string,
  password: Secret,
): Promise<User | undefined> {
  const { facts } = engine.machine;
  const before = userNamed(facts, name);
  const fits = await passwords.fits(password, before?.passwordHash);
  // Looked up again: the user may have changed while the hash was computed.
  const user = before === undefined ? undefined : facts.users.get(before.id);
  return fits && user?.passwordHash === before?.passwordHash ? user : undefined;
}
