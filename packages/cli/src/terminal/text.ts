/**
 * Text on its way to a terminal: made harmless, measured, cut, padded.
 *
 * Names, details and log lines come from other machines: control characters never reach the terminal (`printable`). Widths
 * count columns, not characters, and ignore colour sequences, which only our own painter adds.
 */
import { stripVTControlCharacters } from 'node:util';

/** Control characters, line ends and direction marks as blanks; tabs as one blank. */
export function printable(text: string): string {
  return text.replace(
    // These are what must not reach a terminal.
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    ' ',
  );
}

const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6]|[\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u;

/** Columns that one character takes: 0 for combining marks, 2 for wide ones. */
function characterWidth(character: string): number {
  if (/\p{Mark}|\u200b|\u200d|\ufe0f/u.test(character)) return 0;
  return wide.test(character) ? 2 : 1;
}

/** Columns that a text takes, colour sequences not counted. */
export function displayWidth(text: string): number {
  const plain = stripVTControlCharacters(text);
  if (/^[\u0020-\u007e]*$/.test(plain)) return plain.length;
  let width = 0;
  for (const character of plain) width += characterWidth(character);
  return width;
}

/** Fills up to `width` columns. */
export function pad(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const blanks = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return align === 'left' ? text + blanks : blanks + text;
}

/** The text in lines of at most `width` columns, broken at blanks where that is possible. */
export function wrapped(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && displayWidth(last) + 1 + displayWidth(word) <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

// A colour sequence begins with a control character.
const colourSequence = /\u001b\[[0-9;]*m/y;

/** Cuts to `width` columns, with `…` as the last one when something was cut. Colour sequences are kept. */
export function cut(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  if (width <= 0) return '';
  let result = '';
  let used = 0;
  let coloured = false;
  for (let index = 0; index < text.length; ) {
    colourSequence.lastIndex = index;
    const sequence = colourSequence.exec(text)?.[0];
    if (sequence !== undefined) {
      result += sequence;
      coloured = true;
      index += sequence.length;
      continue;
    }
    const character = String.fromCodePoint(text.codePointAt(index) as number);
    index += character.length;
    if (used + characterWidth(character) > width - 1) break;
    used += characterWidth(character);
    result += character;
  }
  return `${result}…${coloured ? '\u001b[0m' : ''}`;
}
