/**
 * The fixed words of Muster: statuses, roles, rules, strategies. One list each, used by schemas, machines and displays.
 */

export const orchestratorStatuses = [
  'registering',
  'active',
  'draining',
  'disconnected',
  'lost',
  'deregistered',
] as const;
export type OrchestratorStatus = (typeof orchestratorStatuses)[number];

export const connectionWords = ['connected', 'late', 'offline', 'never-connected', 'revoked'] as const;
export type ConnectionWord = (typeof connectionWords)[number];

export const syncWords = ['in-sync', 'applying', 'held', 'refused', 'failed', 'superseded'] as const;
export type SyncWord = (typeof syncWords)[number];

export const agentStatuses = [
  'pending',
  'starting',
  'running',
  'healthy',
  'degraded',
  'crash-looping',
  'stopping',
  'stopped',
  'stopped-by-customer',
  'failed',
  'unknown',
] as const;
export type AgentStatus = (typeof agentStatuses)[number];

export const roles = ['admin', 'operator', 'viewer'] as const;
export type Role = (typeof roles)[number];

export const disconnectRules = ['continue', 'failover', 'duplicate'] as const;
export type DisconnectRule = (typeof disconnectRules)[number];

/** Canonical strategy names. */
export const strategies = [
  'round_robin',
  'least_loaded',
  'resource_based',
  'capability_based',
  'affinity_based',
] as const;
export type Strategy = (typeof strategies)[number];
/** Other names the contract accepts. */
export const strategyAliases: Readonly<Record<string, Strategy>> = {
  resource_optimal: 'resource_based',
  capability_match: 'capability_based',
};

export const linkKinds = ['channel', 'direct'] as const;
export type LinkKind = (typeof linkKinds)[number];

/** How an order ended. Exactly one per order. */
export const receiptOutcomes = [
  'succeeded',
  'failed',
  'refused',
  'expired',
  'superseded',
  'cancelled',
] as const;
export type ReceiptOutcome = (typeof receiptOutcomes)[number];

/** The customer everything belongs to that names none. */
export const DEFAULT_CUSTOMER = 'default';
