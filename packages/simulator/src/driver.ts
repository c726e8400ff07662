/**
 * The production driver's ordering rule under simulated time: effects are carried out in the order they were pushed, and
 * none before every earlier append is durable; effects marked `immediate`, and notes, may overtake. A batch of inputs is
 * stepped together and its appends are handed over in one call; the next batch does not wait for the disk.
 *
 * The world may kill the process at the marked points: after a step, after durability, between two effects.
 */
import type { AppendEffect, JournalRecord, Machine, Note, Now } from '@muster/core';
import type { JournalDisk } from './journal-disk.ts';
import type { Stream } from './random.ts';
import type { Schedule } from './schedule.ts';

/** More ticks than this within one second of the world: the machine asks for a deadline that it does not serve. */
const TICKS_PER_SECOND_LIMIT = 500;

export interface DriverOptions<In, Effect, Snapshot> {
  readonly name: string;
  readonly schedule: Schedule;
  readonly stream: Stream;
  readonly disk: JournalDisk;
  readonly machine: Machine<In, Effect, Snapshot>;
  readonly now: () => Now;
  readonly worldDelay: (ms: number) => number;
  readonly execute: (effect: Effect) => void;
  readonly onNote: (note: Note) => void;
  /** After every step, before any of its effects is carried out. `appended`: records handed over so far, this step's included. */
  readonly onStep: (input: In, effects: readonly Effect[], appended: number) => void;
  /** Before an effect is carried out. `required`: records that must be on disk for it. */
  readonly onExecute: (effect: Effect, required: number) => void;
  /** May kill this process here. */
  readonly crashPoint: (where: string) => void;
  readonly onFatal: (error: Error) => void;
  readonly snapshotEvery: number;
  readonly sendsBeforeDurable: boolean;
}

interface Pending<Effect> {
  readonly effect: Effect;
  readonly afterSeq: number;
}

export class Driver<
  In extends { readonly kind: string },
  Effect extends { readonly kind: string },
  Snapshot,
