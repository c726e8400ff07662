/** Commands about the fleet: `status`, `nodes`, `drain`, `undrain`, `node rm`, `types`. */
import type { AgentType, Container, DoneAnswer, DrainAnswer, Overview } from '@muster/contract';
import { confirm } from '../client/ask.ts';
import type { ClientContext } from '../client/context.ts';
import { findNode } from '../client/find.ts';
import { byteCount, relativeTime } from '../terminal/quantities.ts';
import type { Column } from '../terminal/table.ts';
import { printable } from '../terminal/text.ts';
import { isGood, statusText } from '../terminal/words.ts';

export async function status({ api, print }: ClientContext): Promise<void> {
  const overview = await api.get<Overview>('/api/v1/cluster/status');
  if (print.isJson) return print.json(overview);
  const { cluster, deployments } = overview;
  const good = overview.status === 'operational';
  const word = print.paint(good ? 'green' : 'yellow', `${good ? '●' : '◐'} ${overview.status}`);
  const cores = `${cluster.total_cpu_cores} cores, ${byteCount(cluster.total_memory_bytes)} memory`;
  print.line(`${word}  ${api.url}`);
  print.line(
    `orchestrators  ${cluster.active_containers} active of ${cluster.registered_containers} registered (${cores})`,
  );
  const statuses = Object.entries(deployments.agent_statuses).filter(([, count]) => count > 0);
  const parts = statuses
    .map(([each, count]) => statusText('agent', `${each} ${count}`, (_format, text) => text))
    .map((text, index) => colourOf(statuses[index]?.[0] ?? '', text, print.paint));
  print.line(`agents         ${deployments.total_agents}${parts.length > 0 ? `: ${parts.join(', ')}` : ''}`);
  print.line(`health         ${cluster.cluster_health}`);
}

function colourOf(
  word: string,
  text: string,
  paint: (format: 'green' | 'yellow', text: string) => string,
): string {
  const bare = text.replace(/^\? /, '');
  return paint(isGood(word) ? 'green' : 'yellow', bare);
}

export interface NodesOptions {
  readonly all?: true;
}

export async function nodes({ api, print }: ClientContext, { all }: NodesOptions): Promise<void> {
  const list = await api.get<Container[]>('/api/v1/cluster/containers', { include_inactive: true });
  const shown = all === true ? list : list.filter(({ status: word }) => word !== 'deregistered');
  print.list(
    nodeColumns(print),
    shown,
    'No orchestrator has joined yet. Make a join token with: muster token create',
  );
}

function nodeColumns({ paint, nowMs }: ClientContext['print']): Column<Container>[] {
  return [
    { title: 'NAME', shrinkTo: 12, cell: (node) => printable(node.container_name) },
    { title: 'CUSTOMER', shrinkTo: 8, cell: (node) => printable(node.customer_id) },
    { title: 'CONNECTION', cell: (node) => statusText('connection', node.connection, paint) },
    { title: 'SYNC', cell: (node) => statusText('sync', node.sync, paint) },
    {
      title: 'STATUS',
      cell: (node) => (node.draining ? paint('yellow', 'draining') : printable(node.status)),
    },
    { title: 'AGENTS', align: 'right', cell: (node) => `${node.placed_agents}/${node.max_agents}` },
    { title: 'HEALTH', align: 'right', cell: (node) => String(Math.round(node.health_score)) },
    { title: 'SEEN', cell: (node) => relativeTime(node.last_heartbeat, nowMs) },
    { title: 'ID', shrinkTo: 14, cell: (node) => printable(node.container_id) },
    { title: 'LINK', wide: true, cell: (node) => node.link },
    { title: 'HOST', wide: true, cell: (node) => printable(node.host_address) },
    { title: 'VERSION', wide: true, cell: (node) => printable(node.software ?? '–') },
    { title: 'CAPABILITIES', wide: true, cell: (node) => printable(node.capabilities.join(',')) },
    { title: 'REGISTERED', wide: true, cell: (node) => relativeTime(node.registered_at, nowMs) },
  ];
}

export interface DrainOptions {
  readonly reason?: string;
}

export async function drain(
  { api, print }: ClientContext,
  wanted: string,
  draining: boolean,
  { reason }: DrainOptions,
): Promise<void> {
  const node = await findNode(api, wanted);
  const body = { draining, ...(reason === undefined ? {} : { reason }) };
  const path = `/api/v1/cluster/containers/${encodeURIComponent(node.container_id)}/drain`;
  const answer = await api.post<DrainAnswer>(path, body);
  if (print.isJson) return print.json(answer);
  const name = printable(node.container_name);
  print.line(
    draining
      ? `${name} takes no new agents; muster undrain ${name} lifts this.`
      : `${name} takes new agents again.`,
  );
}

export interface RemoveNodeOptions {
  readonly force?: true;
  readonly yes?: true;
}

/** `--force` declares the machine dead: what runs there is given up without a confirmed stop. */
export async function removeNode(
  { api, print, services }: ClientContext,
  wanted: string,
  options: RemoveNodeOptions,
): Promise<void> {
  const force = options.force === true;
  const node = await findNode(api, wanted);
  const name = printable(node.container_name);
  const what = force
    ? `This declares ${name} dead and gives up its agents (${node.placed_agents}) without a confirmed stop`
    : `This stops the agents of ${name} (${node.placed_agents}) and removes it`;
  await confirm(services, what, name, options.yes);
  const path = `/api/v1/cluster/containers/${encodeURIComponent(node.container_id)}`;
  const answer = await api.delete<DoneAnswer>(path, { query: { force }, limitMs: 60_000 });
  if (print.isJson) print.json(answer);
  else print.line(printable(answer.message));
}

export async function types({ api, print }: ClientContext): Promise<void> {
  const list = await api.get<AgentType[]>('/api/v1/cluster/agent-types');
  const columns: Column<AgentType>[] = [
    { title: 'TYPE', cell: (each) => printable(each.agent_type) },
    { title: 'VERSION', cell: (each) => printable(each.version) },
    { title: 'MEMORY', align: 'right', cell: (each) => byteCount(each.resources.memory_bytes) },
    { title: 'CPU', align: 'right', cell: (each) => String(each.resources.cpu_cores) },
    { title: 'DESCRIPTION', shrinkTo: 30, cell: (each) => printable(each.description) },
    { title: 'VERBS', wide: true, cell: (each) => printable(each.verbs.join(',')) },
  ];
  print.list(columns, list, 'This manager knows no agent type.');
}
