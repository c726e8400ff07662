/**
 * Commands and their answers.
 *
 * A command is carried out at most once per process: its id maps to one promise of one answer, and a command that is
 * delivered again (the daemon restarted before it saw the answer) gets that same answer. The newest
 * `answersKept` answers are remembered. Effects that must also survive a restart of the agent are the handler's business: it
 * is given the id.
 */
import type { AgentFrame } from '@muster/contract';

type AnswerFrame = Extract<AgentFrame, { t: 'answer' }>;

export interface AgentCommand {
  readonly id: string;
  readonly verb: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/** Returns the answer's value (JSON); throws `CommandRefused` for a coded refusal. */
export type CommandHandler = (command: AgentCommand) => unknown;

/** Thrown by a handler: the command was understood and refused. `code` is stable, the message is for a person. */
export class CommandRefused extends Error {
  override readonly name = 'CommandRefused';
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

const answersKept = 256;

export class CommandDesk {
  readonly #handlers = new Map<string, CommandHandler>();
  readonly #answers = new Map<string, Promise<AnswerFrame>>();

  handle(verb: string, handler: CommandHandler): void {
    this.#handlers.set(verb, handler);
  }

  /** The one answer to this command id; never rejects. */
  answer(command: AgentCommand): Promise<AnswerFrame> {
    const known = this.#answers.get(command.id);
    if (known !== undefined) return known;
    const answer = this.#carryOut(command);
    this.#answers.set(command.id, answer);
    if (this.#answers.size > answersKept) {
      const oldest = this.#answers.keys().next();
      if (!oldest.done) this.#answers.delete(oldest.value);
    }
    return answer;
  }

  async #carryOut(command: AgentCommand): Promise<AnswerFrame> {
    const refuse = (code: string, message: string): AnswerFrame => ({
      t: 'answer',
      id: command.id,
      ok: false,
      error: { code, message },
    });
    const handler = this.#handlers.get(command.verb);
    if (handler === undefined) {
      const known = [...this.#handlers.keys()].sort().join(', ');
      return refuse('unknown-verb', `This agent knows no verb "${command.verb}". Known: ${known || 'none'}.`);
    }
    try {
      const value: unknown = await handler(command);
      return value === undefined
        ? { t: 'answer', id: command.id, ok: true }
        : { t: 'answer', id: command.id, ok: true, value };
    } catch (error) {
      if (error instanceof CommandRefused) return refuse(error.code, error.message);
      return refuse('failed', error instanceof Error ? error.message : 'The command failed.');
    }
  }
}
