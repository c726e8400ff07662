/**
 * Deploy: from a caller's wish to durable placements, or to a refusal that says what to change. Nothing is written until
 * every replica has a place.
 */
import {
  type AgentSpec,
  type AgentTypeRecipe,
  DEFAULT_CUSTOMER,
  disconnectRules,
  type FieldError,
  type Strategy,
  strategies,
  strategyAliases,
} from '@muster/contract';
import { canonicalJson } from '../shared/canonical.ts';
import { type AgentLives, candidatesOf } from './agents.ts';
import { type Desk, done, type Refusal, refuse } from './desk.ts';
import type { Actor, CommandOf, CommandResult } from './inputs.ts';
import type { Orchestrator } from './model.ts';
import { byRegistration, type Candidate, place, type Wish } from './placement.ts';

export const MAX_REPLICAS = 1000;
/** A machine's complete target travels in one frame: no single agent may fill it. */
export const MAX_SPEC_CHARACTERS = 65_536;

type Deploy = CommandOf<'deploy'>;
interface Pin {
  readonly ok: true;
  readonly orchestrator: Orchestrator | null;
}

export function deploy(
  desk: Desk,
  lives: AgentLives,
  actor: Actor,
  command: Deploy,
): CommandResult & { agentIds?: readonly string[] } {
  const recipe = desk.facts.agentTypes.get(command.agentType);
  if (recipe === undefined) {
    const known = [...desk.facts.agentTypes.keys()].sort().join(', ');
    return refuse(
      'unknown-agent-type',
      `Agent type ${JSON.stringify(command.agentType)} is unknown. Known types: ${known || 'none'}.`,
      { errors: [{ path: '/agent_type', message: `must be one of ${known}` }] },
    );
  }
  const strategy = strategyOf(command.strategy);
  if (strategy === null) {
    return refuse(
      'unknown-strategy',
      `Deployment strategy ${JSON.stringify(command.strategy)} is unknown. Known strategies: ${strategies.join(', ')} (also ${Object.keys(strategyAliases).join(', ')}).`,
      { errors: [{ path: '/deployment_strategy', message: `must be one of ${strategies.join(', ')}` }] },
    );
  }
  const rule = ruleRefusal(command.onDisconnect, recipe);
  if (rule !== null) return rule;
  const { orchestrator_id: pinText, ...plainConfig } = command.agentConfig;
  const checked = desk.validateConfig(recipe.type, plainConfig);
  if (checked.errors.length > 0) return configRefusal(recipe, checked.errors);
  const length = canonicalJson(checked.config).length + canonicalJson(command.constraints).length;
  if (length > MAX_SPEC_CHARACTERS) {
    const message = `must be at most ${MAX_SPEC_CHARACTERS} characters of JSON together with constraints`;
    const errors = [{ path: '/agent_config', message }];
    return refuse('validation', `agent_config is too large (${length} characters): it ${message}.`, {
      errors,
    });
  }
  const resources = resourcesOf(command.resourceRequirements, recipe);
  if (!resources.ok) return resources;
  const pin = resolvePin(desk, actor, command, pinText);
  if (!pin.ok) return pin;
  const customerId =
    command.customerId ?? actor.customerId ?? pin.orchestrator?.customerId ?? DEFAULT_CUSTOMER;
  if (!desk.facts.customers.has(customerId))
    return refuse('not-found', `Customer ${JSON.stringify(customerId)} does not exist.`);
  const spec: AgentSpec = {
    name: command.name ?? recipe.type,
    customerId,
    type: recipe.type,
    typeVersion: recipe.version,
    config: { ...checked.config },
    resources: resources.value,
    onDisconnect: { rule: 'continue' },
    stopGraceMs: recipe.stopGraceMs,
    inFlightMs: recipe.inFlightMs,
  };
  const wish: Wish = {
    customerId,
    deploymentId: desk.random.id('dep'),
    spec,
    strategy,
    constraints: command.constraints,
    pinnedTo: pin.orchestrator?.id ?? null,
  };
  return placeReplicas(desk, lives, actor, command, wish, checked.warnings);
}

function strategyOf(name: string): Strategy | null {
  if ((strategies as readonly string[]).includes(name)) return name as Strategy;
  return Object.hasOwn(strategyAliases, name) ? (strategyAliases[name] as Strategy) : null;
}

