/**
 * Actions on the whole fleet: `rebalance` moves agents, `health_check` asks every container, `optimize` only looks and suggests.
 */
import {
  ActionAnswer,
  ActionRequest,
  type HealthCheckAnswer,
  type OptimizeAnswer,
  type RebalanceAnswer,
} from '@muster/contract';
import type { Actor } from '@muster/core/manager';
import type { Services } from '../../services.ts';
import { isoTime, orchestratorsFor } from '../../views/containers.ts';
import { suggestionsFor } from '../../views/overview.ts';
import { type App, callerIn } from '../app.ts';

export function registerActions(app: App, services: Services): void {
  const schema = {
    tags: ['fleet'],
    summary: 'Rebalance, check health, or ask for suggestions',
    body: ActionRequest,
    response: { 200: ActionAnswer },
  };
  app.post(
    '/api/v1/cluster/actions',
    { config: { access: 'operator' }, schema },
    (request): Promise<ActionAnswer> | ActionAnswer => {
      const { actor } = callerIn(request);
      switch (request.body.action) {
        case 'rebalance':
          return rebalance(services, actor);
        case 'health_check':
          return checkHealth(services, actor);
        case 'optimize':
          return optimize(services, actor);
      }
    },
  );
}

async function rebalance({ engine }: Services, actor: Actor): Promise<RebalanceAnswer> {
  const value = await engine.command(actor, { kind: 'rebalance' });
  return {
    rebalanced: value['rebalanced'] === true,
    migrations: value['migrations'] as RebalanceAnswer['migrations'],
    migrations_performed: Number(value['migrations_performed']),
    final_distribution: value['final_distribution'] as Record<string, number>,
  };
}

async function checkHealth({ engine, discovery }: Services, actor: Actor): Promise<HealthCheckAnswer> {
  const orchestrators = orchestratorsFor(engine.machine, actor);
  const findings = await Promise.all(
    orchestrators.map(async (each) => [each.id, await discovery.check(each)] as const),
  );
  const healthy = findings.filter(([, finding]) => finding.healthy).length;
  return {
    action: 'health_check',
    status: { healthy, unhealthy: findings.length - healthy, total: findings.length },
    timestamp: isoTime(engine.clock.now().wall),
    containers: Object.fromEntries(findings),
  };
}

function optimize({ engine }: Services, actor: Actor): OptimizeAnswer {
  return {
    action: 'optimize',
    timestamp: isoTime(engine.clock.now().wall),
    suggestions: suggestionsFor(engine.machine, actor),
  };
}
