/**
 * The OpenAPI 3.1 document, made from the routes themselves: the schemas that check requests are the schemas it shows.
 */
import swagger from '@fastify/swagger';
import { PROBLEM_MEDIA_TYPE, Problem } from '@muster/contract';
import type { Access, App } from './app.ts';

const failures: Readonly<Record<string, string>> = {
  400: 'The request cannot be understood',
  401: 'Sign in first',
  403: 'Not allowed',
  404: "Not found, or another customer's",
  409: 'Not possible in the present state',
  413: 'The body is too large',
  415: 'Unsupported content type',
  422: 'The request is not valid: see errors',
  429: 'Too many requests: see Retry-After',
  503: 'Not ready or overloaded: see Retry-After',
};

/** Which failures a route can answer with, by who may call it and whether it takes a body. */
function failuresOf(access: Access, hasBody: boolean): string[] {
  const codes = ['400', '422', '503'];
  if (access !== 'public') codes.push('401', '403', '404');
  if (hasBody) codes.push('409', '413', '415', '429');
  if (access === 'public' && hasBody) codes.push('401', '403');
  return codes.sort();
}

export async function registerOpenApi(app: App, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Muster manager',
        version,
        description:
          'Runs agents on customers\' machines. Sign in with POST /api/v1/auth/login, then send the token as a bearer token. "Container" is this API\'s word for a registered orchestrator.',
      },
      components: {
        securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
        schemas: { Problem: JSON.parse(JSON.stringify(Problem)) as Record<string, never> },
      },
      tags: [
        'health',
        'sign-in',
        'fleet',
        'containers',
        'deployments',
        'agents',
        'communication',
        'events',
        'administration',
        'joining',
      ].map((name) => ({ name })),
    },
    transform: ({ schema, url, route }) => {
      const access: Access = route.config?.access ?? 'admin';
      const hasBody = schema.body !== undefined || route.method === 'POST' || route.method === 'DELETE';
      const answers: Record<string, unknown> = {
        ...(schema.response as Record<string, unknown> | undefined),
      };
      for (const code of failuresOf(access, hasBody)) {
        answers[code] = {
          description: failures[code],
          content: { [PROBLEM_MEDIA_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
        };
      }
      const security = access === 'public' ? {} : { security: [{ bearer: [] }] };
      const role = access === 'public' ? '' : `Needs the role ${access === 'beating' ? 'operator' : access}.`;
      const description = [schema.description, role].filter(Boolean).join(' ');
      return {
        schema: {
          ...schema,
          ...security,
          ...(description === '' ? {} : { description }),
          response: answers,
        } as typeof schema,
        url,
      };
    },
  });
}
