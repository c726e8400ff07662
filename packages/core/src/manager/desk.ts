/**
 * The desk: what every part of the manager machine works with during one step. `commit` is the only way to change a durable
 * fact: it applies the record at once and puts it into the step's one append; everything said to the outside in the same
 * step leaves behind that append.
 */
import type { ErrorCode, Failure, FieldError } from '@muster/contract';
import type { Digest, Note, Now, Random } from '../machine.ts';
import type { ManagerEffect, PublicEvent, ValidateConfig } from './inputs.ts';
import type { Facts } from './model.ts';
import type { Presence } from './presence.ts';
import type { RecordBodies, RecordKind } from './records.ts';

export interface Desk {
  readonly facts: Facts;
  readonly presence: Presence;
  readonly random: Random;
  readonly digest: Digest;
  readonly validateConfig: ValidateConfig;
  readonly now: Now;
  /** Planted bugs for the simulator's self-test; always empty in production. */
  readonly mutants: ReadonlySet<string>;
  commit<K extends RecordKind>(kind: K, body: RecordBodies[K]): void;
  emit(effect: Exclude<ManagerEffect, { kind: 'append' }>): void;
  note(level: Note['level'], event: string, fields: Record<string, unknown>): void;
  publish(type: string, customerId: PublicEvent['customerId'], data: Record<string, unknown>): void;
}

export type Refusal = { readonly ok: false } & Failure;
export function refuse(
  code: ErrorCode,
  detail: string,
  more: { errors?: readonly FieldError[]; extra?: Record<string, unknown> } = {},
): Refusal {
  return { ok: false, code, detail, ...more };
}
export const done = (value: Record<string, unknown> = {}): { ok: true; value: Record<string, unknown> } => ({
  ok: true,
  value,
});