> {
  readonly #options: DriverOptions<In, Effect, Snapshot>;
  #alive = true;
  #queue: In[] = [];
  #batchScheduled = false;
  #pausedUntil = 0;
  #pending: Pending<Effect>[] = [];
  #draining = false;
  #appendedSeq: number;
  #durableSeq: number;
  #snapshotSeq: number;
  #armedFor = Number.POSITIVE_INFINITY;
  #ticksInSecond = 0;
  #tickSecond = 0;

  constructor(options: DriverOptions<In, Effect, Snapshot>) {
    this.#options = options;
    this.#appendedSeq = options.disk.durableSeq;
    this.#durableSeq = this.#appendedSeq;
    this.#snapshotSeq = this.#appendedSeq;
  }

  get alive(): boolean {
    return this.#alive;
  }

  submit(input: In): void {
    if (!this.#alive) return;
    this.#queue.push(input);
    this.#scheduleBatch();
  }

  /** The process is dead: nothing is stepped or carried out any more. */
  kill(): void {
    this.#alive = false;
    this.#queue = [];
    this.#pending = [];
  }

  /** The process gets no processor time until then. */
  pauseUntil(worldTime: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, worldTime);
  }

  #scheduleBatch(): void {
    if (this.#batchScheduled) return;
    this.#batchScheduled = true;
    const { schedule, stream } = this.#options;
    const pauseMs = Math.max(0, this.#pausedUntil - schedule.now);
    schedule.after(pauseMs + stream.between(0.02, 0.6), 'batch', () => {
      this.#batchScheduled = false;
      if (!this.#alive || this.#queue.length === 0) return;
      if (this.#pausedUntil > schedule.now) return this.#scheduleBatch();
      this.#batch();
    });
  }

  #batch(): void {
    const inputs = this.#queue;
    this.#queue = [];
    const records: JournalRecord[] = [];
    for (const input of inputs) {
      this.#step(input, records);
      if (!this.#alive) return;
    }
    if (records.length > 0) this.#append(records);
    this.#options.crashPoint('after-step');
    this.#carryOut();
    if (!this.#alive) return;
    this.#snapshotIfDue();
    this.#arm();
  }

  #step(input: In, records: JournalRecord[]): void {
    const { machine, now, onStep, onFatal, onNote } = this.#options;
    const effects: Effect[] = [];
    try {
      machine.step(now(), input, effects);
    } catch (error) {
      onFatal(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    const overtaking: Effect[] = [];
    for (const effect of effects) {
      if (effect.kind === 'append') {
        const appended = (effect as unknown as AppendEffect).records;
        for (const record of appended) records.push(record);
        this.#appendedSeq += appended.length;
      } else if (effect.kind === 'note') onNote((effect as unknown as { note: Note }).note);
      else if ((effect as { immediate?: unknown }).immediate === true) overtaking.push(effect);
      else this.#pending.push({ effect, afterSeq: this.#appendedSeq });
    }
    onStep(input, effects, this.#appendedSeq);
    for (const effect of overtaking) if (this.#alive) this.#execute(effect, this.#appendedSeq);
  }

  #append(records: readonly JournalRecord[]): void {
    const seq = this.#appendedSeq;
    this.#options.disk.append(records, () => {
      if (!this.#alive) return;
      this.#durableSeq = Math.max(this.#durableSeq, seq);
      this.#options.crashPoint('after-durable');
      this.#carryOut();
    });
  }

  #carryOut(): void {
    if (this.#draining || !this.#alive) return;
    this.#draining = true;
    let done = 0;
    for (; done < this.#pending.length && this.#alive; done += 1) {
      const next = this.#pending[done] as Pending<Effect>;
      if (next.afterSeq > this.#durableSeq && !this.#options.sendsBeforeDurable) break;
      this.#execute(next.effect, next.afterSeq);
    }
    this.#pending.splice(0, done);
    this.#draining = false;
  }

  #execute(effect: Effect, required: number): void {
    this.#options.crashPoint('between-effects');
    if (!this.#alive) return;
    this.#options.onExecute(effect, required);
    this.#options.execute(effect);
  }

  #snapshotIfDue(): void {
    const { snapshotEvery, machine, disk, schedule } = this.#options;
    if (this.#appendedSeq - this.#snapshotSeq < snapshotEvery) return;
    const seq = this.#appendedSeq;
    const text = JSON.stringify(machine.snapshot());
    this.#snapshotSeq = seq;
    // An empty append is durable once everything before it is.
    disk.append([], () => {
      schedule.after(1, 'snapshot', () => {
        if (this.#alive) disk.writeSnapshot(seq, text);
      });
    });
  }

  #arm(): void {
    const { machine, now, schedule, worldDelay } = this.#options;
    const deadline = machine.nextDeadline();
    if (deadline === Number.POSITIVE_INFINITY || !this.#alive) return;
    const wakeAt = schedule.now + Math.max(1, worldDelay(Math.ceil(deadline - now().mono)));
    if (wakeAt >= this.#armedFor) return;
    this.#armedFor = wakeAt;
    schedule.after(wakeAt - schedule.now, 'timer', () => {
      if (!this.#alive || this.#armedFor !== wakeAt) return;
      this.#armedFor = Number.POSITIVE_INFINITY;
      if (now().mono < machine.nextDeadline()) return this.#arm();
      this.#countTick();
      this.#queue.push({ kind: 'tick' } as In);
      this.#scheduleBatch();
    });
  }

  #countTick(): void {
    const second = Math.floor(this.#options.schedule.now / 1000);
    if (second !== this.#tickSecond) this.#ticksInSecond = 0;
    this.#tickSecond = second;
    this.#ticksInSecond += 1;
    if (this.#ticksInSecond > TICKS_PER_SECOND_LIMIT) {
      this.#options.onFatal(new Error(`${this.#options.name} ticks without end: a deadline is never served`));
    }
  }
}
