/**
 * Placement: where may this agent run, and where best? Pure functions over candidates.
 *
 * First a fixed pipeline of filters, each of which can say why not in one sentence (the answer to "nothing fits" is made of
 * these), then one score per strategy. Ties are broken by registration time, then id, so equal facts give equal places.
 * Filters read reported facts; a fact that was never reported does not exclude (`min_memory` against an unknown memory does).
 */
import type { AgentSpec, Strategy } from '@muster/contract';
import type { Orchestrator } from './model.ts';

export interface Candidate {
  readonly orchestrator: Orchestrator;
  /** Connected, reported and reconciled: may be given new work. */
  readonly eligible: boolean;
  /** Why it is not eligible, for people. */
  readonly ineligibleReason: string;
  /** Merged facts: what was registered plus what beats reported. */
  readonly resources: Readonly<Record<string, unknown>>;
  /** Placements that hold a place here, closing ones included. */
  readonly placed: number;
  readonly placedMemoryBytes: number;
  readonly placedCpuCores: number;
  readonly agentTypes: ReadonlyMap<string, number>;
  readonly deployments: ReadonlyMap<string, number>;
}

export interface Wish {
  readonly customerId: string;
  readonly deploymentId: string;
  readonly spec: AgentSpec;
  readonly strategy: Strategy;
  readonly constraints: Readonly<Record<string, unknown>>;
  /** Orchestrator that must be taken; null: any. */
  readonly pinnedTo: string | null;
  /** Why not another one, when it was not asked for. */
  readonly pinnedWhy?: string;
  /** Orchestrators that must not be taken (the source of a move). */
  readonly exclude?: readonly string[];
}

export type PlacementAnswer =
  | { readonly ok: true; readonly orchestratorId: string; readonly reason: string }
  | {
      readonly ok: false;
      readonly reasons: readonly { readonly id: string; readonly name: string; readonly reason: string }[];
    };

const numberIn = (facts: Readonly<Record<string, unknown>>, ...names: string[]): number | null => {
  for (const name of names) {
    const value = facts[name];
    if (typeof value === 'number' && Number.isFinite(value)) return value;
  }
  return null;
};
const memoryOf = (candidate: Candidate): number | null =>
  numberIn(candidate.resources, 'memory_limit', 'memory_total');
const coresOf = (candidate: Candidate): number | null =>
  numberIn(candidate.resources, 'cpu_count', 'cpu_cores');

function requiredCapabilities(constraints: Readonly<Record<string, unknown>>): string[] {
  const many = constraints['required_capabilities'];
  const one = constraints['require_capability'];
  const list = Array.isArray(many) ? many.filter((item): item is string => typeof item === 'string') : [];
  return typeof one === 'string' ? [...list, one] : list;
}

/** Free bytes and cores after what is placed here asked for; null: unknown. */
export function freeOf(candidate: Candidate): { memoryBytes: number | null; cpuCores: number | null } {
  const memory = memoryOf(candidate);
  const cores = coresOf(candidate);
  return {
    memoryBytes: memory === null ? null : memory - candidate.placedMemoryBytes,
    cpuCores: cores === null ? null : cores - candidate.placedCpuCores,
  };
}

const mebibytes = (bytes: number): string => `${Math.round(bytes / 1_048_576)} MiB`;

type Filter = (candidate: Candidate, wish: Wish) => string | null;

/** In the order a person would ask. Each returns the reason why not, or null. */
const filters: readonly Filter[] = [
  ({ orchestrator }, wish) =>
    orchestrator.customerId === wish.customerId ? null : `belongs to customer ${orchestrator.customerId}`,
  ({ orchestrator }) => (orchestrator.deregisteredAt === null ? null : 'was deregistered'),
  ({ orchestrator }, wish) =>
    wish.pinnedTo === null || wish.pinnedTo === orchestrator.id
      ? null
      : (wish.pinnedWhy ?? 'is not the orchestrator asked for'),
  ({ orchestrator }, wish) =>
    wish.exclude?.includes(orchestrator.id) === true ? 'is where the agent comes from' : null,
  // An agent that can run nowhere else is not a new one: better at home on a draining machine than unattended.
  ({ orchestrator }, wish) =>
    orchestrator.draining && wish.pinnedWhy === undefined ? 'is draining: it takes no new agents' : null,
  ({ orchestrator }) =>
    orchestrator.link === 'direct'
      ? 'is attached by direct link; this version places on channel links only'
      : null,
  (candidate) => (candidate.eligible ? null : candidate.ineligibleReason),
  ({ orchestrator, placed }) =>
    placed < orchestrator.maxAgents
      ? null
      : `is full: ${placed} of ${orchestrator.maxAgents} agents (max_agents)`,
  ({ orchestrator }, wish) => {
    const missing = requiredCapabilities(wish.constraints).filter(
      (word) => !orchestrator.capabilities.includes(word),
    );
    return missing.length === 0 ? null : `lacks capability ${missing.join(', ')}`;
  },
  (candidate, wish) => {
    const least = numberIn(wish.constraints, 'min_memory');
    const memory = memoryOf(candidate);
    if (least === null || (memory !== null && memory >= least)) return null;
    return `has ${memory === null ? 'unknown memory' : `${memory} bytes of memory`}, min_memory is ${least}`;
  },
  (candidate, wish) => {
    const least = numberIn(wish.constraints, 'min_cpu');
    const cores = coresOf(candidate);
    if (least === null || (cores !== null && cores >= least)) return null;
    return `has ${cores ?? 'an unknown number of'} cores, min_cpu is ${least}`;
  },
  (candidate, wish) => {
    const { memoryBytes } = freeOf(candidate);
    if (memoryBytes === null || memoryBytes >= wish.spec.resources.memoryBytes) return null;
    return `lacks memory: ${mebibytes(Math.max(0, memoryBytes))} unreserved, the agent asks for ${mebibytes(wish.spec.resources.memoryBytes)}`;
  },
  (candidate, wish) => {
    const { cpuCores } = freeOf(candidate);
    if (cpuCores === null || cpuCores + 1e-9 >= wish.spec.resources.cpuCores) return null;
    return `lacks cpu: ${Math.max(0, cpuCores).toFixed(2)} cores unreserved, the agent asks for ${wish.spec.resources.cpuCores}`;
  },
  (candidate, wish) => {
    const avoid = wish.constraints['anti_affinity'];
    if (typeof avoid !== 'string' || avoid === '') return null;
    return countOf(candidate, avoid) === 0 ? null : `already runs ${avoid} (anti_affinity)`;
  },
];

