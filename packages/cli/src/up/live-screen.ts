/**
 * A block of lines at the end of the terminal that is redrawn in place.
 *
 * No alternate screen: what was printed before stays, and the last picture stays when the block is closed. Each picture is one
 * write, held together by the terminal's synchronised update where it knows that, and only when something changed: no
 * flicker. After a resize the old lines may have wrapped, which is counted in.
 */

import type { OutputStream } from '../services.ts';
import { displayWidth } from '../terminal/text.ts';

const escape = '\u001b[';
const beginUpdate = `${escape}?2026h`;
const endUpdate = `${escape}?2026l`;
const hideCursor = `${escape}?25l`;
const showCursor = `${escape}?25h`;
const clearToLineEnd = `${escape}K`;
const clearBelow = `${escape}J`;

export class LiveScreen {
  readonly #stream: OutputStream;
  #shown: readonly string[] = [];
  #open = false;

  constructor(stream: OutputStream) {
    this.#stream = stream;
  }

  get columns(): number {
    return this.#stream.columns ?? 80;
  }

  get rows(): number {
    return this.#stream.rows ?? 24;
  }

  /** Shows these lines instead of the ones before; each must fit into `columns`. */
  draw(lines: readonly string[]): void {
    if (this.#open && sameLines(lines, this.#shown)) return;
    const start = this.#open ? this.#upToStart() : hideCursor;
    const body = lines.map((line) => `${line}${clearToLineEnd}\n`).join('');
    this.#stream.write(`${beginUpdate}${start}${body}${clearBelow}${endUpdate}`);
    this.#shown = lines;
    this.#open = true;
  }

  /** Prints a line above the block, where it stays. */
  print(line: string): void {
    const start = this.#open ? `${this.#upToStart()}${clearBelow}` : '';
    const block = this.#open ? this.#shown.map((each) => `${each}\n`).join('') : '';
    this.#stream.write(`${beginUpdate}${start}${line}${clearToLineEnd}\n${block}${endUpdate}`);
  }

  /** Leaves the last picture and gives the cursor back. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#shown = [];
    this.#stream.write(showCursor);
  }

  #upToStart(): string {
    const rows = this.#shown.reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(displayWidth(line) / this.columns)),
      0,
    );
    return rows === 0 ? '\r' : `\r${escape}${rows}A`;
  }
}

function sameLines(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((line, index) => line === right[index]);
}
