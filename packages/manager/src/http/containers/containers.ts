/** Registered orchestrators: list, look, drain, remove. */
import {
  Container,
  ContainerDetail,
  ContainersQuery,
  DoneAnswer,
  DrainAnswer,
  DrainRequest,
  MusterError,
  RemoveContainerQuery,
} from '@muster/contract';
import { Type } from 'typebox';
import { includesRole } from '../../auth/callers.ts';
import type { Services } from '../../services.ts';
import { containerDetailOf, containerOf, isActive, orchestratorsFor } from '../../views/containers.ts';
import { type App, callerIn } from '../app.ts';
import { findOrchestrator, IdParams } from '../lookup.ts';

const tags = ['containers'];

export function registerContainers(app: App, services: Services): void {
  registerReading(app, services);
  registerControl(app, services);
}

function registerReading(app: App, { engine }: Services): void {
  const { machine } = engine;
  app.get(
    '/api/v1/cluster/containers',
    {
      config: { access: 'viewer' },
      schema: {
        tags,
        summary: 'List containers, active ones unless asked',
        querystring: ContainersQuery,
        response: { 200: Type.Array(Container) },
      },
    },
    (request) => {
      const orchestrators = orchestratorsFor(machine, callerIn(request).actor);
      const wanted =
        request.query.include_inactive === true
          ? orchestrators
          : orchestrators.filter((each) => isActive(machine, each));
      return wanted.map((orchestrator) => containerOf(machine, orchestrator));
    },
  );
  app.get(
    '/api/v1/cluster/containers/:id',
    {
      config: { access: 'viewer' },
      schema: { tags, summary: 'One container', params: IdParams, response: { 200: ContainerDetail } },
    },
    (request) =>
      containerDetailOf(machine, findOrchestrator(machine, callerIn(request).actor, request.params.id)),
  );
}

function registerControl(app: App, { engine, hub }: Services): void {
  const { machine } = engine;
  app.post(
    '/api/v1/cluster/containers/:id/drain',
    {
      config: { access: 'operator' },
      schema: {
        tags,
        summary: 'Take no new agents, or take them again',
        params: IdParams,
        body: DrainRequest,
        response: { 200: DrainAnswer },
      },
    },
    async (request) => {
      const { draining, reason } = request.body;
      const command = {
        kind: 'drain',
        orchestratorId: request.params.id,
        draining: draining ?? true,
        reason: reason ?? 'manual',
      } as const;
      const value = await engine.command(callerIn(request).actor, command);
      return {
        success: true as const,
        container_id: request.params.id,
        draining: value['draining'] === true,
      };
    },
  );
  app.delete(
    '/api/v1/cluster/containers/:id',
    {
      config: { access: 'operator' },
      schema: {
        tags,
        summary: 'Remove a container after its agents were stopped; force=true declares its machine dead',
        params: IdParams,
        querystring: RemoveContainerQuery,
        response: { 200: DoneAnswer },
      },
    },
    async (request) => {
      const caller = callerIn(request);
      const force = request.query.force === true;
      const orchestrator = findOrchestrator(machine, caller.actor, request.params.id);
      if (force && !includesRole(caller.user.role, 'admin')) {
        throw new MusterError('forbidden', 'Declaring a machine dead (force=true) needs the role admin.');
      }
      const { name } = orchestrator;
      const value = await engine.command(caller.actor, {
        kind: 'deregister',
        orchestratorId: orchestrator.id,
        force,
      });
      hub.forget(orchestrator.id);
      const how = force
        ? `was declared dead and removed; ${String(value['agents'])} agent(s) were released`
        : 'was removed';
      return { success: true as const, message: `Container ${name} ${how}.` };
    },
  );
}
