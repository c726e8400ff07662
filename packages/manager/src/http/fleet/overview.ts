/** The whole fleet at a glance. */
import { Distribution, Overview } from '@muster/contract';
import type { Services } from '../../services.ts';
import { distributionOf } from '../../views/containers.ts';
import { overviewOf } from '../../views/overview.ts';
import { type App, callerIn } from '../app.ts';
import { hubReportFor } from '../communication/communication.ts';
import { discoveryReportFor } from './discovery.ts';

const tags = ['fleet'];
const config = { access: 'viewer' } as const;

export function registerOverview(app: App, services: Services): void {
  const { engine } = services;
  app.get(
    '/api/v1/cluster/status',
    { config, schema: { tags, summary: 'The fleet at a glance', response: { 200: Overview } } },
    (request) => {
      const { actor } = callerIn(request);
      const discovery = discoveryReportFor(services, actor);
      return overviewOf(
        engine.machine,
        actor,
        discovery,
        hubReportFor(services, actor),
        engine.clock.now().wall,
      );
    },
  );
  const schema = { tags, summary: 'How agents are spread over containers', response: { 200: Distribution } };
  app.get('/api/v1/cluster/metrics/distribution', { config, schema }, (request) =>
    distributionOf(engine.machine, callerIn(request).actor, engine.clock.now().wall),
  );
}
