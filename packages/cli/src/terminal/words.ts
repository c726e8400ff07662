/**
 * The status words as people see them: one icon, one colour and the word, the same everywhere.
 *
 * A word of a newer manager that this table does not know is shown as it is, with the sign for "unknown".
 */
import type { AgentStatus, ConnectionWord, SyncWord } from '@muster/contract';
import type { Format, Paint } from './paint.ts';
import { printable } from './text.ts';

interface Look {
  readonly icon: string;
  readonly format: Format;
}

const agents: Readonly<Record<AgentStatus, Look>> = {
  pending: { icon: '◌', format: 'gray' },
  starting: { icon: '◔', format: 'blue' },
  running: { icon: '○', format: 'green' },
  healthy: { icon: '●', format: 'green' },
  degraded: { icon: '◐', format: 'yellow' },
  'crash-looping': { icon: '✖', format: 'red' },
  stopping: { icon: '◕', format: 'blue' },
  stopped: { icon: '■', format: 'gray' },
  'stopped-by-customer': { icon: '⊘', format: 'gray' },
  failed: { icon: '✖', format: 'red' },
  unknown: { icon: '?', format: 'dim' },
};

const connections: Readonly<Record<ConnectionWord, Look>> = {
  connected: { icon: '●', format: 'green' },
  late: { icon: '◐', format: 'yellow' },
  offline: { icon: '○', format: 'red' },
  'never-connected': { icon: '◌', format: 'gray' },
  revoked: { icon: '✖', format: 'gray' },
};

const syncs: Readonly<Record<SyncWord, Look>> = {
  'in-sync': { icon: '✔', format: 'green' },
  applying: { icon: '↻', format: 'blue' },
  held: { icon: '‖', format: 'yellow' },
  refused: { icon: '⊘', format: 'red' },
  failed: { icon: '✖', format: 'red' },
  superseded: { icon: '·', format: 'gray' },
};

const tables = { agent: agents, connection: connections, sync: syncs } as const;
const unknownLook: Look = { icon: '?', format: 'dim' };

/** Icon and word in the word's colour. */
export function statusText(axis: keyof typeof tables, word: string, paint: Paint): string {
  const table = tables[axis] as Readonly<Record<string, Look>>;
  const look = Object.hasOwn(table, word) ? (table[word] as Look) : unknownLook;
  return paint(look.format, `${look.icon} ${printable(word)}`);
}

const plainlyGood: ReadonlySet<string> = new Set(['running', 'healthy', 'connected', 'in-sync']);

/** Whether a word says that everything is as it should be. */
export function isGood(word: string): boolean {
  return plainlyGood.has(word);
}
