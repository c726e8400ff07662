/**
 * The contract every machine of Muster follows: state and decisions, without I/O.
 *
 * A machine is stepped with one input at a time and pushes, in order, what should happen. It never reads a clock, draws no
 * randomness but from the port handed to its constructor, never awaits and never throws for a well-typed input.
 *
 * Durability rule, kept by the driver and not by good will: effects are carried out in the order they were pushed, and
 * no effect is carried out before every `append` pushed earlier (in this or any previous step) is durable. So a reply or a
 * message can never tell of a decision that a crash could undo. Effects marked `immediate` promise that they depend on no
 * append (beat acknowledgements, notes) and may overtake.
 */

/** Milliseconds on a clock that never goes back and counts suspend. Only differences mean anything. */
export type Instant = number;
/** "No deadline". */
export const never: Instant = Number.POSITIVE_INFINITY;

export interface Machine<In, Effect, Snapshot> {
  /** Apply one input at `now`; push effects in order. Must not throw for any well-typed input. */
  step(now: Now, input: In, effects: Effect[]): void;
  /** The earliest instant at which a `tick` input is wanted; `never` if none. Asked after every step. */
  nextDeadline(): Instant;
  /** Canonical, ordered, JSON-safe view of the durable state. Aliases nothing. */
  snapshot(): Snapshot;
}

/** Both clocks, read once by the driver for a step: `mono` decides, `wall` (Unix ms) is for display and documents only. */
export interface Now {
  readonly mono: Instant;
  readonly wall: number;
}

/** Randomness handed in. Everything unguessable (ids, challenges) comes from `token`. */
export interface Random {
  /** A fresh id: `prefix_` + 26 characters of [0-9a-z], 128 bits. */
  id(prefix: string): string;
  /** 128-bit unguessable hex token. */
  token(): string;
  /** Uniform in [0, 1). For jitter and tie-breaking only. */
  fraction(): number;
}

/** A collision-resistant digest of text, hex. SHA-256 in production. */
export type Digest = (text: string) => string;

/** One durable record. `kind` names the event in past tense, `body` is JSON. */
export interface JournalRecord {
  readonly kind: string;
  readonly at: number;
  readonly body: unknown;
}

/** One thing worth knowing, for log, metrics and event stream. Never carries a secret. */
export interface Note {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** Dotted event name, for example `orchestrator.lost`. */
  readonly event: string;
  /** Plain JSON fields. */
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface AppendEffect {
  readonly kind: 'append';
  readonly records: readonly JournalRecord[];
}
export interface NoteEffect {
  readonly kind: 'note';
  readonly note: Note;
}
