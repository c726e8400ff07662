/**
 * `muster local …`: the customer's own word on his machine, spoken to the orchestrator there. Works with the manager dead.
 *
 * The credential is the file `local-token` in the orchestrator's data directory, so whoever may read that directory may
 * speak. A stop made here is durable and cannot be lifted by the vendor.
 */
import { ApiClient } from '../client/api-client.ts';
import { confirm } from '../client/ask.ts';
import { type OutputOptions, Printer } from '../client/context.ts';
import { findOne } from '../client/find.ts';
import { CommandFailure, isRecord, plainText } from '../failure.ts';
import type { Services } from '../services.ts';
import { byteCount, relativeTime } from '../terminal/quantities.ts';
import type { Column } from '../terminal/table.ts';
import { printable } from '../terminal/text.ts';
import { statusText } from '../terminal/words.ts';
import { type LocalPlaceOptions, localPlace } from './local-place.ts';

export type LocalOptions = OutputOptions & LocalPlaceOptions;

type Facts = Readonly<Record<string, unknown>>;

interface LocalContext {
  readonly api: ApiClient;
  readonly print: Printer;
  readonly data: string;
}

function openLocal(services: Services, options: LocalOptions): LocalContext {
  const { url, token, data } = localPlace(services, options);
  const api = new ApiClient({
    url,
    token,
    who: 'The orchestrator',
    unreachableNext: 'Start it, or name its address with --url or MUSTER_LOCAL_URL.',
  });
  return { api, print: new Printer(services, options), data };
}

export async function localStatus(services: Services, options: LocalOptions): Promise<void> {
  const { api, print, data } = openLocal(services, options);
  const status = await api.get<Facts>('/status');
  if (print.isJson) return print.json(status);
  const agents = await listAgents(api);
  const within = (name: string): Facts => (isRecord(status[name]) ? status[name] : {});
  const [config, metrics, manager, host] = ['config', 'metrics', 'manager', 'host'].map(within) as [
    Facts,
    Facts,
    Facts,
    Facts,
  ];
  const since = typeof manager['since'] === 'string' ? relativeTime(manager['since'], print.nowMs) : '';
  const bytes = (name: string): string =>
    typeof metrics[name] === 'number' ? byteCount(metrics[name]) : '–';
  const facts: readonly (readonly [string, string])[] = [
    [
      'identity',
      `${plainText(status['agent_id'])}, customer ${plainText(status['customer_id'], 'none yet')}`,
    ],
    ['manager', managerText(manager, config, since)],
    [
      'agents',
      `${plainText(metrics['agents_running'], '0')} of ${plainText(metrics['agents_expected'], '0')} run`,
    ],
    ['stopped here', stoppedText(status['stopped_by_customer'], agents, print.nowMs)],
    ['receipts', `${plainText(manager['receipts_waiting'], '0')} wait for the manager`],
    [
      'machine',
      `memory ${bytes('memory_used')} of ${bytes('memory_limit')}, disk free ${bytes('disk_free')}`,
    ],
    ['kill strength', plainText(host['kill_strength'], 'unknown')],
    ['data', data],
  ];
  const good = status['status'] === 'running';
  const word = printable(plainText(status['status'], 'unknown'));
  const name = printable(plainText(config['container_name'], plainText(status['agent_id'])));
  print.line(`${print.paint(good ? 'green' : 'yellow', good ? '●' : '◐')} ${name}  ${word}`);
  for (const [label, value] of facts) print.line(`  ${label.padEnd(13)}  ${printable(value)}`);
}

function managerText(manager: Facts, config: Facts, since: string): string {
  const url = plainText(config['central_manager_url']);
  if (url === '') return 'none: this orchestrator works without one';
  const reason = plainText(manager['reason']);
  const state = `${plainText(manager['state'], 'unknown')} since ${since}`;
  return `${url}  ${state}${reason === '' ? '' : `: ${reason}`}`;
}

/** Who stopped what on this machine, and why. */
function stoppedText(all: unknown, agents: readonly Facts[], nowMs: number): string {
  if (isRecord(all)) return `everything, ${holdText(all, nowMs)}`;
  const held = agents.filter(({ held: each }) => isRecord(each));
  if (held.length === 0) return 'nothing';
  return held
    .map(
      (agent) =>
        `${plainText(agent['name'], plainText(agent['agent_id']))} ${holdText(agent['held'] as Facts, nowMs)}`,
    )
    .join('; ');
}

