/**
 * What a client command works with: the manager it speaks to and the way it prints.
 *
 * `-o json` prints what the API answered, unchanged; tables are for people. Everything that came over the wire is made
 * harmless before it reaches a terminal.
 */

import type { Services } from '../services.ts';
import { type Paint, paintFor } from '../terminal/paint.ts';
import { type Column, tableLines } from '../terminal/table.ts';
import { printable } from '../terminal/text.ts';
import { ApiClient } from './api-client.ts';
import { Credentials } from './credentials.ts';
import { managerUrl, tokenFor } from './manager-url.ts';

export type OutputFormat = 'table' | 'wide' | 'json';

export interface OutputOptions {
  readonly output?: OutputFormat;
}

export interface ClientOptions extends OutputOptions {
  readonly url?: string;
  readonly tokenFile?: string;
}

export class Printer {
  readonly format: OutputFormat;
  readonly paint: Paint;
  /** Wall clock at the start of the command, ms. */
  readonly nowMs: number;
  readonly #services: Services;

  constructor(services: Services, { output = 'table' }: OutputOptions) {
    this.#services = services;
    this.format = output;
    this.nowMs = services.now();
    this.paint = paintFor(services.stdout, services.environment);
  }

  get isJson(): boolean {
    return this.format === 'json';
  }

  line(text = ''): void {
    this.#services.stdout.write(`${text}\n`);
  }

  /** A remark beside the result, on the error stream. */
  remark(text: string): void {
    this.#services.stderr.write(`${printable(text)}\n`);
  }

  json(value: unknown): void {
    this.line(JSON.stringify(value, null, 2));
  }

  table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], whenEmpty: string): void {
    if (rows.length === 0) return this.remark(whenEmpty);
    const { stdout } = this.#services;
    const lines = tableLines(columns, rows, {
      wide: this.format === 'wide',
      width: stdout.isTTY === true ? stdout.columns : undefined,
      heading: (text) => this.paint('dim', text),
    });
    for (const line of lines) this.line(line);
  }

  /** The rows as JSON or as a table, as wished. */
  list<Row>(columns: readonly Column<Row>[], rows: readonly Row[], whenEmpty: string): void {
    if (this.isJson) this.json(rows);
    else this.table(columns, rows, whenEmpty);
  }
}

export interface ClientContext {
  readonly services: Services;
  readonly api: ApiClient;
  readonly print: Printer;
}

/** The context of a command that needs a signed-in person. @throws CommandFailure */
export function openClient(services: Services, options: ClientOptions): ClientContext {
  const credentials = new Credentials(services.environment);
  const url = managerUrl(services.environment, options.url, credentials);
  const token = tokenFor(url, services.environment, options.tokenFile, credentials, services.now());
  return { services, api: managerClient(url, token), print: new Printer(services, options) };
}

export function managerClient(
  url: string,
  token?: ConstructorParameters<typeof ApiClient>[0]['token'],
): ApiClient {
  return new ApiClient({
    url,
    token,
    who: 'The manager',
    unreachableNext: 'Start it (muster up), or name another with --url or MUSTER_URL.',
  });
}
