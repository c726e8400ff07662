/**
 * The imperative shell around a machine: one queue in, one machine, effects out.
 *
 * The loop takes the pending inputs as a batch, steps the machine with each, and hands every `append` of the batch to the
 * journal in one call. All other effects wait in one line, each tagged with the number of records appended before it was
 * pushed, and are carried out in order as durability reaches that number. Batches are not held up by each other's commits:
 * the next one is stepped while the journal writes. `immediate` effects and notes depend on no append and overtake the line.
 *
 * Handlers may answer with a promise; the line does not wait for it, so an effect starts in order but may end later. What
 * cannot be carried on from (failed append, throwing step, failing handler) goes to `onFatal`, once; after that nothing is
 * stepped or carried out any more, because memory may be ahead of the journal. A failed snapshot only costs start-up time:
 * it is noted and tried again.
 *
 * Snapshots are taken between two batches, so they hold exactly the records appended so far, and are written once those are
 * durable.
 */
import { performance } from 'node:perf_hooks';
import type { AppendEffect, JournalRecord, Machine, Note, Now } from '@muster/core';
import type { Clock } from './clock.ts';
import type { Journal } from './journal.ts';

/** A step longer than this is a defect; it is counted. */
export const slowStepMs = 20;
/** Inputs stepped before other work of the process gets a turn. */
const batchInputs = 1000;
/**
 * Timers do not run during suspend and the machine's clock does: so a far deadline is looked at again this often.
 */
const longestSleepMs = 1000;

/** What carries out each kind of effect. `append` is the driver's own. */
export type EffectHandlers<Effect extends { readonly kind: string }> = {
  readonly [K in Exclude<Effect['kind'], 'append'>]: (
    effect: Extract<Effect, { readonly kind: K }>,
  ) => void | Promise<void>;
};

export interface DriverOptions<
  In extends { readonly kind: string },
  Effect extends { readonly kind: string },
  Snapshot,
> {
  /** Its inputs must include `{kind: 'tick'}`. It must already hold the state at `journal.head`. */
  readonly machine: Machine<In, Effect, Snapshot>;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly execute: EffectHandlers<Effect>;
  /** Called at most once. The process should end. */
  readonly onFatal: (error: Error) => void;
  /** Sees every step after it was made; for recording inputs. */
  readonly onStep?: (now: Now, input: In, durationMs: number) => void;
  /** Inputs that may wait. Default 100,000. */
  readonly queueLimit?: number;
  /** Records between two snapshots. Default 5,000. */
  readonly snapshotEveryRecords?: number;
}

export interface DriverStats {
  readonly steps: number;
  /** Steps that took more than `slowStepMs`. */
  readonly slowSteps: number;
  readonly maxStepMs: number;
  /** Inputs waiting. */
  readonly queueLength: number;
  /** Effects waiting for durability. */
  readonly pendingEffects: number;
  readonly snapshots: number;
  /** Duration of the last `machine.snapshot()`. */
  readonly lastSnapshotMs: number;
}

interface PendingEffect<Effect> {
  readonly effect: Effect;
  /** Carried out once this many records are durable. */
  readonly afterSeq: number;
}

export class Driver<
  In extends { readonly kind: string },
  Effect extends { readonly kind: string },
  Snapshot,
