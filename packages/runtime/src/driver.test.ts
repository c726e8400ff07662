import type { AppendEffect, Machine, Note, NoteEffect, Now } from '@muster/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Clock } from './clock.ts';
import { Driver, type DriverOptions } from './driver.ts';
import { MemoryJournal } from './journal-memory.ts';

type Push =
  | { readonly push: 'append'; readonly count: number }
  | { readonly push: 'send' | 'immediate' | 'note' };
type Input = { readonly kind: 'work'; readonly pushes: readonly Push[] } | { readonly kind: 'tick' };
interface SendEffect {
  readonly kind: 'send';
  readonly number: number;
  /** Records the machine had appended when it pushed this. */
  readonly afterSeq: number;
  readonly immediate?: boolean;
}
type Effect = AppendEffect | NoteEffect | SendEffect;

/** Does what its inputs say, and counts. */
class ScriptedMachine implements Machine<Input, Effect, { seq: number; ticks: number }> {
  seq = 0;
  sent = 0;
  ticks: number[] = [];
  deadlines: number[] = [];
  step(now: Now, input: Input, effects: Effect[]): void {
    if (input.kind === 'tick') {
      this.ticks.push(now.mono);
      this.deadlines = this.deadlines.filter((deadline) => deadline > now.mono);
      return;
    }
    for (const each of input.pushes) {
      if (each.push === 'append') {
        const records = Array.from({ length: each.count }, () => ({
          kind: 'made',
          at: now.wall,
          body: { seq: (this.seq += 1) },
        }));
        effects.push({ kind: 'append', records });
      } else if (each.push === 'note') {
        effects.push({
          kind: 'note',
          note: { level: 'info', event: 'seen', fields: { afterSeq: this.seq } },
        });
      } else {
        const immediate = each.push === 'immediate';
        effects.push({ kind: 'send', number: immediate ? -1 : this.sent++, afterSeq: this.seq, immediate });
      }
    }
  }
  nextDeadline(): number {
    return Math.min(...this.deadlines, Number.POSITIVE_INFINITY);
  }
  snapshot(): { seq: number; ticks: number } {
    return { seq: this.seq, ticks: this.ticks.length };
  }
}

interface Rig {
  readonly machine: ScriptedMachine;
  readonly journal: MemoryJournal;
  readonly driver: Driver<Input, Effect, { seq: number; ticks: number }>;
  readonly sends: SendEffect[];
  readonly notes: Note[];
  readonly fatal: Error[];
}

const realClock: Clock = { now: () => ({ mono: performance.now(), wall: 0 }) };

function rig(options: Partial<DriverOptions<Input, Effect, { seq: number; ticks: number }>> = {}): Rig {
  const machine = new ScriptedMachine();
  const journal = (options.journal as MemoryJournal | undefined) ?? new MemoryJournal();
  const sends: SendEffect[] = [];
  const notes: Note[] = [];
  const fatal: Error[] = [];
  const driver = new Driver<Input, Effect, { seq: number; ticks: number }>({
    machine,
    journal,
    clock: realClock,
    execute: { send: (effect) => void sends.push(effect), note: ({ note }) => void notes.push(note) },
    onFatal: (error) => void fatal.push(error),
    ...options,
  });
  driver.start();
  return { machine, journal, driver, sends, notes, fatal };
}

const work = (...pushes: (Push | Push['push'])[]): Input => ({
  kind: 'work',
  pushes: pushes.map((push) =>
    typeof push !== 'string' ? push : push === 'append' ? { push, count: 1 } : { push },
  ),
});

