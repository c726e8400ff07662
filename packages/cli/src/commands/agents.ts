/** Commands about agents: `ps`, `show`, `stop`, `start`, `restart`, `rm`, `migrate`, `command`. */

import type { Agent, AgentActionAnswer, AgentDetail, CommandAnswer, MigrateAnswer } from '@muster/contract';
import { confirm } from '../client/ask.ts';
import type { ClientContext } from '../client/context.ts';
import { findAgent, findAgents, findNode } from '../client/find.ts';
import { exitCode } from '../exit-codes.ts';
import { CommandFailure, usageFailure } from '../failure.ts';
import { amount, byteCount, moment, relativeTime } from '../terminal/quantities.ts';
import type { Column } from '../terminal/table.ts';
import { printable } from '../terminal/text.ts';
import { statusText } from '../terminal/words.ts';
import { parseObject } from './configuration.ts';

const agentPath = (id: string, rest = ''): string =>
  `/api/v1/cluster/agents/${encodeURIComponent(id)}${rest}`;

export interface PsOptions {
  readonly on?: string;
  readonly type?: string;
  readonly status?: string;
  readonly customer?: string;
}

export async function ps({ api, print }: ClientContext, options: PsOptions): Promise<void> {
  const node = options.on === undefined ? undefined : await findNode(api, options.on);
  const list = await api.get<Agent[]>('/api/v1/cluster/agents', {
    customer_id: options.customer,
    agent_type: options.type,
    status: options.status,
    container_id: node?.container_id,
  });
  print.list(agentColumns(print, list), list, 'No agents. Deploy one with: muster deploy trading_agent');
}

/** What needs a person says why in the usual table too; in a quiet fleet the column is not there. */
function agentColumns({ paint, nowMs }: ClientContext['print'], agents: readonly Agent[]): Column<Agent>[] {
  const quiet = agents.every(({ detail }) => detail === '');
  return [
    { title: 'NAME', shrinkTo: 12, cell: (agent) => printable(agent.name) },
    { title: 'TYPE', shrinkTo: 10, droppable: true, cell: (agent) => printable(agent.agent_type) },
    { title: 'STATUS', cell: (agent) => statusText('agent', agent.status, paint) },
    { title: 'ORCHESTRATOR', shrinkTo: 14, cell: (agent) => printable(agent.container_name ?? '–') },
    { title: 'PID', align: 'right', cell: (agent) => String(agent.pid ?? '–') },
    { title: 'SINCE', droppable: true, cell: (agent) => relativeTime(agent.since, nowMs) },
    { title: 'CRASHES', align: 'right', droppable: true, cell: (agent) => String(agent.crashes) },
    {
      title: 'EQUITY',
      align: 'right',
      cell: ({ metrics }) => (metrics['equity'] === undefined ? '–' : amount(metrics['equity'])),
    },
    {
      title: 'DETAIL',
      shrinkTo: 16,
      ...(quiet ? { wide: true as const } : {}),
      cell: (agent) => printable(agent.detail),
    },
    { title: 'ID', shrinkTo: 14, droppable: true, cell: (agent) => printable(agent.agent_id) },
    { title: 'CUSTOMER', wide: true, cell: (agent) => printable(agent.customer_id) },
    { title: 'VERSION', wide: true, cell: (agent) => printable(agent.type_version) },
    { title: 'WANTED', wide: true, cell: (agent) => agent.desired },
    { title: 'EPOCH', wide: true, align: 'right', cell: (agent) => String(agent.epoch) },
  ];
}

export async function show({ api, print }: ClientContext, wanted: string): Promise<void> {
  const { agent_id: id } = await findAgent(api, wanted);
  const agent = await api.get<AgentDetail>(agentPath(id));
  if (print.isJson) return print.json(agent);
  const facts: readonly (readonly [string, string])[] = [
    ['id', agent.agent_id],
    ['type', `${agent.agent_type}@${agent.type_version}`],
    ['customer', agent.customer_id],
    ['wanted', agent.desired],
    ['orchestrator', agent.container_name ?? '–'],
    ['pid', String(agent.pid ?? '–')],
    ['since', relativeTime(agent.since, print.nowMs)],
    ['epoch', String(agent.epoch)],
    ['crashes', String(agent.crashes)],
    ['when alone', agent.on_disconnect.rule],
    ['resources', `${byteCount(agent.resources.memory_bytes)}, ${agent.resources.cpu_cores} cores`],
    ['placed because', agent.placement?.reason ?? '–'],
    ['created', `${relativeTime(agent.created_at, print.nowMs)} by ${agent.created_by}`],
    ['config', JSON.stringify(agent.config)],
  ];
  print.line(
    `${printable(agent.name)}  ${statusText('agent', agent.status, print.paint)}  ${printable(agent.detail)}`,
  );
  for (const [name, value] of facts) print.line(`  ${name.padEnd(15)} ${printable(value)}`);
  for (const [name, value] of Object.entries(agent.metrics)) {
    print.line(`  ${print.paint('dim', printable(name).padEnd(15))} ${metricText(name, value)}`);
  }
}

