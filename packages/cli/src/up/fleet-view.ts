/**
 * What the status view shows, as plain data: gathered from the children and the manager's API, drawn elsewhere.
 *
 * Three things stay apart: whether a process lives (our children), whether an orchestrator is connected, and whether it does
 * what it should. When the manager does not answer, the last known rows stay and are marked as old.
 */
import type { Agent, AgentDetail, AgentType, Container } from '@muster/contract';
import type { ChildState } from './child.ts';
import type { FleetClient } from './fleet-client.ts';

export interface ProcessRow {
  readonly name: string;
  readonly state: ChildState;
  readonly pid: number | null;
  readonly port: number | null;
}

export interface NodeRow {
  readonly name: string;
  /** Null: it runs elsewhere. */
  readonly process: ProcessRow | null;
  /** Null: it has not joined yet. */
  readonly connection: string | null;
  readonly sync: string | null;
  readonly agents: number;
  readonly maxAgents: number;
}

export interface AgentRow {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly status: string;
  readonly detail: string;
  readonly node: string | null;
  readonly pid: number | null;
  readonly equity: number | null;
  /** What the account began with; null: not known. */
  readonly initialCash: number | null;
  /** Open of the last bar it has seen, Unix ms. */
  readonly barTimeMs: number | null;
}

export interface FleetView {
  readonly manager: ProcessRow;
  readonly nodes: readonly NodeRow[];
  readonly agents: readonly AgentRow[];
  /** False: nodes and agents are as last heard. */
  readonly fresh: boolean;
}

/** Asks the manager for the rows; keeps what does not change. */
export class FleetReader {
  readonly #client: FleetClient;
  readonly #initialCash = new Map<string, number | null>();
  #defaultCash: number | null | undefined;

  constructor(client: FleetClient) {
    this.#client = client;
  }

  async read(): Promise<{ nodes: readonly Container[]; agents: readonly AgentRow[] }> {
    const [nodes, agents] = await this.#client.call((api) =>
      Promise.all([
        api.get<Container[]>('/api/v1/cluster/containers', { include_inactive: true }),
        api.get<Agent[]>('/api/v1/cluster/agents'),
      ]),
    );
    const rows: AgentRow[] = [];
    for (const agent of agents) rows.push(agentRow(agent, await this.#cashOf(agent)));
    rows.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    return { nodes: nodes.filter(({ status }) => status !== 'deregistered'), agents: rows };
  }

  async #cashOf(agent: Agent): Promise<number | null> {
    if (agent.metrics['equity'] === undefined) return null;
    const known = this.#initialCash.get(agent.agent_id);
    if (known !== undefined) return known;
    const path = `/api/v1/cluster/agents/${encodeURIComponent(agent.agent_id)}`;
    const { config } = await this.#client.call((api) => api.get<AgentDetail>(path));
    const given = config['initial_cash'];
    const cash = typeof given === 'number' ? given : await this.#cashByDefault(agent.agent_type);
    this.#initialCash.set(agent.agent_id, cash);
    return cash;
  }

  async #cashByDefault(type: string): Promise<number | null> {
    if (this.#defaultCash !== undefined) return this.#defaultCash;
    const types = await this.#client.call((api) => api.get<AgentType[]>('/api/v1/cluster/agent-types'));
    const schema = types.find(({ agent_type: each }) => each === type)?.config_schema as
      | { properties?: { initial_cash?: { default?: unknown } } }
      | undefined;
    const value = schema?.properties?.initial_cash?.default;
    this.#defaultCash = typeof value === 'number' ? value : null;
    return this.#defaultCash;
  }
}

function agentRow(agent: Agent, initialCash: number | null): AgentRow {
  const barTime = agent.metrics['bar_time'];
  return {
    id: agent.agent_id,
    name: agent.name,
    type: agent.agent_type,
    status: agent.status,
    detail: agent.detail,
    node: agent.container_name,
    pid: agent.pid,
    equity: agent.metrics['equity'] ?? null,
    initialCash,
    barTimeMs: barTime === undefined || barTime === 0 ? null : barTime,
  };
}

/** Our own orchestrators in their order, then those that run elsewhere. */
export function nodeRows(processes: readonly ProcessRow[], nodes: readonly Container[]): readonly NodeRow[] {
  const ours = new Set(processes.map(({ name }) => name));
  const row = (name: string, process: ProcessRow | null): NodeRow => {
    const node = nodes.find(({ container_name: each }) => each === name);
    return {
      name,
      process,
      connection: node?.connection ?? null,
      sync: node?.sync ?? null,
      agents: node?.placed_agents ?? 0,
      maxAgents: node?.max_agents ?? 0,
    };
  };
  const others = nodes.filter(({ container_name: name }) => !ours.has(name));
  return [
    ...processes.map((process) => row(process.name, process)),
    ...others.map(({ container_name: name }) => row(name, null)),
  ];
}

/** Everything runs, is connected and does what it should. */
export function isSettled(view: FleetView): boolean {
  return (
    view.fresh &&
    view.nodes.every(({ connection, sync }) => connection === 'connected' && sync === 'in-sync') &&
    view.agents.every(({ status, pid }) => (status === 'running' || status === 'healthy') && pid !== null)
  );
}
