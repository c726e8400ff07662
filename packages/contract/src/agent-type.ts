/**
 * An agent type: the versioned recipe an agent is made from. Plain data, registered at the manager and known to the
 * orchestrators that can run it.
 */
export interface AgentTypeRecipe {
  readonly type: string;
  readonly version: string;
  readonly title: string;
  readonly description: string;
  /** Trades money: refuses the disconnect rule `duplicate`. */
  readonly trading: boolean;
  readonly run: {
    readonly kind: 'node' /** Module specifier the orchestrator resolves. */;
    readonly entry: string;
  };
  /** JSON Schema (2020-12) of `agent_config`. */
  readonly configSchema: Readonly<Record<string, unknown>>;
  readonly defaults: Readonly<Record<string, unknown>>;
  /** What one agent asks for unless the deploy says otherwise. */
  readonly resources: { readonly memoryBytes: number; readonly cpuCores: number };
  /** Control verbs the agent answers. */
  readonly verbs: readonly string[];
  /** How long a graceful stop may take before it is forced, ms. */
  readonly stopGraceMs: number;
  /** How long something sent by a dead agent may still take effect at its venue (term F), ms. */
  readonly inFlightMs: number;
}