/** Waits for a condition, a macrotask at a time. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

const pushArbitrary: fc.Arbitrary<Push> = fc.oneof(
  fc.record({ push: fc.constant('append' as const), count: fc.nat(3) }),
  fc.record({ push: fc.constantFrom('send' as const, 'immediate' as const, 'note' as const) }),
);
const actionArbitrary = fc.oneof(
  fc.record({ act: fc.constant('submit' as const), pushes: fc.array(pushArbitrary, { maxLength: 6 }) }),
  fc.record({ act: fc.constant('release' as const), calls: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ act: fc.constant('turn' as const) }),
);

describe('the driver', () => {
  test('carries out no effect before everything appended earlier is durable, and keeps their order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(actionArbitrary, { maxLength: 40 }), async (actions) => {
        const journal = new MemoryJournal();
        journal.hold();
        const early: SendEffect[] = [];
        const sends: SendEffect[] = [];
        const { driver, machine, fatal } = rig({
          journal,
          execute: {
            send: (effect) => {
              if (effect.immediate === true) return;
              if (journal.head.seq < effect.afterSeq) early.push(effect);
              sends.push(effect);
            },
            note: () => {},
          },
        });
        for (const action of actions) {
          if (action.act === 'submit') driver.submit({ kind: 'work', pushes: action.pushes });
          else if (action.act === 'release') journal.release(action.calls);
          else await turns(1);
        }
        const stopped = driver.stop();
        while (driver.stats.queueLength + driver.stats.pendingEffects + journal.undurableCalls > 0) {
          journal.release(1);
          await turns(1);
        }
        await stopped;
        expect(early).toEqual([]);
        expect(sends.map((send) => send.number)).toEqual(
          Array.from({ length: machine.sent }, (_, index) => index),
        );
        expect(journal.head.seq).toBe(machine.seq);
        expect(fatal).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });

  test('after a crash at any moment, everything that was told to others is in what survived', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(actionArbitrary, { maxLength: 30 }), async (actions) => {
        const journal = new MemoryJournal();
        journal.hold();
        const { driver, sends } = rig({ journal });
        for (const action of actions) {
          if (action.act === 'submit')
            driver.submit({
              kind: 'work',
              pushes: action.pushes.filter((each) => each.push !== 'immediate'),
            });
          else if (action.act === 'release') journal.release(action.calls);
          else await turns(1);
        }
        const survivor = journal.crash();
        await driver.stop();
        for (const send of sends) expect(send.afterSeq).toBeLessThanOrEqual(survivor.head.seq);
      }),
      { numRuns: 100 },
    );
  });

  test('lets notes and immediate effects overtake what waits for durability', async () => {
    const { driver, journal, sends, notes } = rig();
    journal.hold();
    driver.submit(work('append', 'send', 'immediate', 'note'));
    await until(() => notes.length === 1);
    expect(sends.map((send) => send.immediate)).toEqual([true]);
    journal.release();
    await until(() => sends.length === 2);
    await driver.stop();
  });

  test('groups the appends of a batch into one call and steps on while it is written', async () => {
    const { driver, journal, machine } = rig();
    journal.hold();
    for (let index = 0; index < 5; index += 1) driver.submit(work('append', 'append'));
    await until(() => machine.seq === 10);
    expect(journal.undurableCalls).toBe(1);
    driver.submit(work('append', 'send'));
    await until(() => machine.seq === 11);
    expect(journal.undurableCalls).toBe(2);
    journal.release();
    await driver.stop();
  });

  test('refuses inputs beyond its limit and takes them again afterwards', async () => {
    const { driver, sends } = rig({ queueLimit: 3 });
    expect(Array.from({ length: 5 }, () => driver.submit(work('send')))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
    await until(() => sends.length === 3);
    expect(driver.submit(work('send'))).toBe(true);
    await driver.stop();
    expect(sends).toHaveLength(4);
    expect(driver.submit(work('send'))).toBe(false);
  });

  test('dies once of a failed append and carries out nothing afterwards', async () => {
    const { driver, journal, sends, fatal } = rig();
    journal.hold();
    driver.submit(work('append', 'send'));
    driver.submit(work('append', 'send'));
    await until(() => driver.stats.pendingEffects === 2);
    driver.submit(work('append', 'send'));
    await until(() => journal.undurableCalls === 2);
    journal.fail(new Error('disk full'));
    await until(() => fatal.length > 0);
    await turns(3);
    expect(fatal).toHaveLength(1);
    expect(fatal[0]?.message).toContain('could not be written');
    expect(sends).toEqual([]);
    expect(driver.submit(work('send'))).toBe(false);
    await driver.stop();
  });

  test('dies of a handler that throws or rejects, and of a step that throws', async () => {
    for (const send of [
      () => Promise.reject(new Error('broken')),
      () => {
        throw new Error('broken');
      },
    ]) {
      const { driver, fatal } = rig({ execute: { send, note: () => {} } });
      driver.submit(work('send', 'send'));
      await until(() => fatal.length > 0);
      await driver.stop();
      expect(fatal.map((error) => error.message)).toEqual(['broken']);
    }
    const { driver, fatal, machine } = rig();
    machine.step = () => {
      throw new Error('invariant');
    };
    driver.submit(work('append'));
    await until(() => fatal.length > 0);
    expect(fatal[0]?.message).toBe('invariant');
  });

  test('waits at stop for handlers that are still at work', async () => {
    let finish = (): void => {};
    let isStopped = false;
    const { driver } = rig({
      execute: {
        send: () =>
          new Promise<void>((resolve) => {
            finish = resolve;
          }),
        note: () => {},
      },
    });
    driver.submit(work('append', 'send'));
    const stopped = driver.stop().then(() => {
      isStopped = true;
    });
    await turns(10);
    expect(isStopped).toBe(false);
    finish();
    await stopped;
  });

  test('ticks the machine at its deadline, not before, and again for the next one', async () => {
    let mono = 1000;
    const { driver, machine } = rig({ clock: { now: () => ({ mono, wall: 0 }) } });
    machine.deadlines = [1040, 1080];
    driver.submit(work());
    await until(() => driver.stats.steps === 1);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(machine.ticks).toEqual([]);
    mono = 1050;
    await until(() => machine.ticks.length === 1);
    mono = 5000;
    await until(() => machine.ticks.length === 2);
    expect(machine.ticks).toEqual([1050, 5000]);
    await driver.stop();
  });

  test('writes snapshots that hold exactly the records up to their number', async () => {
    const { driver, journal, machine } = rig({ snapshotEveryRecords: 10 });
    const seen: number[] = [];
    const write = journal.writeSnapshot.bind(journal);
    journal.writeSnapshot = (seq, state) => {
      expect(state).toMatchObject({ seq });
      expect(journal.head.seq).toBeGreaterThanOrEqual(seq);
      seen.push(seq);
      return write(seq, state);
    };
    for (let index = 0; index < 40; index += 1) {
      driver.submit(work('append', { push: 'append', count: 2 }));
      if (index % 3 === 0) await turns(2);
    }
    await driver.stop();
    expect(machine.seq).toBe(120);
    expect(seen.length).toBeGreaterThan(3);
    expect(driver.stats.snapshots).toBe(seen.length);
    const survivor = journal.crash();
    const { snapshot, records } = await survivor.load();
    expect(snapshot?.state).toMatchObject({ seq: snapshot?.seq });
    expect((snapshot?.seq ?? 0) + records.length).toBe(120);
  });

  test('goes on after a failed snapshot and says so', async () => {
    const { driver, journal, notes, fatal } = rig({ snapshotEveryRecords: 1 });
    journal.writeSnapshot = () => Promise.reject(new Error('no room'));
    driver.submit(work('append'));
    await until(() => notes.length === 1);
    expect(notes[0]).toMatchObject({
      level: 'error',
      event: 'journal.snapshot-failed',
      fields: { reason: 'no room' },
    });
    await driver.stop();
    expect(fatal).toEqual([]);
  });

  test('shows every step to the recorder and counts them', async () => {
    const recorded: string[] = [];
    const { driver } = rig({ onStep: (_now, input) => void recorded.push(input.kind) });
    driver.submit(work('append'));
    driver.submit({ kind: 'tick' });
    await driver.stop();
    expect(recorded).toEqual(['work', 'tick']);
    expect(driver.stats).toMatchObject({ steps: 2, queueLength: 0, pendingEffects: 0 });
  });
});
