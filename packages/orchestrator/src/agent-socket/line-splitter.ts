/**
 * Cuts a byte stream into lines with a hard limit, without looking twice at what was already seen.
 */

export class LineTooLong extends Error {
  override readonly name = 'LineTooLong';
}

export class LineSplitter {
  readonly #mostBytes: number;
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** Whole lines in `chunk` and what was left before. @throws LineTooLong */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      this.#keep(chunk.subarray(start, end));
      lines.push(Buffer.concat(this.#parts).toString('utf8'));
      this.#parts = [];
      this.#bytes = 0;
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
    return lines;
  }

  #keep(part: Buffer): void {
    this.#bytes += part.length;
    if (this.#bytes > this.#mostBytes)
      throw new LineTooLong(`a line is longer than ${this.#mostBytes} bytes`);
    this.#parts.push(part);
  }
}