function metricText(name: string, value: number): string {
  if (/(^|_)time$/.test(name) && value > 0) return moment(value);
  return String(Math.round(value * 1e6) / 1e6);
}

export interface ActionOptions {
  readonly wait?: true;
  readonly yes?: true;
}

export type AgentAction = 'stop' | 'start' | 'restart' | 'rm';

/** One after the other; the first that is refused ends the command, what was done before stays done. */
export async function act(
  { api, print, services }: ClientContext,
  action: AgentAction,
  wanted: readonly string[],
  { wait, yes }: ActionOptions,
): Promise<void> {
  const agents = await findAgents(api, wanted);
  if (action === 'rm') {
    const names = agents.map(({ name }) => printable(name));
    const expected = names.length === 1 ? (names[0] as string) : String(names.length);
    const whose = names.length === 1 ? 'its' : 'their';
    await confirm(services, `This removes ${names.join(', ')} with ${whose} state`, expected, yes);
  }
  const options = { query: { wait: wait === true }, limitMs: 60_000 };
  const answers: AgentActionAnswer[] = [];
  for (const agent of agents) {
    const answer =
      action === 'rm'
        ? await api.delete<AgentActionAnswer>(agentPath(agent.agent_id), options)
        : await api.post<AgentActionAnswer>(agentPath(agent.agent_id, `/${action}`), {}, options);
    answers.push(answer);
    if (!print.isJson) print.line(`${printable(agent.name)}: ${outcome(answer, wait === true)}`);
  }
  if (print.isJson) print.json(answers);
  const held = answers.filter(({ status }) => status === 'stopped-by-customer');
  if (action !== 'rm' && action !== 'stop' && held.length > 0) throw await heldFailure(api, held);
  if (wait === true && answers.some(({ confirmed }) => !confirmed)) {
    throw new CommandFailure({
      what: 'Not confirmed in time; the order stands and goes on',
      next: 'Look again with: muster ps',
      code: exitCode.failure,
    });
  }
}

/** A start that the customer's own stop holds back: who stopped it and why, and that nobody but him can lift it. */
async function heldFailure(
  api: ClientContext['api'],
  held: readonly AgentActionAnswer[],
): Promise<CommandFailure> {
  const details = await Promise.all(held.map(({ agent_id: id }) => api.get<AgentDetail>(agentPath(id))));
  return new CommandFailure({
    what: 'The customer has stopped this on his machine; it stays stopped until he lifts it',
    why: details.map(({ name, detail }) => `${name}: ${detail}`),
    next: 'Ask him for: muster local resume. The order is kept and takes effect then.',
    code: exitCode.refused,
  });
}

function outcome({ status, connected, confirmed }: AgentActionAnswer, waited: boolean): string {
  if (!connected) return `${status}; its orchestrator is not connected, the order waits for it`;
  return confirmed || !waited ? status : `${status} (not confirmed yet)`;
}

export interface MigrateOptions {
  readonly to?: string;
  readonly reason?: string;
  /** False: start afresh at the target. */
  readonly state: boolean;
}

export async function migrate(
  { api, print }: ClientContext,
  wanted: string,
  options: MigrateOptions,
): Promise<void> {
  const agent = await findAgent(api, wanted);
  const target = options.to === undefined ? undefined : await findNode(api, options.to);
  const answer = await api.post<MigrateAnswer>(
    agentPath(agent.agent_id, '/migrate'),
    {
      agent_id: agent.agent_id,
      preserve_state: options.state,
      ...(target === undefined ? {} : { target_container_id: target.container_id }),
      ...(options.reason === undefined ? {} : { reason: options.reason }),
    },
    { limitMs: 60_000 },
  );
  if (print.isJson) return print.json(answer);
  const state = answer.complete ? 'moved' : 'is moving (the stop at the source is not confirmed yet)';
  print.line(`${printable(agent.name)} ${state}: ${answer.from_container} → ${answer.to_container}`);
}

export interface CommandOptions {
  /** Seconds. */
  readonly timeout?: number;
}

export async function command(
  { api, print }: ClientContext,
  wanted: string,
  verb: string,
  argument: string | undefined,
  { timeout }: CommandOptions,
): Promise<void> {
  const args = argument === undefined ? undefined : parseObject(argument, 'The arguments');
  if (timeout !== undefined && !(timeout > 0 && timeout <= 30)) {
    throw usageFailure('--timeout is in seconds, at most 30');
  }
  const agent = await findAgent(api, wanted);
  const answer = await api.post<CommandAnswer>(
    agentPath(agent.agent_id, '/command'),
    {
      verb,
      ...(args === undefined ? {} : { args }),
      ...(timeout === undefined ? {} : { timeout_ms: Math.round(timeout * 1000) }),
    },
    { limitMs: 45_000 },
  );
  print.json(print.isJson ? answer : answer.result);
}
