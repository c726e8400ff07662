/**
 * How requests are read: bodies strictly, without what the schema does not name; queries, parameters and headers with text
 * turned into the type the schema wants, and its defaults filled in.
 */
import type { FieldError } from '@muster/contract';
import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { Value } from 'typebox/value';

interface SchemaError {
  readonly keyword?: string;
  readonly instancePath?: string;
  readonly message?: string;
  readonly params?: Readonly<Record<string, unknown>>;
}

/** Compiles a TypeBox schema for one part of a request. */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const checker = Compile(schema);
  const read =
    httpPart === 'body'
      ? (value: unknown) => withoutUnknown(schema, value)
      : (value: unknown) => Value.Convert(schema, Value.Default(schema, plain(value)));
  return (value: unknown) => {
    const prepared = read(value);
    if (checker.Check(prepared)) return { value: prepared };
    return { error: Object.assign(new Error('invalid'), { validation: [...checker.Errors(prepared)] }) };
  };
};

const plain = (value: unknown): unknown =>
  typeof value === 'object' && value !== null ? { ...value } : value;

/** The members the schema names; no body at all counts as an empty object. */
function withoutUnknown(schema: TSchema, value: unknown): unknown {
  const { properties } = schema as { properties?: Readonly<Record<string, TSchema>> };
  const given = value ?? {};
  if (properties === undefined || typeof given !== 'object' || Array.isArray(given)) return given;
  const kept: Record<string, unknown> = {};
  for (const name of Object.keys(properties)) {
    if (Object.hasOwn(given, name)) kept[name] = (given as Readonly<Record<string, unknown>>)[name];
  }
  return kept;
}

/** One entry per field, in words: alternatives joined, "null" left out. */
export function fieldErrors(errors: readonly unknown[], part: string): FieldError[] {
  const byPath = new Map<string, string[]>();
  const add = (path: string, message: string): void => {
    const prefix = part === 'body' ? '' : `/${part}`;
    const list = byPath.get(prefix + path) ?? [];
    byPath.set(prefix + path, list);
    if (!list.includes(message)) list.push(message);
  };
  for (const {
    keyword,
    instancePath = '',
    message = 'is not valid',
    params,
  } of errors as readonly SchemaError[]) {
    if (keyword === 'anyOf') continue;
    if (keyword === 'required') {
      const missing = (params?.['requiredProperties'] ?? []) as readonly string[];
      for (const name of missing) add(`${instancePath}/${name}`, 'is required');
    } else if (keyword === 'enum') {
      const allowed = (params?.['allowedValues'] as readonly unknown[] | undefined)?.join(', ');
      add(instancePath, allowed === undefined ? message : `must be one of ${allowed}`);
    } else if (message !== 'must be null') {
      add(instancePath, message);
    }
  }
  const listed = [...byPath].map(([path, messages]) => ({
    path,
    message: messages.slice(0, 4).join(' or '),
  }));
  return listed.length > 0 ? listed.slice(0, 50) : [{ path: '', message: 'is not valid' }];
}
