/** Health, readiness and metrics: no token, no limit. */
import { HealthAnswer, ReadyAnswer } from '@muster/contract';
import { Type } from 'typebox';
import type { Services } from '../../services.ts';
import { isoTime } from '../../views/containers.ts';
import type { App } from '../app.ts';

const PrometheusText = {
  description: 'Metrics in the text format of Prometheus',
  content: { 'text/plain': { schema: Type.String() } },
};

/** Configured, but this version has everything embedded: its state decides nothing. */
const unusedRedis = { status: 'unused', detail: 'REDIS_URL is set; this version does not use Redis' };

export function registerHealth(app: App, services: Services): void {
  const { engine, version, measures, settings } = services;
  const config = { access: 'public' } as const;
  const tags = ['health'];
  app.get(
    '/health',
    {
      config,
      exposeHeadRoute: true,
      schema: { tags, summary: 'The process lives', response: { 200: HealthAnswer } },
    },
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
      exposeHeadRoute: true,
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
          ...(settings.redisConfigured ? { redis: unusedRedis } : {}),
        },
      };
    },
  );
  app.get(
    '/metrics',
    {
      config,
      exposeHeadRoute: true,
      schema: { tags, summary: 'Prometheus metrics', response: { 200: PrometheusText } },
    },
    async (_request, reply) => {
      const { contentType, body } = await measures.metrics.render();
      return reply.type(contentType).send(body);
    },
  );
}
