/**
 * `muster local …`: the customer's own word on his machine, spoken to the orchestrator there. Works with the manager dead.
 *
 * The credential is the file `local-token` in the orchestrator's data directory, so whoever may read that directory may
 * speak. A stop made here is durable and cannot be lifted by the vendor.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Secret } from '@muster/runtime';
import { ApiClient } from '../client/api-client.ts';
import { confirm } from '../client/ask.ts';
import { type OutputOptions, Printer } from '../client/context.ts';
import { errorCode } from '../client/credentials.ts';
import { findOne } from '../client/find.ts';
import { normalUrl } from '../client/manager-url.ts';
import { exitCode } from '../exit-codes.ts';
import { CommandFailure, isRecord, plainText, usageFailure } from '../failure.ts';
import type { Services } from '../services.ts';
import { relativeTime } from '../terminal/quantities.ts';
import type { Column } from '../terminal/table.ts';
import { printable } from '../terminal/text.ts';
import { statusText } from '../terminal/words.ts';

export interface LocalOptions extends OutputOptions {
  readonly data?: string;
  readonly url?: string;
}

type Facts = Readonly<Record<string, unknown>>;

interface LocalContext {
  readonly api: ApiClient;
  readonly print: Printer;
  readonly services: Services;
}

/** The orchestrator of `--data` (else DATA_DIR); its address from `--url`, MUSTER_LOCAL_URL or the file it keeps there. */
function openLocal(services: Services, options: LocalOptions): LocalContext {
  const { environment } = services;
  const data = options.data ?? (environment['DATA_DIR'] || undefined);
  if (data === undefined) {
    throw usageFailure(
      'Which orchestrator is meant?',
      'Name its data directory with --data DIR or DATA_DIR, for example --data .muster/orchestrator-1',
    );
  }
  const token = readLocalFile(join(data, 'local-token'), data);
  const given = options.url ?? (environment['MUSTER_LOCAL_URL'] || undefined);
  const url = given === undefined ? localUrl(data, environment['AGENT_PORT']) : normalUrl(given, '--url');
  const api = new ApiClient({
    url,
    token: new Secret(token),
    who: 'The orchestrator',
    unreachableNext: 'Start it, or name its address with --url or MUSTER_LOCAL_URL.',
  });
  return { api, print: new Printer(services, options), services };
}

function readLocalFile(path: string, data: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    const code = errorCode(error);
    const denied = code === 'EACCES' || code === 'EPERM';
    throw new CommandFailure({
      what: denied ? `You may not read ${path}` : `${data} is no data directory of an orchestrator`,
      why: denied ? [] : [`${path} cannot be read (${code}).`],
      next: denied
        ? 'Run this as the user that the orchestrator runs as.'
        : 'Name the right one with --data DIR, and start the orchestrator once.',
      code: denied ? exitCode.notAllowed : exitCode.notFound,
    });
  }
}

function localUrl(data: string, port: string | undefined): string {
  if (port !== undefined && port !== '') return normalUrl(`127.0.0.1:${port}`, 'AGENT_PORT');
  try {
    const value: unknown = JSON.parse(readFileSync(join(data, 'local-api.json'), 'utf8'));
    if (isRecord(value) && typeof value['url'] === 'string') return value['url'];
  } catch {
    // Not kept there: the contract's own port.
  }
  return 'http://127.0.0.1:8001';
}

export async function localStatus(services: Services, options: LocalOptions): Promise<void> {
  const { api, print } = openLocal(services, options);
  const status = await api.get<Facts>('/status');
  if (print.isJson) return print.json(status);
  for (const [name, value] of Object.entries(status)) {
    if (isRecord(value)) {
      print.line(`${printable(name)}:`);
      for (const [inner, each] of Object.entries(value))
        print.line(`  ${printable(inner).padEnd(22)} ${factText(each)}`);
    } else print.line(`${printable(name).padEnd(24)} ${factText(value)}`);
  }
}

function factText(value: unknown): string {
  return printable(typeof value === 'string' ? value : JSON.stringify(value));
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
    { title: 'ID', cell: (agent) => text(agent, 'agent_id') },
    { title: 'TYPE', cell: (agent) => text(agent, 'agent_type') },
    {
      title: 'STATUS',
      cell: (agent) => statusText('agent', plainText(agent['status'], 'unknown'), print.paint),
    },
    { title: 'PID', align: 'right', cell: (agent) => text(agent, 'pid') },
    { title: 'EPOCH', align: 'right', cell: (agent) => text(agent, 'epoch') },
    {
      title: 'SINCE',
      cell: ({ since }) => (typeof since === 'string' ? relativeTime(since, print.nowMs) : '–'),
    },
    { title: 'DETAIL', shrinkTo: 20, cell: (agent) => text(agent, 'detail') },
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
  const context = openLocal(services, options);
  const { api, print } = context;
  let path = `/${verb}`;
  let name = 'everything on this machine';
  if (wanted !== undefined) {
    const agents = await listAgents(api);
    const named = (agent: Facts): { id: string; name: string } => {
      const id = String(agent['agent_id']);
      return { id, name: typeof agent['name'] === 'string' ? agent['name'] : id };
    };
    name = named(findOne(agents, wanted, named, 'local agent')).id;
    path = `/agents/${encodeURIComponent(name)}/${verb}`;
  } else if (verb === 'stop') {
    await confirm(
      services,
      'All agents on this machine are stopped, until resumed here',
      'stop',
      options.yes,
    );
  }
  const answer = await api.post<unknown>(
    path,
    options.reason === undefined ? {} : { reason: options.reason },
    { limitMs: 60_000 },
  );
  if (print.isJson) return print.json(answer);
  const told = isRecord(answer) && typeof answer['message'] === 'string' ? answer['message'] : undefined;
  const usual =
    verb === 'stop' ? `${name}: stopped here; only this machine can lift it.` : `${name}: resumed.`;
  print.line(printable(told ?? usual));
}