function holdText({ by, at, reason }: Facts, nowMs: number): string {
  const when = typeof at === 'string' ? ` ${relativeTime(at, nowMs)}` : '';
  return `by ${plainText(by, 'local operator')}${when}${plainText(reason) === '' ? '' : `: ${plainText(reason)}`}`;
}

async function listAgents(api: ApiClient): Promise<readonly Facts[]> {
  const answer = await api.get<unknown>('/agents');
  const list = Array.isArray(answer) ? answer : isRecord(answer) ? answer['agents'] : [];
  return Array.isArray(list) ? list.filter(isRecord) : [];
}

export async function localAgents(services: Services, options: LocalOptions): Promise<void> {
  const { api, print } = openLocal(services, options);
  const text = (agent: Facts, name: string): string => printable(plainText(agent[name], '–'));
  const columns: Column<Facts>[] = [
    { title: 'NAME', shrinkTo: 12, cell: (agent) => text(agent, 'name') },
    { title: 'TYPE', shrinkTo: 10, cell: (agent) => text(agent, 'agent_type') },
    {
      title: 'STATUS',
      cell: (agent) => statusText('agent', plainText(agent['status'], 'unknown'), print.paint),
    },
    { title: 'PID', align: 'right', cell: (agent) => text(agent, 'pid') },
    {
      title: 'SINCE',
      cell: ({ since }) => (typeof since === 'string' ? relativeTime(since, print.nowMs) : '–'),
    },
    { title: 'ID', shrinkTo: 14, cell: (agent) => text(agent, 'agent_id') },
    { title: 'DETAIL', shrinkTo: 20, cell: (agent) => text(agent, 'detail') },
    { title: 'EPOCH', wide: true, align: 'right', cell: (agent) => text(agent, 'epoch') },
  ];
  print.list(columns, await listAgents(api), 'No agents on this machine.');
}

export interface LocalStopOptions extends LocalOptions {
  readonly yes?: true;
  readonly reason?: string;
}

/** `verb` for one agent, or for everything here when none is named. */
export async function localHold(
  services: Services,
  verb: 'stop' | 'resume',
  wanted: string | undefined,
  options: LocalStopOptions,
): Promise<void> {
  const { api, print } = openLocal(services, options);
  let path = `/${verb}`;
  let shown: { readonly id: string; readonly name: string } | undefined;
  if (wanted !== undefined) {
    shown = named(findOne(await listAgents(api), wanted, named, 'local agent'));
    path = `/agents/${encodeURIComponent(shown.id)}/${verb}`;
  } else if (verb === 'stop') {
    const what = 'This stops all agents on this machine until they are resumed here';
    await confirm(services, what, 'stop', options.yes);
  }
  const body = options.reason === undefined ? {} : { reason: options.reason };
  const answer = await api.post<unknown>(path, body, { limitMs: 60_000 }).catch(failAtTerminal);
  if (print.isJson) return print.json(answer);
  const told = isRecord(answer) ? plainText(answer['message']) : '';
  const about = shown === undefined ? told : told.replace(shown.id, shown.name);
  print.line(printable(atTerminal(about)) || `${verb}: done.`);
}

function named(agent: Facts): { id: string; name: string } {
  const id = plainText(agent['agent_id']);
  return { id, name: plainText(agent['name'], id) };
}

/** The API speaks of its routes, a person here types commands. */
function atTerminal(text: string): string {
  return text
    .replace(/until POST \/resume here/g, 'until: muster local resume')
    .replace(/POST \/resume/g, 'muster local resume');
}

function failAtTerminal(error: unknown): never {
  if (!(error instanceof CommandFailure)) throw error;
  const { what, why, next, code, document } = error;
  const lines = why.map(atTerminal);
  const told = lines.some((line, index) => line !== why[index]);
  throw new CommandFailure(
    { what, why: lines, code, document, ...(next === undefined || told ? {} : { next }) },
    error,
  );
}
