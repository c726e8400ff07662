/**
 * Server-Sent Events, line by line (WHATWG HTML, "Server-sent events"): fields gather until an empty line ends the event.
 */

export interface StreamEvent {
  /** Empty when the server gave none. */
  readonly id: string;
  readonly type: string;
  /** The data as JSON, or as text when it is none. */
  readonly data: unknown;
}

export class EventReader {
  #id = '';
  #type = '';
  #data: string[] = [];

  /** Takes one line without its end. Returns the event that it completes, if it does. */
  accept(line: string): StreamEvent | undefined {
    if (line === '') return this.#complete();
    if (line.startsWith(':')) return undefined;
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'id') this.#id = value;
    else if (field === 'event') this.#type = value;
    else if (field === 'data') this.#data.push(value);
    return undefined;
  }

  #complete(): StreamEvent | undefined {
    const text = this.#data.join('\n');
    const event = { id: this.#id, type: this.#type === '' ? 'message' : this.#type, data: jsonOrText(text) };
    const empty = this.#data.length === 0;
    this.#type = '';
    this.#data = [];
    return empty ? undefined : event;
  }
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