> {
  readonly #options: DriverOptions<In, Effect, Snapshot>;
  readonly #queueLimit: number;
  readonly #snapshotEveryRecords: number;
  #queue: In[] = [];
  #scheduled: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  #tickQueued = false;
  #pending: PendingEffect<Effect>[] = [];
  #appendedSeq: number;
  #durableSeq: number;
  #snapshotSeq: number;
  #snapshotWriting = false;
  #unsettled = 0;
  #draining = false;
  #state: 'idle' | 'running' | 'stopping' | 'stopped' = 'idle';
  #whenStopped: (() => void)[] = [];
  #stats = { steps: 0, slowSteps: 0, maxStepMs: 0, snapshots: 0, lastSnapshotMs: 0 };

  constructor(options: DriverOptions<In, Effect, Snapshot>) {
    this.#options = options;
    this.#queueLimit = options.queueLimit ?? 100_000;
    this.#snapshotEveryRecords = options.snapshotEveryRecords ?? 5_000;
    this.#appendedSeq = options.journal.head.seq;
    this.#durableSeq = this.#appendedSeq;
    this.#snapshotSeq = this.#appendedSeq;
  }

  get stats(): DriverStats {
    return { ...this.#stats, queueLength: this.#queue.length, pendingEffects: this.#pending.length };
  }

  /** Starts stepping; inputs submitted before wait until now. `replayedRecords`: records read after the last snapshot. */
  start(replayedRecords = 0): void {
    if (this.#state !== 'idle') return;
    this.#state = 'running';
    this.#snapshotSeq = this.#appendedSeq - replayedRecords;
    this.#schedule();
  }

  /** Queues an input; `false` when the queue is full or the driver is stopping: the input was not taken. */
  submit(input: In): boolean {
    if (this.#state === 'stopping' || this.#state === 'stopped') return false;
    if (this.#queue.length >= this.#queueLimit) return false;
    this.#queue.push(input);
    this.#schedule();
    return true;
  }

  /** Takes no more inputs; resolves when those taken are stepped, durable, carried out and settled, or after a fatal error. */
  stop(): Promise<void> {
    if (this.#state === 'stopped') return Promise.resolve();
    if (this.#state === 'idle') this.#queue = [];
    this.#state = 'stopping';
    clearTimeout(this.#timer);
    return new Promise((resolve) => {
      this.#whenStopped.push(resolve);
      this.#finishIfDrained();
    });
  }

  get #isAlive(): boolean {
    return this.#state === 'running' || this.#state === 'stopping';
  }

  #schedule(): void {
    if (this.#scheduled !== undefined || !this.#isAlive) return;
    this.#scheduled = setImmediate(() => {
      this.#scheduled = undefined;
      this.#batch();
    });
  }

  #batch(): void {
    if (!this.#isAlive) return;
    const inputs = this.#queue.splice(0, batchInputs);
    const records: JournalRecord[] = [];
    for (const input of inputs) {
      if (!this.#step(input, records)) return;
    }
    if (records.length > 0) this.#append(records);
    this.#carryOut();
    if (!this.#isAlive) return;
    this.#snapshotIfDue();
    if (this.#queue.length > 0) this.#schedule();
    this.#armTimer();
    this.#finishIfDrained();
  }

  /** `false` when the driver died of it. */
  #step(input: In, records: JournalRecord[]): boolean {
    if (input.kind === 'tick') this.#tickQueued = false;
    const effects: Effect[] = [];
    const now = this.#options.clock.now();
    const startedMs = performance.now();
    try {
      this.#options.machine.step(now, input, effects);
    } catch (error) {
      this.#die(error);
      return false;
    }
    const durationMs = performance.now() - startedMs;
    this.#stats.steps += 1;
    if (durationMs > slowStepMs) this.#stats.slowSteps += 1;
    this.#stats.maxStepMs = Math.max(this.#stats.maxStepMs, durationMs);
    for (const effect of effects) {
      if (effect.kind === 'append') {
        const appended = (effect as unknown as AppendEffect).records;
        for (const record of appended) records.push(record);
        this.#appendedSeq += appended.length;
      } else if (effect.kind === 'note' || (effect as { readonly immediate?: unknown }).immediate === true) {
        this.#execute(effect);
        if (!this.#isAlive) return false;
      } else {
        this.#pending.push({ effect, afterSeq: this.#appendedSeq });
      }
    }
    this.#options.onStep?.(now, input, durationMs);
    return true;
  }

  #append(records: readonly JournalRecord[]): void {
    const seq = this.#appendedSeq;
    this.#settle(
      () => this.#options.journal.append(records),
      () => {
        this.#durableSeq = seq;
        this.#carryOut();
      },
    );
  }

  /** Carries out the line up to the first effect that is not covered yet. */
  #carryOut(): void {
    if (this.#draining) return;
    this.#draining = true;
    let done = 0;
    for (; done < this.#pending.length && this.#isAlive; done += 1) {
      const next = this.#pending[done];
      if (next === undefined || next.afterSeq > this.#durableSeq) break;
      this.#execute(next.effect);
    }
    this.#pending.splice(0, done);
    this.#draining = false;
  }

  #execute(effect: Effect): void {
    const handlers = this.#options.execute as unknown as Readonly<
      Record<string, (effect: Effect) => void | Promise<void>>
    >;
    const handler = handlers[effect.kind];
    if (handler === undefined) return this.#die(new Error(`No handler for effect ${effect.kind}`));
    this.#settle(() => handler(effect));
  }

  /** Runs `action`, waits for its promise if it has one, and dies of its failure. */
  #settle(action: () => void | Promise<void>, then?: () => void): void {
    try {
      const outcome = action();
      if (outcome === undefined) return;
      this.#unsettled += 1;
      outcome.then(
        () => {
          this.#unsettled -= 1;
          if (this.#isAlive) then?.();
          this.#finishIfDrained();
        },
        (error: unknown) => {
          this.#unsettled -= 1;
          this.#die(error);
        },
      );
    } catch (error) {
      this.#die(error);
    }
  }

  #snapshotIfDue(): void {
    if (this.#snapshotWriting || this.#appendedSeq - this.#snapshotSeq < this.#snapshotEveryRecords) return;
    const seq = this.#appendedSeq;
    const startedMs = performance.now();
    let state: Snapshot;
    try {
      state = this.#options.machine.snapshot();
    } catch (error) {
      this.#die(error);
      return;
    }
    this.#stats.lastSnapshotMs = performance.now() - startedMs;
    this.#snapshotSeq = seq;
    this.#snapshotWriting = true;
    this.#settle(() => this.#writeSnapshot(seq, state));
  }

  async #writeSnapshot(seq: number, state: Snapshot): Promise<void> {
    // An append without records is durable once everything before it is.
    await this.#options.journal.append([]);
    try {
      if (!this.#isAlive) return;
      await this.#options.journal.writeSnapshot(seq, state);
      this.#stats.snapshots += 1;
    } catch (error) {
      const fields = { seq, reason: error instanceof Error ? error.message : String(error) };
      this.#note({ level: 'error', event: 'journal.snapshot-failed', fields });
    } finally {
      this.#snapshotWriting = false;
    }
  }

  #note(note: Note): void {
    if (this.#isAlive) this.#execute({ kind: 'note', note } as unknown as Effect);
  }

  #armTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#state !== 'running' || this.#tickQueued) return;
    const deadline = this.#options.machine.nextDeadline();
    if (deadline === Number.POSITIVE_INFINITY) return;
    const waitMs = Math.ceil(deadline - this.#options.clock.now().mono);
    this.#timer = setTimeout(() => this.#wake(deadline), Math.min(Math.max(waitMs, 0), longestSleepMs));
  }

  /** A tick is queued past the limit: a full queue must not stop time. */
  #wake(deadline: number): void {
    if (this.#state !== 'running') return;
    if (this.#options.clock.now().mono < deadline) return this.#armTimer();
    this.#timer = undefined;
    this.#tickQueued = true;
    this.#queue.push({ kind: 'tick' } as In);
    this.#schedule();
  }

  #finishIfDrained(): void {
    if (this.#state !== 'stopping') return;
    if (this.#queue.length > 0) return this.#schedule();
    if (this.#scheduled !== undefined || this.#pending.length > 0 || this.#unsettled > 0) return;
    this.#state = 'stopped';
    this.#release();
  }

  #die(error: unknown): void {
    if (!this.#isAlive) return;
    this.#state = 'stopped';
    this.#queue = [];
    this.#pending = [];
    clearTimeout(this.#timer);
    this.#options.onFatal(error instanceof Error ? error : new Error(String(error)));
    this.#release();
  }

  #release(): void {
    for (const resolve of this.#whenStopped.splice(0)) resolve();
  }
}
