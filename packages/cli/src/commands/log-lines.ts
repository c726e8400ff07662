/**
 * One log line as it came over the wire, as text for people.
 *
 * Lines are what agents wrote: plain text, or JSON objects with `level` and `msg`. They are output of foreign programs and
 * made harmless here, whatever the orchestrator did before.
 */
import { isRecord, plainText } from '../failure.ts';
import type { Paint } from '../terminal/paint.ts';
import { printable } from '../terminal/text.ts';

/** The text of one line. An agent's own JSON becomes `time LEVEL message key=value …`. */
export function logLine(line: unknown, paint: Paint): string {
  if (typeof line === 'string') return agentText(line, paint);
  if (!isRecord(line)) return printable(JSON.stringify(line) ?? '');
  const text = line['text'] ?? line['line'] ?? line['message'];
  if (typeof text !== 'string') return printable(JSON.stringify(line));
  const shown = agentText(text, paint);
  return line['stream'] === 'stderr' ? `${paint('red', 'err')} ${shown}` : shown;
}

function agentText(text: string, paint: Paint): string {
  const entry = parsed(text);
  if (entry === undefined) return printable(text);
  const { time, level, msg, ...fields } = entry;
  const word = plainText(level, 'info').toUpperCase();
  const urgent = word === 'ERROR' || word === 'FATAL';
  const painted = urgent ? paint('red', word) : word.startsWith('WARN') ? paint('yellow', word) : word;
  const pairs = Object.entries(fields).map(([key, value]) => {
    const shown = typeof value === 'string' ? value : JSON.stringify(value);
    return ` ${paint('dim', `${printable(key)}=`)}${printable(shown)}`;
  });
  const at = typeof time === 'string' ? `${paint('dim', printable(time))} ` : '';
  return `${at}${painted} ${printable(plainText(msg))}${pairs.join('')}`;
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) && typeof value['msg'] === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}
