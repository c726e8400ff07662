/**
 * The error catalogue: every code a caller can meet, with its HTTP status, title and the step that usually helps next.
 * REST problem details, link rejections and the CLI's hints are all made from this table; `docs/errors.md` is generated
 * from it. A code is never reused for another meaning.
 */

interface CatalogueEntry {
  readonly status: number;
  readonly title: string;
  /** What to do next, one sentence. */
  readonly next: string;
}

const entries = {
  'bad-json': {
    status: 400,
    title: 'The body is not JSON',
    next: 'Send one JSON value with Content-Type application/json.',
  },
  'bad-request': {
    status: 400,
    title: 'The request cannot be understood',
    next: 'Compare the request with /openapi.json.',
  },
  'id-mismatch': {
    status: 400,
    title: 'The id in the body differs from the path',
    next: 'Send the same id in both places.',
  },
  unauthenticated: {
    status: 401,
    title: 'Sign in first',
    next: 'POST /api/v1/auth/login with email and password, then send the access_token as "Authorization: Bearer <token>".',
  },
  'bad-credentials': {
    status: 401,
    title: 'Name or password is wrong',
    next: 'Check the name and the password; the first administrator is called admin.',
  },
  'token-expired': {
    status: 401,
    title: 'The token has expired',
    next: 'Sign in again with POST /api/v1/auth/login.',
  },
  'sign-in-again': {
    status: 403,
    title: 'Sign in again',
    next: 'The token has expired: sign in again and register or beat with the new one.',
  },
  forbidden: { status: 403, title: 'Not allowed', next: 'Ask an administrator for the role this needs.' },
  'address-not-allowed': {
    status: 403,
    title: 'This address may not connect',
    next: 'The vendor has limited access by address (ALLOWED_IPS): ask to have yours added.',
  },
  'join-token-invalid': {
    status: 403,
    title: 'The join token is not valid',
    next: 'Ask the vendor for a new join token: it may be used, revoked, expired or mistyped.',
  },
  'join-token-used': {
    status: 403,
    title: 'The join token was used already',
    next: 'A join token works once: ask the vendor for a new one.',
  },
  'join-token-expired': {
    status: 403,
    title: 'The join token has expired',
    next: 'Ask the vendor for a new join token.',
  },
  'password-join-refused': {
    status: 403,
    title: 'Joining by password is off',
    next: 'This manager runs in production: use a join token (muster token create).',
  },
  'identity-taken': {
    status: 409,
    title: 'This identity belongs to another key',
    next: 'Another machine holds this AGENT_ID: choose another AGENT_ID, or wait until the old one is lost and join with a new token.',
  },
  'orchestrator-revoked': {
    status: 403,
    title: 'This orchestrator was removed',
    next: 'The vendor has deregistered this machine: join again with a new token.',
  },
  'joining-disabled': {
    status: 403,
    title: 'Only local orchestrators may join',
    next: 'ENABLE_DISTRIBUTED is false on the manager.',
  },
  'not-found': { status: 404, title: 'Not found', next: 'Check the id; list what exists first.' },
  'method-not-allowed': {
    status: 405,
    title: 'Method not allowed',
    next: 'See /openapi.json for the methods of this path.',
  },
  'nothing-fits': {
    status: 409,
    title: 'No orchestrator can take this agent',
    next: 'See "orchestrators" in the answer: each one says why not.',
  },
  'pin-conflict': {
    status: 409,
    title: 'The wishes contradict each other',
    next: 'Make orchestrator_id and preferred_container name the same orchestrator, or leave one out.',
  },
  'already-there': {
    status: 409,
    title: 'The agent is there already',
    next: 'Choose another target orchestrator.',
  },
  'agent-busy': {
    status: 409,
    title: 'The agent is being changed',
    next: 'Wait until the stop or move in progress has ended, then try again.',
  },
  'agents-remain': {
    status: 409,
    title: 'Agents remain on this orchestrator',
    next: 'Stop or move them, bring the machine back, or repeat with force=true if the machine is dead for good.',
  },
  'name-taken': { status: 409, title: 'The name is taken', next: 'Choose another name.' },
  conflict: {
    status: 409,
    title: 'Not possible in the present state',
    next: 'Look at the present state, then try again.',
  },
  'state-too-large': {
    status: 409,
    title: 'The state is too large to move',
    next: 'Stop the agent, reduce its state directory below 1 MiB, or move without preserve_state.',
  },
  'managed-by-link': {
    status: 409,
    title: 'The manager decides about this agent',
    next: 'Use the manager, or stop the agent here: a local stop always wins.',
  },
  'body-too-large': { status: 413, title: 'The body is too large', next: 'Send at most 1 MiB.' },
  'unsupported-media-type': {
    status: 415,
    title: 'Unsupported content type',
    next: 'Send application/json.',
  },
  validation: {
    status: 422,
    title: 'The request is not valid',
    next: 'See "errors": each names the field and what it should be.',
  },
  'unknown-strategy': {
    status: 422,
    title: 'Unknown deployment strategy',
    next: 'Use one of the strategies named in "detail".',
  },
  'unknown-agent-type': {
    status: 422,
    title: 'Unknown agent type',
    next: 'Use one of the agent types named in "detail".',
  },
  'rule-unsupported': {
    status: 422,
    title: 'This disconnect rule is not supported',
    next: 'Use "continue".',
  },
  'too-many-requests': { status: 429, title: 'Too many requests', next: 'Wait as long as Retry-After says.' },
  'link-out-of-reach': {
    status: 409,
    title: 'The orchestrator is not connected',
    next: 'Wait until it is connected again; `muster nodes` shows since when it is away.',
  },
  'agent-not-running': { status: 409, title: 'The agent is not running', next: 'Start it first.' },
  'agent-command-failed': { status: 409, title: 'The agent refused the command', next: 'See "detail".' },
  overloaded: { status: 503, title: 'The manager is overloaded', next: 'Try again in a few seconds.' },
  'not-ready': { status: 503, title: 'Not ready', next: 'See /ready.' },
  internal: {
    status: 500,
    title: 'Unexpected error',
    next: 'Look for the X-Request-ID in the log and report it.',
  },
  // Link only (the status is what the HTTP upgrade or the close frame is mapped to).
  'link-version': {
    status: 426,
    title: 'The protocol versions do not match',
    next: 'Upgrade the older side: manager and orchestrator must share a link version.',
  },
  'link-protocol': {
    status: 400,
    title: 'A frame was not understood',
    next: 'Upgrade the older side; if both are current, report the frame named in the log.',
  },
  'link-proof': {
    status: 401,
    title: 'The key proof is wrong',
    next: 'The private key in the data directory does not belong to this identity: restore the data directory or join with a new token.',
  },
  'session-live': {
    status: 409,
    title: 'A session of this identity is live',
    next: 'Two machines use one identity: stop one of them, or give the copy a join token of its own.',
  },
  'session-replaced': {
    status: 409,
    title: 'The session was replaced',
    next: 'The same process connected again; nothing to do.',
  },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof entries;
export const errorCatalogue: Readonly<Record<ErrorCode, CatalogueEntry>> = entries;
export const errorCodes = Object.keys(entries) as ErrorCode[];

export interface FieldError {
  /** JSON pointer or dotted path of the field. */
  readonly path: string;
  readonly message: string;
}

export interface Failure {
  readonly code: ErrorCode;
  /** A sentence a person can act on. */
  readonly detail: string;
  readonly errors?: readonly FieldError[];
  /** Further members of the problem document (RFC 9457 extension members). */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** A caller's mistake or an expected refusal, thrown at the edges. */
export class MusterError extends Error implements Failure {
  override readonly name = 'MusterError';
  readonly code: ErrorCode;
  readonly detail: string;
  readonly errors?: readonly FieldError[];
  readonly extra?: Readonly<Record<string, unknown>>;
  constructor(
    code: ErrorCode,
    detail?: string,
    more: { errors?: readonly FieldError[]; extra?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    const text = detail ?? `${entries[code].title}. ${entries[code].next}`;
    super(text, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    this.detail = text;
    if (more.errors !== undefined) this.errors = more.errors;
    if (more.extra !== undefined) this.extra = more.extra;
  }
  static from(failure: Failure): MusterError {
    return new MusterError(failure.code, failure.detail, {
      ...(failure.errors === undefined ? {} : { errors: failure.errors }),
      ...(failure.extra === undefined ? {} : { extra: { ...failure.extra } }),
    });
  }
  get status(): number {
    return entries[this.code].status;
  }
}

/** RFC 9457 document of a failure. `next` is ours: the step that usually helps. */
export function problemOf(failure: Failure, instance?: string): Record<string, unknown> {
  const entry = entries[failure.code];
  return {
    type: `https://muster.invalid/errors/${failure.code}`,
    title: entry.title,
    status: entry.status,
    code: failure.code,
    detail: failure.detail,
    next: entry.next,
    ...(instance === undefined ? {} : { instance }),
    ...(failure.errors === undefined ? {} : { errors: failure.errors }),
    ...failure.extra,
  };
}
