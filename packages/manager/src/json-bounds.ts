/**
 * JSON that our own code can carry on: what parses may still be nested so deep that walking it exhausts the stack, or hold
 * numbers (1e999) that have no JSON again and so could never be written to the journal, or a member `__proto__` that turns
 * into a prototype when it is merged. All are refused at the door.
 */

/** Nesting deeper than this is refused, levels. */
const JSON_DEPTH_LIMIT = 64;

/** Why `value` (freshly parsed JSON) cannot be taken, or null. Bounded stack, one pass. */
export function jsonHazard(value: unknown): string | null {
  return hazardAt(value, 0);
}

function hazardAt(value: unknown, depth: number): string | null {
  if (typeof value === 'number') return Number.isFinite(value) ? null : 'A number is too large.';
  if (typeof value !== 'object' || value === null) return null;
  if (depth >= JSON_DEPTH_LIMIT) return `The value is nested deeper than ${JSON_DEPTH_LIMIT} levels.`;
  if (Object.hasOwn(value, '__proto__')) return 'A member must not be called __proto__.';
  const members = Array.isArray(value) ? value : Object.values(value);
  for (const member of members) {
    const hazard = hazardAt(member, depth + 1);
    if (hazard !== null) return hazard;
  }
  return null;
}
