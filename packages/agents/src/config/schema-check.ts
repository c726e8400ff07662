/**
 * A small JSON Schema validator for the vocabulary the catalogue uses: type, enum, bounds, pattern, items, properties.
 *
 * The catalogue is data that other programs also validate with; an agent checks its own configuration with this one because
 * a general validator would cost more to load than the agent itself.
 */

export interface ConfigIssue {
  /** JSON Pointer into the configuration, empty for the whole. */
  readonly path: string;
  readonly message: string;
}

type Schema = Readonly<Record<string, unknown>>;

/** All violations of `schema` by `value`, in order of the schema's keys. */
export function checkSchema(schema: Schema, value: unknown, path = ''): ConfigIssue[] {
  const type = schema['type'];
  if (typeof type === 'string' && !hasType(type, value))
    return [{ path, message: `must be ${article(type)}` }];
  const allowed = schema['enum'];
  if (Array.isArray(allowed) && !allowed.includes(value)) {
    return [{ path, message: `must be one of: ${allowed.map((one) => JSON.stringify(one)).join(', ')}` }];
  }
  if (typeof value === 'number') return checkNumber(schema, value, path);
  if (typeof value === 'string') return checkText(schema, value, path);
  if (Array.isArray(value)) return checkArray(schema, value, path);
  if (typeof value === 'object' && value !== null) return checkObject(schema, value as Schema, path);
  return [];
}

function checkNumber(schema: Schema, value: number, path: string): ConfigIssue[] {
  const rules: readonly [string, (limit: number) => boolean, string][] = [
    ['minimum', (limit) => value >= limit, 'at least'],
    ['exclusiveMinimum', (limit) => value > limit, 'greater than'],
    ['maximum', (limit) => value <= limit, 'at most'],
    ['exclusiveMaximum', (limit) => value < limit, 'less than'],
  ];
  const issues: ConfigIssue[] = [];
  for (const [key, holds, words] of rules) {
    const limit = schema[key];
    if (typeof limit === 'number' && !holds(limit))
      issues.push({ path, message: `must be ${words} ${limit}` });
  }
  return issues;
}

function checkText(schema: Schema, value: string, path: string): ConfigIssue[] {
  const pattern = schema['pattern'];
  if (typeof pattern !== 'string' || new RegExp(pattern, 'u').test(value)) return [];
  return [{ path, message: `must match ${pattern}` }];
}

function checkArray(schema: Schema, value: readonly unknown[], path: string): ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  const { minItems, maxItems, items } = schema as { minItems?: number; maxItems?: number; items?: Schema };
  if (minItems !== undefined && value.length < minItems)
    issues.push({ path, message: `must have at least ${minItems} entries` });
  if (maxItems !== undefined && value.length > maxItems)
    return [{ path, message: `must have at most ${maxItems} entries` }];
  if (schema['uniqueItems'] === true && new Set(value).size !== value.length)
    issues.push({ path, message: 'must not name anything twice' });
  if (items !== undefined)
    for (const [index, one] of value.entries()) issues.push(...checkSchema(items, one, `${path}/${index}`));
  return issues;
}

function checkObject(schema: Schema, value: Schema, path: string): ConfigIssue[] {
  const properties = (schema['properties'] ?? {}) as Readonly<Record<string, Schema>>;
  return Object.entries(properties).flatMap(([key, property]) =>
    Object.hasOwn(value, key) && value[key] !== undefined
      ? checkSchema(property, value[key], `${path}/${key}`)
      : [],
  );
}

function hasType(type: string, value: unknown): boolean {
  switch (type) {
    case 'number':
      return typeof value === 'number' && Number.isFinite(value);
    case 'integer':
      return Number.isSafeInteger(value);
    case 'array':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    default:
      return typeof value === type;
  }
}

function article(type: string): string {
  if (type === 'number') return 'a finite number';
  return /^[aeio]/.test(type) ? `an ${type}` : `a ${type}`;
}
