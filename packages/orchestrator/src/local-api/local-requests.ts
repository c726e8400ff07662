/**
 * Bodies of the local API, checked: unknown fields are dropped, wrong ones are named.
 */
import { type AgentSpec, type FieldError, MusterError } from '@muster/contract';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import type { AgentCatalogue } from '../agent-catalogue.ts';

const DeployBody = Type.Object({
  agent_id: Type.String({ minLength: 1, maxLength: 128, pattern: '^[A-Za-z0-9][A-Za-z0-9._:@-]*$' }),
  agent_type: Type.String({ minLength: 1, maxLength: 128 }),
  agent_config: Type.Optional(Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()])),
  resource_requirements: Type.Optional(Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()])),
  name: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
});

export interface LocalDeploy {
  readonly agentId: string;
  readonly agentType: string;
  readonly name: string | null;
  readonly config: Readonly<Record<string, unknown>>;
  readonly resources: Readonly<Record<string, unknown>>;
}

/** @throws MusterError validation */
export function parseDeploy(body: unknown): LocalDeploy {
  if (!Value.Check(DeployBody, body)) {
    const value = body ?? {};
    const errors: FieldError[] = Value.Errors(DeployBody, value).map(({ instancePath, message }) => ({
      path: instancePath,
      message,
    }));
    throw new MusterError('validation', undefined, { errors: errors.slice(0, 50) });
  }
  return {
    agentId: body.agent_id,
    agentType: body.agent_type,
    name: body.name ?? null,
    config: body.agent_config ?? {},
    resources: body.resource_requirements ?? {},
  };
}

/** The order for a local deploy. @throws MusterError unknown-agent-type, validation */
export function specOf(deploy: LocalDeploy, catalogue: AgentCatalogue, customerId: string): AgentSpec {
  const recipe = catalogue.recipeOf(deploy.agentType);
  if (recipe === undefined) {
    const known = catalogue.recipes.map((each) => each.type).join(', ');
    throw new MusterError(
      'unknown-agent-type',
      `There is no agent type ${deploy.agentType} here; there are ${known}.`,
    );
  }
  const { orchestrator_id: _pin, ...config } = deploy.config;
  const issues = catalogue.validate(recipe.type, config);
  if (issues.length > 0) {
    const errors = issues.map(({ path, message }) => ({ path: `/agent_config${path}`, message }));
    throw new MusterError('validation', `The configuration does not suit ${recipe.type}. See "errors".`, {
      errors,
    });
  }
  return {
    name: deploy.name ?? deploy.agentId,
    customerId,
    type: recipe.type,
    typeVersion: recipe.version,
    config,
    resources: {
      memoryBytes: quantity(
        deploy.resources,
        ['memory', 'memory_bytes', 'memory_limit', 'min_memory'],
        recipe.resources.memoryBytes,
        true,
      ),
      cpuCores: quantity(
        deploy.resources,
        ['cpu', 'cpu_cores', 'cpu_count', 'min_cpu'],
        recipe.resources.cpuCores,
        false,
      ),
    },
    onDisconnect: { rule: 'continue' },
    stopGraceMs: recipe.stopGraceMs,
    inFlightMs: recipe.inFlightMs,
  };
}

/** A reason the operator gives for a stop; at most 300 characters of it. */
export function parseReason(body: unknown): string {
  const reason =
    typeof body === 'object' && body !== null ? (body as { reason?: unknown }).reason : undefined;
  return typeof reason === 'string' && reason.trim() !== ''
    ? reason.trim().slice(0, 300)
    : 'stopped on this machine';
}

function quantity(
  given: Readonly<Record<string, unknown>>,
  names: readonly string[],
  otherwise: number,
  whole: boolean,
): number {
  const name = names.find((each) => given[each] !== undefined && given[each] !== null);
  if (name === undefined) return otherwise;
  const value = given[name];
  const fits =
    typeof value === 'number' && value >= 0 && (whole ? Number.isSafeInteger(value) : Number.isFinite(value));
  if (fits) return value;
  throw new MusterError('validation', undefined, {
    errors: [{ path: `/resource_requirements/${name}`, message: 'must be a number of zero or more' }],
  });
}
