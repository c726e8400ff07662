/** The landing page, the API description and a page that shows it. No inline script, nothing loaded from elsewhere. */
import { readFileSync } from 'node:fs';
import type { FastifyReply } from 'fastify';
import type { Services } from '../../services.ts';
import type { App } from '../app.ts';

const policy =
  "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const asset = (name: string): string => readFileSync(new URL(`./${name}`, import.meta.url), 'utf8');

export function registerDocumentation(app: App, { version }: Services): void {
  const page = (reply: FastifyReply, type: string, text: string): FastifyReply =>
    reply
      .header('content-security-policy', policy)
      .header('referrer-policy', 'no-referrer')
      .type(type)
      .send(text);
  const assets = {
    landing: asset('landing.html').replaceAll('{version}', version),
    docs: asset('docs.html'),
    script: asset('docs-page.js'),
    style: asset('docs.css'),
  };
  const route = { config: { access: 'public' }, exposeHeadRoute: true, schema: { hide: true } } as const;
  app.get('/', route, (_request, reply) => page(reply, 'text/html; charset=utf-8', assets.landing));
  app.get('/docs', route, (_request, reply) => page(reply, 'text/html; charset=utf-8', assets.docs));
  app.get('/docs/docs-page.js', route, (_request, reply) =>
    page(reply, 'text/javascript; charset=utf-8', assets.script),
  );
  app.get('/docs/docs.css', route, (_request, reply) => page(reply, 'text/css; charset=utf-8', assets.style));
  app.get('/openapi.json', route, (_request, reply) =>
    reply.type('application/json; charset=utf-8').send(JSON.stringify(app.swagger())),
  );
}
