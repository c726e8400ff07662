/**
 * The status view of `muster up` as lines of text: pure, so that tests can look at it.
 *
 * The head and what needs a person come first and last; when the terminal is too low, agents in the middle are counted
 * instead of shown.
 */
import type { Paint } from '../terminal/paint.ts';
import { amount, duration, moment, signedPercent } from '../terminal/quantities.ts';
import { type Column, tableLines } from '../terminal/table.ts';
import { cut, printable, wrapped } from '../terminal/text.ts';
import { statusText } from '../terminal/words.ts';
import type { AgentRow, FleetView, NodeRow, ProcessRow } from './fleet-view.ts';

export interface ViewFrame {
  readonly view: FleetView;
  readonly url: string;
  /** How long `up` has run, ms. */
  readonly upMs: number;
  /** How to sign in, where things are: shown below, one line each. */
  readonly hints: readonly (readonly [label: string, text: string])[];
  /** The last things that happened, oldest first. */
  readonly notices: readonly string[];
  readonly stopping: boolean;
}

export interface Screen {
  readonly columns: number;
  readonly rows: number;
  readonly paint: Paint;
}

/** The whole view, at most `rows - 1` lines of at most `columns` columns. */
export function renderView(frame: ViewFrame, { columns, rows, paint }: Screen): readonly string[] {
  const head = [...headLines(frame, paint), '', ...nodeLines(frame.view, columns, paint)];
  const agents = agentLines(frame.view, columns, paint);
  const foot = footLines(frame, columns, paint);
  const room = rows - 1 - head.length - foot.length - 1;
  const shown = agents.length <= room ? agents : shortened(agents, room, paint);
  const lines = [...head, ...(shown.length > 0 ? ['', ...shown] : []), ...foot];
  return lines.slice(0, Math.max(1, rows - 1)).map((line) => cut(line, columns));
}

function shortened(lines: readonly string[], room: number, paint: Paint): readonly string[] {
  if (room < 3) return [];
  const kept = lines.slice(0, room - 1);
  return [...kept, paint('dim', `  … and ${lines.length - kept.length} more: muster ps`)];
}

function headLines({ view, url, upMs, stopping }: ViewFrame, paint: Paint): string[] {
  const state = stopping ? paint('yellow', 'stopping …') : paint('dim', `up ${duration(upMs)}`);
  const pid = view.manager.pid === null ? '' : paint('dim', `  pid ${view.manager.pid}`);
  return [
    `${paint('bold', 'Muster')}  ${paint('underline', url)}  ${state}`,
    `  manager  ${processText(view.manager, paint)}${pid}`,
  ];
}

function processText({ state }: ProcessRow, paint: Paint): string {
  if (state === 'running') return paint('green', '● running');
  if (state === 'planned') return paint('gray', '◌ starts next');
  if (state === 'stopped') return paint('gray', '■ stopped');
  if (state === 'waiting') return paint('red', '✖ ended, starts again soon');
  return paint('blue', state === 'starting' ? '◔ starting' : '◕ stopping');
}

const indent = '  ';

function nodeLines(view: FleetView, columns: number, paint: Paint): string[] {
  const nodeColumns: Column<NodeRow>[] = [
    { title: 'ORCHESTRATOR', shrinkTo: 14, cell: ({ name }) => printable(name) },
    { title: 'CONNECTION', cell: (node) => connectionText(node, view.fresh, paint) },
    {
      title: 'SYNC',
      cell: ({ sync }) =>
        sync === null ? '–' : view.fresh ? statusText('sync', sync, paint) : paint('dim', `? ${sync}`),
    },
    {
      title: 'AGENTS',
      align: 'right',
      cell: ({ agents, maxAgents }) => (maxAgents === 0 ? '–' : `${agents}/${maxAgents}`),
    },
    { title: 'PORT', align: 'right', droppable: true, cell: ({ process }) => String(process?.port ?? '–') },
    { title: 'PID', align: 'right', droppable: true, cell: ({ process }) => String(process?.pid ?? '–') },
  ];
  return table(nodeColumns, view.nodes, columns, paint);
}

/** A process that is down says so before anything the manager last heard. */
function connectionText({ process, connection }: NodeRow, fresh: boolean, paint: Paint): string {
  if (process !== null && process.state !== 'running') return processText(process, paint);
  if (connection === null) return paint('gray', '◌ joining');
  return fresh ? statusText('connection', connection, paint) : paint('dim', `? was ${connection}`);
}

function agentLines(view: FleetView, columns: number, paint: Paint): string[] {
  const agentColumns: Column<AgentRow>[] = [
    { title: 'AGENT', shrinkTo: 10, cell: ({ name }) => printable(name) },
    {
      title: 'STATUS',
      cell: ({ status }) =>
        view.fresh ? statusText('agent', status, paint) : paint('dim', `? was ${status}`),
    },
    { title: 'ON', shrinkTo: 14, cell: ({ node }) => printable(node ?? '–') },
    { title: 'PID', align: 'right', droppable: true, cell: ({ pid }) => String(pid ?? '–') },
    { title: 'EQUITY', align: 'right', cell: ({ equity }) => (equity === null ? '' : amount(equity)) },
    { title: 'CHANGE', align: 'right', cell: (agent) => changeText(agent, paint) },
    {
      title: 'LAST BAR',
      droppable: true,
      cell: ({ barTimeMs }) => (barTimeMs === null ? '' : moment(barTimeMs)),
    },
    { title: '', shrinkTo: 0, cell: ({ detail }) => (detail === '' ? '' : paint('dim', printable(detail))) },
  ];
  return table(agentColumns, view.agents, columns, paint);
}

function changeText({ equity, initialCash }: AgentRow, paint: Paint): string {
  if (equity === null || initialCash === null || initialCash <= 0) return '';
  const change = equity / initialCash - 1;
  const text = signedPercent(change);
  if (text.startsWith('+')) return paint('green', text);
  return text.startsWith('-') ? paint('red', text) : text;
}

function table<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number,
  paint: Paint,
): string[] {
  if (rows.length === 0) return [];
  const heading = (text: string): string => paint('dim', text);
  return tableLines(columns, rows, { width: width - indent.length, heading }).map((line) => indent + line);
}

/** A hint goes on in the next line instead of losing its end: it holds what a person is to type. */
function hintLines(label: string, text: string, columns: number, paint: Paint): string[] {
  const room = Math.max(1, columns - indent.length - label.length - 2);
  return wrapped(text, room).map((line, index) => {
    const shown = index === 0 ? paint('dim', label) : ' '.repeat(label.length);
    return `${indent}${shown}  ${line}`;
  });
}

function footLines({ hints, notices, stopping }: ViewFrame, columns: number, paint: Paint): string[] {
  const width = Math.max(0, ...hints.map(([label]) => label.length));
  return [
    '',
    ...hints.flatMap(([label, text]) => hintLines(label.padEnd(width), text, columns, paint)),
    ...(notices.length > 0 ? ['', ...notices.map((line) => indent + paint('yellow', printable(line)))] : []),
    '',
    indent +
      paint(
        'dim',
        stopping
          ? 'Stopping in order: agents get time to finish.'
          : 'Ctrl-C stops everything; the next start goes on here.',
      ),
  ];
}
