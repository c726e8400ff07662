/** Health, readiness and metrics: no token, no limit. */
import { HealthAnswer, ReadyAnswer } from '@muster/contract';
import type { Services } from '../../services.ts';
import { isoTime } from '../../views/containers.ts';
import type { App } from '../app.ts';

export function registerHealth(app: App, services: Services): void {
  const { engine, version, measures } = services;
  const config = { access: 'public' } as const;
  const tags = ['health'];
  app.get(
    '/health',
    { config, schema: { tags, summary: 'The process lives', response: { 200: HealthAnswer } } },
    () => ({
      status: 'healthy' as const,
      version,
      timestamp: isoTime(engine.clock.now().wall),
    }),
  );
  app.get(
    '/ready',
    {
      config,
      schema: { tags, summary: 'It can do its work', response: { 200: ReadyAnswer, 503: ReadyAnswer } },
    },
    (_request, reply) => {
      const able = engine.isAble;
      void reply.code(able ? 200 : 503);
      const records = engine.journalRecords;
      return {
        status: able ? ('ready' as const) : ('not-ready' as const),
        timestamp: isoTime(engine.clock.now().wall),
        dependencies: {
          store: {
            status: able ? 'ok' : 'unavailable',
            detail: `embedded journal, ${records} durable records`,
          },
        },
      };
    },
  );
  app.get(
    '/metrics',
    { config, schema: { tags, summary: 'Prometheus metrics' } },
    async (_request, reply) => {
      const { contentType, body } = await measures.metrics.render();
      return reply.type(contentType).send(body);
    },
  );
}
