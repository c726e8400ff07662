/**
 * How a command fails: what happened, why, and the next step, with the exit code that belongs to it.
 *
 * Everything a person can meet is one of these; any other exception is an error inside muster. No failure carries a secret.
 */
import { type ExitCode, exitCode, exitCodeOfStatus } from './exit-codes.ts';
import { printable } from './terminal/text.ts';

export interface FailureFacts {
  readonly what: string;
  readonly why?: readonly string[];
  readonly next?: string;
  readonly code: ExitCode;
  /** The machine-readable document shown with `-o json`. */
  readonly document?: Readonly<Record<string, unknown>>;
}

export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
  readonly what: string;
  readonly why: readonly string[];
  readonly next: string | undefined;
  readonly code: ExitCode;
  readonly document: Readonly<Record<string, unknown>>;

  constructor(facts: FailureFacts, cause?: unknown) {
    super(facts.what, cause === undefined ? undefined : { cause });
    this.what = facts.what;
    this.why = facts.why ?? [];
    this.next = facts.next;
    this.code = facts.code;
    this.document = facts.document ?? {
      title: facts.what,
      ...(this.why.length > 0 ? { detail: this.why.join(' ') } : {}),
      ...(facts.next === undefined ? {} : { next: facts.next }),
    };
  }
}

/** Wrong usage: the arguments make no sense. */
export function usageFailure(what: string, next?: string): CommandFailure {
  return new CommandFailure({ what, code: exitCode.usage, ...(next === undefined ? {} : { next }) });
}

/** The failure of a request that was answered with `status` and, usually, a problem document. */
export function failureOfAnswer(status: number, body: unknown): CommandFailure {
  const problem = isRecord(body) ? body : {};
  const title = textOf(problem['title']) ?? `The manager answered ${status}`;
  const detail = withoutTitle(textOf(problem['detail']), title);
  const lists = [...fieldErrors(problem), ...reasonsWhyNot(problem)];
  const why = detail === undefined ? lists : [detail, ...lists.filter((line) => !says(detail, line))];
  const next = nextStep(status, problem);
  return new CommandFailure({
    what: title,
    why: why.filter((line, index) => line.replace(/\.$/, '') !== title && why.indexOf(line) === index),
    ...(next === undefined || detail?.includes(next) === true ? {} : { next }),
    code: exitCodeOfStatus(status),
    document: isRecord(body) ? body : { status, title },
  });
}

/** "The request is not valid: /name must be …" under the title "The request is not valid" says it twice. */
function withoutTitle(detail: string | undefined, title: string): string | undefined {
  return detail?.startsWith(`${title}: `) === true ? detail.slice(title.length + 2) : detail;
}

/** Whether a sentence has told already what a line of a list tells. */
function says(sentence: string, line: string): boolean {
  const what = line.slice(line.indexOf(': ') + 2);
  return sentence.includes(what.replace(/^must be one of /, ''));
}

/** The catalogue's step, but for what reads otherwise at a command line: there the members it points to are shown. */
function nextStep(status: number, problem: Readonly<Record<string, unknown>>): string | undefined {
  if (status === 401 && problem['code'] !== 'bad-credentials') return 'Sign in with: muster login';
  const customer = /^Customer "([\w.-]+)" does not exist/.exec(textOf(problem['detail']) ?? '')?.[1];
  if (customer !== undefined) return `Add it with: muster customers add ${customer}`;
  const next = textOf(problem['next']);
  return next !== undefined && /"(errors|orchestrators|detail)"/.test(next) ? undefined : next;
}

function fieldErrors(problem: Readonly<Record<string, unknown>>): string[] {
  const errors = Array.isArray(problem['errors']) ? problem['errors'] : [];
  return errors.filter(isRecord).map((each) => `${String(each['path'])}: ${String(each['message'])}`);
}

/** "Nothing fits" names each orchestrator with its reason; "agents remain" names the agents. */
function reasonsWhyNot(problem: Readonly<Record<string, unknown>>): string[] {
  const orchestrators = problem['orchestrators'];
  const lines: string[] = [];
  if (Array.isArray(orchestrators)) {
    for (const each of orchestrators.filter(isRecord)) {
      const name = each['container_name'] ?? each['name'] ?? each['container_id'] ?? 'orchestrator';
      lines.push(`${plainText(name)}: ${plainText(each['reason'] ?? each['why'])}`);
    }
  } else if (isRecord(orchestrators)) {
    for (const [name, reason] of Object.entries(orchestrators)) lines.push(`${name}: ${String(reason)}`);
  }
  if (Array.isArray(problem['agents'])) lines.push(`agents: ${problem['agents'].map(String).join(', ')}`);
  return lines;
}

/** A failure as the lines for a person; `paint` marks the words that lead them. */
export function failureLines(
  failure: CommandFailure,
  paint: (format: 'red' | 'dim', text: string) => string,
): readonly string[] {
  const lines = [`${paint('red', 'muster:')} ${printable(failure.what)}`];
  for (const line of failure.why) lines.push(`  ${paint('dim', 'why ')}  ${printable(line)}`);
  if (failure.next !== undefined) lines.push(`  ${paint('dim', 'next')}  ${printable(failure.next)}`);
  return lines;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Text as it is, anything else as JSON, nothing as `otherwise`. */
export function plainText(value: unknown, otherwise = ''): string {
  if (value === undefined || value === null) return otherwise;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
