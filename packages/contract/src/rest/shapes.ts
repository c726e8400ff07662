/**
 * Small shapes that the REST schemas share. Requests are open (unknown members are dropped before validation); a member that
 * may be left out may also be null where clients of other languages send null for "not given".
 */
import { type TSchema, Type } from 'typebox';

export const Identifier = Type.String({ minLength: 1, maxLength: 128 });
export const ShortText = Type.String({ maxLength: 1000 });
export const Timestamp = Type.String({ description: 'ISO 8601, UTC, with Z' });
/** Free JSON facts. */
export const JsonFacts = Type.Record(Type.String(), Type.Unknown());
export const Amount = Type.Number({ minimum: 0 });
export const WholeNumber = Type.Integer({ minimum: 0 });

export const words = <T extends readonly string[]>(list: T) =>
  Type.Unsafe<T[number]>({ type: 'string', enum: [...list] });
export const nullable = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);
export const optional = <S extends TSchema>(schema: S) => Type.Optional(Type.Union([schema, Type.Null()]));
