/**
 * Finding what a person means by an id, a name, or the beginning of either.
 *
 * An exact id wins over an exact name, that over a beginning. Ids read `agt_0123…`: their beginning may be given with or
 * without the part before the line. What fits several is refused with the list, never guessed.
 */
import type { Agent, Container, JoinTokenAnswer, UserAnswer } from '@muster/contract';
import { exitCode } from '../exit-codes.ts';
import { CommandFailure } from '../failure.ts';
import type { ApiClient } from './api-client.ts';

interface Named {
  readonly id: string;
  readonly name: string;
}

/** The one of `items` that `wanted` means. `noun`: "agent", for messages. @throws CommandFailure */
export function findOne<Item>(
  items: readonly Item[],
  wanted: string,
  namedOf: (item: Item) => Named,
  noun: string,
): Item {
  const byId = items.find((item) => namedOf(item).id === wanted);
  if (byId !== undefined) return byId;
  const exact = items.filter((item) => namedOf(item).name === wanted);
  const begun = items.filter((item) => startsWith(namedOf(item), wanted));
  const found = exact.length > 0 ? exact : begun;
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  if (only === undefined) {
    throw new CommandFailure({
      what: `There is no ${noun} "${wanted}"`,
      next: listHint[noun] ?? 'List what exists first.',
      code: exitCode.notFound,
    });
  }
  const shown = found.slice(0, 10).map((item) => `${namedOf(item).name} (${namedOf(item).id})`);
  throw new CommandFailure({
    what: `"${wanted}" means ${found.length} ${noun}s`,
    why: [...shown, ...(found.length > 10 ? [`… and ${found.length - 10} more`] : [])],
    next: 'Give more of the id or of the name.',
    code: exitCode.usage,
  });
}

const listHint: Readonly<Record<string, string>> = {
  agent: 'muster ps lists the agents.',
  node: 'muster nodes --all lists the orchestrators.',
  'local agent': 'muster local agents lists the agents on this machine.',
  token: 'muster token ls lists the join tokens.',
  user: 'muster users ls lists the users.',
};

function startsWith({ id, name }: Named, wanted: string): boolean {
  if (wanted === '') return false;
  const bare = id.slice(id.indexOf('_') + 1);
  return id.startsWith(wanted) || bare.startsWith(wanted) || name.startsWith(wanted);
}

export async function findAgent(api: ApiClient, wanted: string): Promise<Agent> {
  const agents = await api.get<Agent[]>('/api/v1/cluster/agents');
  return findOne(agents, wanted, agentNamed, 'agent');
}

export async function findAgents(api: ApiClient, wanted: readonly string[]): Promise<Agent[]> {
  const agents = await api.get<Agent[]>('/api/v1/cluster/agents');
  const found = wanted.map((each) => findOne(agents, each, agentNamed, 'agent'));
  return [...new Set(found)];
}

export async function findNode(api: ApiClient, wanted: string): Promise<Container> {
  const nodes = await api.get<Container[]>('/api/v1/cluster/containers', { include_inactive: true });
  const living = nodes.filter(({ status }) => status !== 'deregistered');
  return findOne(living, wanted, nodeNamed, 'node');
}

export async function findToken(api: ApiClient, wanted: string): Promise<JoinTokenAnswer> {
  const tokens = await api.get<JoinTokenAnswer[]>('/api/v1/cluster/join-tokens');
  return findOne(tokens, wanted, ({ id, name }) => ({ id, name: name ?? id }), 'token');
}

export async function findUser(api: ApiClient, wanted: string): Promise<UserAnswer> {
  const users = await api.get<UserAnswer[]>('/api/v1/users');
  return findOne(users, wanted, ({ id, name }) => ({ id, name }), 'user');
}

const agentNamed = (agent: Agent): Named => ({ id: agent.agent_id, name: agent.name });
const nodeNamed = (node: Container): Named => ({ id: node.container_id, name: node.container_name });
