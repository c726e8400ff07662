/**
 * One line of an agent's output, made safe to show: an agent's output is somebody else's text.
 *
 * Control characters, escape sequences and direction marks go, a tab becomes a blank, and a line has an upper size. A line
 * that is a JSON object with `msg` also gives its level and time, so that displays need not parse it again.
 */

export const LINE_MAX_CHARACTERS = 8_192;

export interface LogLine {
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
  readonly level?: string;
  /** ISO-8601, as the agent wrote it. */
  readonly time?: string;
  readonly msg?: string;
}

/** ANSI sequences (CSI, OSC, two-character ones), then every other control or direction character. */
const sequences = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;
const controls = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

export function clean(text: string): string {
  return text.replaceAll(sequences, '').replaceAll('\t', ' ').replaceAll(controls, '').toWellFormed();
}

export function logLineOf(stream: LogLine['stream'], raw: string): LogLine {
  const cut =
    raw.length > LINE_MAX_CHARACTERS
      ? `${raw.slice(0, LINE_MAX_CHARACTERS)} … (${raw.length} characters)`
      : raw;
  const text = clean(cut);
  if (!raw.startsWith('{') || cut !== raw) return { stream, text };
  try {
    const { level, time, msg } = JSON.parse(raw) as Record<string, unknown>;
    return {
      stream,
      text,
      ...(typeof level === 'string' ? { level: clean(level).slice(0, 32) } : {}),
      ...(typeof time === 'string' ? { time: clean(time).slice(0, 40) } : {}),
      ...(typeof msg === 'string' ? { msg: clean(msg) } : {}),
    };
  } catch {
    return { stream, text };
  }
}
