/** Discovery: ask every orchestrator, and look for some kind of them. */
import { Container, DiscoveredQuery, Discovery } from '@muster/contract';
import type { Actor, Orchestrator } from '@muster/core/manager';
import { Type } from 'typebox';
import { HEALTHY_SCORE } from '../../discovery.ts';
import type { Services } from '../../services.ts';
import { containerOf, isActive, orchestratorsFor } from '../../views/containers.ts';
import { type App, callerIn } from '../app.ts';

const tags = ['fleet'];
const ScanStarted = Type.Object({ status: Type.Literal('scan_initiated') });

export function discoveryReportFor({ discovery, engine }: Services, actor: Actor): Discovery {
  return discovery.report(orchestratorsFor(engine.machine, actor));
}

export function registerDiscovery(app: App, services: Services): void {
  const { discovery, engine } = services;
  const { machine } = engine;
  const scan = { tags, summary: 'Ask every container now', response: { 200: ScanStarted } };
  app.post('/api/v1/cluster/discovery/scan', { config: { access: 'operator' }, schema: scan }, () => {
    void discovery.scan();
    return { status: 'scan_initiated' as const };
  });
  const status = { tags, summary: 'State of the scans', response: { 200: Discovery } };
  app.get('/api/v1/cluster/discovery/status', { config: { access: 'viewer' }, schema: status }, (request) =>
    discoveryReportFor(services, callerIn(request).actor),
  );
  const found = {
    tags,
    summary: 'Containers of a kind; filters combine',
    querystring: DiscoveredQuery,
    response: { 200: Type.Array(Container) },
  };
  app.get(
    '/api/v1/cluster/discovery/containers',
    { config: { access: 'viewer' }, schema: found },
    (request) => {
      const { container_type, capability, healthy_only = true } = request.query;
      return orchestratorsFor(machine, callerIn(request).actor)
        .filter((each) => container_type === undefined || typesOf(each).includes(container_type))
        .filter((each) => capability === undefined || each.capabilities.includes(capability))
        .map((each) => ({ active: isActive(machine, each), container: containerOf(machine, each) }))
        .filter(
          ({ active, container }) => !healthy_only || (active && container.health_score >= HEALTHY_SCORE),
        )
        .map(({ container }) => container);
    },
  );
}

/** What kind of container it says it is. */
const typesOf = ({ metadata }: Orchestrator): unknown[] => [
  metadata['container_type'],
  metadata['agent_type'],
  metadata['type'],
];