function ruleRefusal(rule: string, recipe: AgentTypeRecipe): Refusal | null {
  if (!(disconnectRules as readonly string[]).includes(rule)) {
    return refuse(
      'validation',
      `Disconnect rule ${JSON.stringify(rule)} is unknown. Known rules: ${disconnectRules.join(', ')}.`,
      {
        errors: [{ path: '/on_disconnect', message: `must be one of ${disconnectRules.join(', ')}` }],
      },
    );
  }
  if (rule === 'continue') return null;
  const why =
    rule === 'duplicate' && recipe.trading
      ? 'a trading type refuses it: two copies would mean double orders'
      : 'this version enforces "continue" only';
  return refuse('rule-unsupported', `Disconnect rule "${rule}" is not accepted: ${why}. Use "continue".`, {
    errors: [{ path: '/on_disconnect', message: 'must be continue' }],
  });
}

function configRefusal(recipe: AgentTypeRecipe, errors: readonly FieldError[]): Refusal {
  const first = errors[0];
  return refuse(
    'validation',
    `agent_config does not fit ${recipe.type} ${recipe.version}: ${first?.path ?? ''} ${first?.message ?? ''}`.trim() +
      '.',
    {
      errors: errors.map((error) => ({ path: `/agent_config${error.path}`, message: error.message })),
    },
  );
}

/** Bytes and cores asked for: the deploy's own numbers, else the type's. Several spellings are accepted. */
function resourcesOf(
  asked: Readonly<Record<string, unknown>>,
  recipe: AgentTypeRecipe,
): { ok: true; value: AgentSpec['resources'] } | Refusal {
  const errors: FieldError[] = [];
  const read = (names: readonly string[], scale: number): number | null => {
    for (const name of names) {
      const value = asked[name];
      if (value === undefined || value === null) continue;
      if (typeof value !== 'number' || !Number.isFinite(value) || value < 0 || value > 2 ** 50) {
        errors.push({ path: `/resource_requirements/${name}`, message: 'must be a number of at least 0' });
        return null;
      }
      return value * scale;
    }
    return null;
  };
  const memory =
    read(['memory', 'memory_bytes', 'memory_limit', 'min_memory'], 1) ?? read(['memory_mb'], 1_048_576);
  const cpu = read(['cpu', 'cpu_cores', 'cpu_count', 'min_cpu'], 1);
  const first = errors[0];
  if (first !== undefined)
    return refuse('validation', `The deploy is not valid: ${first.path} ${first.message}.`, { errors });
  return {
    ok: true,
    value: {
      memoryBytes: Math.round(memory ?? recipe.resources.memoryBytes),
      cpuCores: cpu ?? recipe.resources.cpuCores,
    },
  };
}

/** Orchestrator ids are compared as text, whether given as number or text. */
const pinOf = (value: unknown): string => (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));

/** The one orchestrator the caller insists on, from `agent_config.orchestrator_id` and `preferred_container`. */
function resolvePin(desk: Desk, actor: Actor, command: Deploy, pinText: unknown): Pin | Refusal {
  const scope = command.customerId ?? actor.customerId;
  const visible = [...desk.facts.orchestrators.values()].filter(
    (orchestrator) =>
      orchestrator.deregisteredAt === null && (scope === null || orchestrator.customerId === scope),
  );
  let pinned: Orchestrator | null = null;
  if (pinText !== undefined && pinText !== null) {
    const text = pinOf(pinText);
    const matches = visible.filter(
      (orchestrator) => pinOf(orchestrator.metadata['orchestrator_id']) === text,
    );
    if (matches.length > 1) {
      return refuse(
        'pin-conflict',
        `orchestrator_id ${JSON.stringify(text)} matches ${matches.length} orchestrators (${matches.map((item) => item.name).join(', ')}). Name the customer or use preferred_container.`,
      );
    }
    if (matches.length === 0)
      return refuse(
        'nothing-fits',
        `No orchestrator with orchestrator_id ${JSON.stringify(text)} is registered.`,
        { extra: { orchestrators: notMeant(visible, 'has another orchestrator_id') } },
      );
    pinned = matches[0] ?? null;
  }
  if (command.preferredContainer === null) return { ok: true, orchestrator: pinned };
  const wanted = visible.filter(
    ({ id, name }) => id === command.preferredContainer || name === command.preferredContainer,
  );
  if (wanted.length > 1)
    return refuse(
      'pin-conflict',
      `preferred_container ${JSON.stringify(command.preferredContainer)} matches ${wanted.length} orchestrators; use the id.`,
    );
  const preferred = wanted[0];
  if (preferred === undefined) {
    return refuse(
      'nothing-fits',
      `preferred_container ${JSON.stringify(command.preferredContainer)} is not registered.`,
      { extra: { orchestrators: notMeant(visible, 'is not the preferred container') } },
    );
  }
  if (pinned !== null && pinned.id !== preferred.id) {
    return refuse(
      'pin-conflict',
      `orchestrator_id names ${pinned.name} and preferred_container names ${preferred.name}.`,
    );
  }
  return { ok: true, orchestrator: preferred };
}

