/**
 * Is the process alive, and can it do its work?
 */
import { type Static, Type } from 'typebox';
import { Timestamp } from './shapes.ts';

export const HealthAnswer = Type.Object({
  status: Type.Literal('healthy'),
  version: Type.String(),
  timestamp: Timestamp,
});
export type HealthAnswer = Static<typeof HealthAnswer>;
export const ReadyAnswer = Type.Object({
  status: Type.Union([Type.Literal('ready'), Type.Literal('not-ready')]),
  timestamp: Timestamp,
  dependencies: Type.Record(Type.String(), Type.Object({ status: Type.String(), detail: Type.String() })),
});
export type ReadyAnswer = Static<typeof ReadyAnswer>;
