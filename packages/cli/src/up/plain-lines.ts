/**
 * The status of `muster up` without a terminal: one line for each change, and no line where nothing changed.
 *
 * Equity changes all the time, so it is told at most once a minute for each agent.
 */
import { amount, moment, signedPercent } from '../terminal/quantities.ts';
import { printable } from '../terminal/text.ts';
import type { AgentRow, FleetView, NodeRow } from './fleet-view.ts';

const equityEveryMs = 60_000;

export class PlainLines {
  readonly #told = new Map<string, string>();
  readonly #equity = new Map<string, { readonly atMs: number; readonly text: string }>();

  /** What is new in `view`. `nowMs` only spaces the lines about equity. */
  changes(view: FleetView, nowMs: number): readonly string[] {
    const lines: string[] = [];
    const tell = (key: string, text: string | null): void => {
      if (text === null || this.#told.get(key) === text) return;
      this.#told.set(key, text);
      lines.push(text);
    };
    tell(
      'fresh',
      view.fresh
        ? this.#told.has('fresh')
          ? 'the manager answers again'
          : null
        : 'the manager does not answer',
    );
    if (!view.fresh) return lines;
    for (const node of view.nodes) tell(`node ${node.name}`, nodeText(node));
    for (const agent of view.agents) tell(`agent ${agent.id}`, agentText(agent));
    for (const id of this.#gone(view)) {
      lines.push(`agent ${id} is removed`);
      this.#told.delete(`agent ${id}`);
    }
    for (const agent of view.agents) lines.push(...this.#equityLine(agent, nowMs));
    return lines;
  }

  #gone(view: FleetView): readonly string[] {
    const present = new Set(view.agents.map(({ id }) => `agent ${id}`));
    return [...this.#told.keys()]
      .filter((key) => key.startsWith('agent ') && !present.has(key))
      .map((key) => key.slice('agent '.length));
  }

  #equityLine({ id, name, equity, initialCash, barTimeMs }: AgentRow, nowMs: number): readonly string[] {
    if (equity === null) return [];
    const before = this.#equity.get(id);
    if (before !== undefined && nowMs - before.atMs < equityEveryMs) return [];
    const change =
      initialCash === null || initialCash <= 0 ? '' : ` (${signedPercent(equity / initialCash - 1)})`;
    const bar = barTimeMs === null ? '' : `, last bar ${moment(barTimeMs)}`;
    const text = `${printable(name)}: equity ${amount(equity)}${change}${bar}`;
    if (before?.text === text) return [];
    this.#equity.set(id, { atMs: nowMs, text });
    return [text];
  }
}

function nodeText({ name, connection, sync }: NodeRow): string | null {
  return connection === null ? null : `${printable(name)}: ${connection}, ${sync ?? 'unknown'}`;
}

function agentText({ name, status, detail, node, pid }: AgentRow): string {
  const place = node === null ? '' : ` on ${printable(node)}`;
  const process = pid === null ? '' : `, pid ${pid}`;
  return `${printable(name)}: ${status}${place}${process}${detail === '' ? '' : ` (${printable(detail)})`}`;
}