/** Why not, per orchestrator the caller may know of, when the one asked for does not exist. */
const notMeant = (visible: readonly Orchestrator[], reason: string) =>
  [...visible]
    .sort(byRegistration)
    .map((each) => ({ container_id: each.id, container_name: each.name, reason }));

/** Place all replicas on paper first, each seeing the ones before it; only then commit. */
function placeReplicas(
  desk: Desk,
  lives: AgentLives,
  actor: Actor,
  command: Deploy,
  wish: Wish,
  warnings: readonly string[],
): CommandResult & { agentIds?: readonly string[] } {
  const candidates = candidatesOf(desk, wish.customerId);
  const chosen: { orchestratorId: string; reason: string }[] = [];
  let turn = desk.facts.placements;
  for (let index = 0; index < command.replicas; index += 1) {
    const answer = place(wish, candidates);
    if (!answer.ok) {
      const summary =
        answer.reasons.map((item) => `${item.name} ${item.reason}`).join('; ') ||
        'no orchestrator of this customer is registered';
      const which = command.replicas > 1 ? ` for replica ${index + 1} of ${command.replicas}` : '';
      return refuse('nothing-fits', `Nothing fits${which}: ${summary}.`, {
        extra: {
          orchestrators: answer.reasons.map((item) => ({
            container_id: item.id,
            container_name: item.name,
            reason: item.reason,
          })),
        },
      });
    }
    chosen.push(answer);
    turn += 1;
    occupy(candidates, answer.orchestratorId, wish, turn);
  }
  const agents = chosen.map((answer, index) => {
    const id = desk.random.id('agt');
    const name = command.replicas > 1 ? `${wish.spec.name}-${index + 1}` : wish.spec.name;
    const { customerId, deploymentId, strategy, constraints, pinnedTo } = wish;
    desk.commit('agentDeployed', {
      id,
      customerId,
      deploymentId,
      spec: { ...wish.spec, name },
      strategy,
      constraints,
      pinnedTo,
      by: actor.id,
    });
    const agent = desk.facts.agents.get(id);
    if (agent === undefined) throw new Error('deploy: the agent vanished');
    desk.publish('agent.deployed', customerId, {
      agent_id: id,
      name,
      agent_type: wish.spec.type,
      deployment_id: deploymentId,
    });
    lives.assign(desk, agent, answer.orchestratorId, answer.reason, actor.id);
    return { agentId: id, orchestratorId: answer.orchestratorId, epoch: agent.epoch, reason: answer.reason };
  });
  return {
    ...done({ deploymentId: wish.deploymentId, customerId: wish.customerId, agents, warnings }),
    agentIds: agents.map((agent) => agent.agentId),
  };
}

/** Note one more agent on a candidate, so that the next replica sees it. */
function occupy(candidates: Candidate[], orchestratorId: string, wish: Wish, turn: number): void {
  const index = candidates.findIndex(({ orchestrator }) => orchestrator.id === orchestratorId);
  const before = candidates[index];
  if (before === undefined) return;
  const agentTypes = new Map(before.agentTypes).set(
    wish.spec.type,
    (before.agentTypes.get(wish.spec.type) ?? 0) + 1,
  );
  const deployments = new Map(before.deployments).set(
    wish.deploymentId,
    (before.deployments.get(wish.deploymentId) ?? 0) + 1,
  );
  candidates[index] = {
    ...before,
    orchestrator: { ...before.orchestrator, lastPlacedSeq: turn },
    placed: before.placed + 1,
    placedMemoryBytes: before.placedMemoryBytes + wish.spec.resources.memoryBytes,
    placedCpuCores: before.placedCpuCores + wish.spec.resources.cpuCores,
    agentTypes,
    deployments,
  };
}