/** Agents of a type or a deployment on a candidate. */
const countOf = (candidate: Candidate, word: string): number =>
  (candidate.agentTypes.get(word) ?? 0) + (candidate.deployments.get(word) ?? 0);

/** Share of the places taken, 0..1. */
const loadOf = ({ orchestrator, placed }: Candidate): number =>
  orchestrator.maxAgents === 0 ? 1 : placed / orchestrator.maxAgents;

/** Bigger is better; compared member by member. */
type Score = (candidate: Candidate, wish: Wish) => readonly number[];

const scores: Readonly<Record<Strategy, Score>> = {
  round_robin: ({ orchestrator }) => [-orchestrator.lastPlacedSeq],
  least_loaded: (candidate) => [-loadOf(candidate), -candidate.placed],
  resource_based: (candidate, wish) => {
    const free = freeOf(candidate);
    const memory = memoryOf(candidate);
    const cores = coresOf(candidate);
    const memoryShare =
      free.memoryBytes === null || !memory
        ? 0
        : (free.memoryBytes - wish.spec.resources.memoryBytes) / memory;
    const coreShare =
      free.cpuCores === null || !cores ? 0 : (free.cpuCores - wish.spec.resources.cpuCores) / cores;
    return [Math.min(memoryShare, coreShare), memoryShare + coreShare, -loadOf(candidate)];
  },
  capability_based: (candidate, wish) => {
    const wanted = requiredCapabilities(wish.constraints);
    const preferred = Array.isArray(wish.constraints['preferred_capabilities'])
      ? wish.constraints['preferred_capabilities']
      : [];
    const { capabilities } = candidate.orchestrator;
    const matches = [...wanted, ...preferred, wish.spec.type].filter((word) =>
      capabilities.includes(word as string),
    ).length;
    // Among equal matches the specialist, who can do the least besides, keeps generalists free.
    return [matches, -capabilities.length, -loadOf(candidate)];
  },
  affinity_based: (candidate, wish) => {
    const near =
      typeof wish.constraints['affinity'] === 'string'
        ? (wish.constraints['affinity'] as string)
        : wish.spec.type;
    return [countOf(candidate, near), -loadOf(candidate), -candidate.placed];
  },
};

function better(a: readonly number[], b: readonly number[]): number {
  for (let index = 0; index < Math.max(a.length, b.length); index += 1) {
    const difference = (b[index] ?? 0) - (a[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Registration order, the contract's order of lists and the last tie-break. */
export const byRegistration = (a: Orchestrator, b: Orchestrator): number =>
  a.registeredAt - b.registeredAt || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

/** Choose an orchestrator for one agent, or say of each one of this customer why not. */
export function place(wish: Wish, candidates: readonly Candidate[]): PlacementAnswer {
  const fitting: Candidate[] = [];
  const reasons: { id: string; name: string; reason: string }[] = [];
  for (const candidate of candidates) {
    const reason = firstReason(candidate, wish);
    if (reason === null) fitting.push(candidate);
    // Orchestrators of other customers do not exist as far as this answer goes.
    else if (
      candidate.orchestrator.customerId === wish.customerId &&
      candidate.orchestrator.deregisteredAt === null
    ) {
      reasons.push({ id: candidate.orchestrator.id, name: candidate.orchestrator.name, reason });
    }
  }
  const score = scores[wish.strategy];
  const ranked = fitting
    .map((candidate) => ({ candidate, score: score(candidate, wish) }))
    .sort(
      (a, b) =>
        better(a.score, b.score) || byRegistration(a.candidate.orchestrator, b.candidate.orchestrator),
    );
  const best = ranked[0];
  if (best === undefined) return { ok: false, reasons };
  const { orchestrator } = best.candidate;
  const reason =
    wish.pinnedTo === null
      ? `${wish.strategy}: best of ${ranked.length} that fit of ${candidates.length}`
      : 'pinned';
  return { ok: true, orchestratorId: orchestrator.id, reason };
}

function firstReason(candidate: Candidate, wish: Wish): string | null {
  for (const filter of filters) {
    const reason = filter(candidate, wish);
    if (reason !== null) return reason;
  }
  return null;
}
