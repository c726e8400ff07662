/**
 * How `muster up` shows itself: a live picture on a terminal, lines of text everywhere else.
 *
 * `say` is for what must stay readable; `notice` for what happened, shown below the picture for as long as it is recent.
 */
import type { Services } from '../services.ts';
import { paintFor } from '../terminal/paint.ts';
import { printable } from '../terminal/text.ts';
import { LiveScreen } from './live-screen.ts';
import { PlainLines } from './plain-lines.ts';
import { renderView, type ViewFrame } from './render.ts';

/** Everything of a picture but what the display itself keeps. */
export type Picture = Omit<ViewFrame, 'notices'>;

export interface Display {
  say(line: string): void;
  notice(line: string): void;
  show(picture: Picture): void;
  close(): void;
}

export function openDisplay(services: Services): Display {
  const live = services.stdout.isTTY === true && services.environment['TERM'] !== 'dumb';
  return live ? new LiveDisplay(services) : new PlainDisplay(services);
}

const noticesShown = 4;

class LiveDisplay implements Display {
  readonly #screen: LiveScreen;
  readonly #services: Services;
  #notices: readonly string[] = [];
  #picture: Picture | undefined;
  readonly #redraw = (): void => {
    if (this.#picture !== undefined) this.show(this.#picture);
  };

  constructor(services: Services) {
    this.#services = services;
    this.#screen = new LiveScreen(services.stdout);
    process.stdout.on('resize', this.#redraw);
  }

  say(line: string): void {
    this.#screen.print(line);
  }

  notice(line: string): void {
    const time = new Date(this.#services.now()).toTimeString().slice(0, 8);
    this.#notices = [...this.#notices, `${time}  ${line}`].slice(-noticesShown);
    this.#redraw();
  }

  show(picture: Picture): void {
    this.#picture = picture;
    const { stdout, environment } = this.#services;
    const { columns, rows } = this.#screen;
    const paint = paintFor(stdout, environment);
    this.#screen.draw(renderView({ ...picture, notices: this.#notices }, { columns, rows, paint }));
  }

  close(): void {
    process.stdout.off('resize', this.#redraw);
    this.#screen.close();
  }
}

class PlainDisplay implements Display {
  readonly #services: Services;
  readonly #lines = new PlainLines();

  constructor(services: Services) {
    this.#services = services;
  }

  say(line: string): void {
    this.#services.stdout.write(`${line}\n`);
  }

  notice(line: string): void {
    const time = new Date(this.#services.now()).toISOString().slice(0, 19);
    this.#services.stdout.write(`${time}Z ${printable(line)}\n`);
  }

  show({ view, stopping }: Picture): void {
    if (stopping) return;
    for (const line of this.#lines.changes(view, this.#services.now())) this.notice(line);
  }

  close(): void {}
}
