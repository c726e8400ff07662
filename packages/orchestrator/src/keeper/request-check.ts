/**
 * Shape check of what arrives at the keeper's socket. Hand-written, because the keeper loads no library. Only this
 * user's processes can reach the socket, so the check guards against mistakes and version skew, not against attack.
 */
import type { KeeperRequest } from '@muster/contract';

type Fields = Record<string, unknown>;

const isText = (value: unknown): boolean => typeof value === 'string' && !value.includes('\0');
const isName = (value: unknown): boolean => isText(value) && value !== '';
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const isEpoch = (value: unknown): boolean => isCount(value) && value !== 0;
const isDuration = (value: unknown): boolean => Number.isFinite(value) && (value as number) >= 0;
const isAbsolutePath = (value: unknown): boolean => isText(value) && (value as string).startsWith('/');
const isDeadline = (value: unknown): boolean => value === null || isDuration(value);
const isTextList = (value: unknown): boolean => Array.isArray(value) && value.every(isText);

function isEnvironment(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(([name, text]) => isName(name) && !name.includes('=') && isText(text));
}

function isLimits(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { memoryBytes, cpuCores } = value as Fields;
  const memoryFits = memoryBytes === null || isEpoch(memoryBytes);
  return memoryFits && (cpuCores === null || (isDuration(cpuCores) && cpuCores !== 0));
}

const FIELDS: Readonly<Record<KeeperRequest['op'], Readonly<Record<string, (value: unknown) => boolean>>>> = {
  hello: { v: isCount },
  spawn: {
    agent: isName,
    epoch: isEpoch,
    command: isName,
    args: isTextList,
    env: isEnvironment,
    cwd: isAbsolutePath,
    stdoutPath: isAbsolutePath,
    stderrPath: isAbsolutePath,
    limits: isLimits,
    deadlineUptimeMs: isDeadline,
    note: (value) => typeof value === 'string',
  },
  stop: {
    agent: isName,
    graceMs: isDuration,
    deadlineUptimeMs: (value) => value === undefined || isDeadline(value),
  },
  release: { agent: isName, epoch: isEpoch, graceMs: isDuration, inFlightMs: isDuration },
  list: {},
  forget: { agent: isName },
  shutdown: { graceMs: isDuration },
};

export type CheckedRequest =
  | { readonly ok: true; readonly request: KeeperRequest }
  /** `id` is null when the line does not even say what to answer to. */
  | { readonly ok: false; readonly id: number | null; readonly message: string };

/** Parses one line and names the first field that does not fit. */
export function checkRequest(line: string): CheckedRequest {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { ok: false, id: null, message: 'The line is no JSON.' };
  }
  if (typeof value !== 'object' || value === null)
    return { ok: false, id: null, message: 'The line is no object.' };
  const fields = value as Fields;
  const id = isCount(fields['id']) ? (fields['id'] as number) : null;
  if (id === null) return { ok: false, id, message: 'The request has no id.' };
  const op = fields['op'];
  if (typeof op !== 'string' || !Object.hasOwn(FIELDS, op)) {
    return { ok: false, id, message: 'The keeper does not know this operation.' };
  }
  for (const [name, fits] of Object.entries(FIELDS[op as KeeperRequest['op']])) {
    if (!fits(fields[name]))
      return { ok: false, id, message: `Field ${name} of ${op} is missing or has a wrong value.` };
  }
  return { ok: true, request: value as KeeperRequest };
}
