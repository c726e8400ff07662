/** One direction of a local socket: small random delays, never out of order. */
import type { Stream } from './random.ts';
import type { Schedule } from './schedule.ts';

export class FifoPipe {
  readonly #schedule: Schedule;
  readonly #stream: Stream;
  #lastAt = 0;

  constructor(schedule: Schedule, stream: Stream) {
    this.#schedule = schedule;
    this.#stream = stream;
  }

  send(label: string, deliver: () => void): void {
    const delay = this.#stream.between(0.05, 1) * (this.#stream.chance(0.02) ? 100 : 1);
    this.#lastAt = Math.max(this.#lastAt + 0.001, this.#schedule.now + delay);
    this.#schedule.after(this.#lastAt - this.#schedule.now, label, deliver);
  }
}
