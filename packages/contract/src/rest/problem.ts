/**
 * What every failed REST request answers: an RFC 9457 problem document, media type `application/problem+json`.
 */
import { type Static, Type } from 'typebox';

export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

export const Problem = Type.Object(
  {
    type: Type.String({ description: 'Names the kind of problem; equal codes have equal types' }),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ description: 'Stable code from the error catalogue' }),
    detail: Type.String({ description: 'What is wrong this time, for a person to act on' }),
    next: Type.String({ description: 'The step that usually helps' }),
    instance: Type.Optional(Type.String({ description: 'X-Request-ID of the request' })),
    errors: Type.Optional(Type.Array(Type.Object({ path: Type.String(), message: Type.String() }))),
  },
  { additionalProperties: true },
);
export type Problem = Static<typeof Problem>;
