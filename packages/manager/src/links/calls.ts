/**
 * Calls over a link: questions to an orchestrator and their answers, with a time limit each.
 *
 * An answer counts only from the link that was asked. A link that closes fails its calls at once; nobody waits in vain.
 */
import { randomUUID } from 'node:crypto';
import {
  type ErrorCode,
  errorCodes,
  type ManagerFrameOf,
  MusterError,
  type OrchestratorFrameOf,
} from '@muster/contract';

export type CallOperation = ManagerFrameOf<'call'>['op'];

export interface CallRequest {
  readonly op: CallOperation;
  readonly args: Record<string, unknown>;
  readonly limitMs: number;
}

/** Receives a followed stream. */
export interface StreamReader {
  readonly onLines: (lines: readonly unknown[]) => void;
  /** Called once; the error is null when the stream ended by itself. */
  readonly onEnd: (error: MusterError | null) => void;
}

interface OpenCall {
  readonly link: string;
  readonly answer: (frame: OrchestratorFrameOf<'answer'>) => void;
  readonly chunk: (frame: OrchestratorFrameOf<'chunk'>) => void;
  readonly fail: (error: MusterError) => void;
}

export type SendCall = (frame: ManagerFrameOf<'call'>) => void;

/** Calls open on one link at a time. */
const CALLS_PER_LINK = 256;

export class Calls {
  readonly #open = new Map<string, OpenCall>();

  /** Ask once. Rejects with a `MusterError` when refused, too late or cut off. */
  ask(link: string, send: SendCall, request: CallRequest): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const id = this.#begin(link, {
        answer: (frame) => {
          end();
          if (frame.ok) resolve(frame.value);
          else reject(refusalOf(frame));
        },
        chunk: () => {},
        fail: (error) => {
          end();
          reject(error);
        },
      });
      const timer = setTimeout(() => {
        end();
        reject(
          new MusterError(
            'link-out-of-reach',
            `The orchestrator did not answer within ${request.limitMs} ms.`,
          ),
        );
      }, request.limitMs);
      const end = (): void => {
        clearTimeout(timer);
        this.#open.delete(id);
      };
      send({ t: 'call', id, op: request.op, args: request.args });
    });
  }

  /** Ask for a stream. The returned function stops it. */
  follow(
    link: string,
    send: SendCall,
    op: CallOperation,
    args: Record<string, unknown>,
    reader: StreamReader,
  ): () => void {
    let open = true;
    const end = (error: MusterError | null): void => {
      if (!open) return;
      open = false;
      this.#open.delete(id);
      reader.onEnd(error);
    };
    const id = this.#begin(link, {
      answer: (frame) => {
        if (!frame.ok) return end(refusalOf(frame));
        const lines = (frame.value as { lines?: unknown } | undefined)?.lines;
        if (Array.isArray(lines)) reader.onLines(lines);
      },
      chunk: (frame) => {
        if (frame.lines.length > 0) reader.onLines(frame.lines);
        if (frame.done) end(null);
      },
      fail: end,
    });
    send({ t: 'call', id, op, args });
    return () => {
      if (!open) return;
      open = false;
      this.#open.delete(id);
      send({ t: 'call', id: randomUUID(), op: 'cancel', args: { id } });
    };
  }

  /** Returns false when nobody asked this link for it. */
  onFrame(link: string, frame: OrchestratorFrameOf<'answer'> | OrchestratorFrameOf<'chunk'>): boolean {
    const call = this.#open.get(frame.id);
    if (call === undefined || call.link !== link) return false;
    if (frame.t === 'answer') call.answer(frame);
    else call.chunk(frame);
    return true;
  }

  onLinkClosed(link: string): void {
    const cut = new MusterError(
      'link-out-of-reach',
      'The connection to the orchestrator closed before it answered.',
    );
    for (const call of [...this.#open.values()]) if (call.link === link) call.fail(cut);
  }

  #begin(link: string, call: Omit<OpenCall, 'link'>): string {
    let open = 0;
    for (const other of this.#open.values()) if (other.link === link) open += 1;
    if (open >= CALLS_PER_LINK) {
      throw new MusterError(
        'overloaded',
        'Too many questions wait for this orchestrator already. Try again in a few seconds.',
      );
    }
    const id = randomUUID();
    this.#open.set(id, { link, ...call });
    return id;
  }
}

/** What an orchestrator may refuse with; everything else is its command having failed. */
const relayed: ReadonlySet<ErrorCode> = new Set([
  'not-found',
  'agent-not-running',
  'agent-command-failed',
  'state-too-large',
  'conflict',
]);

function refusalOf(frame: OrchestratorFrameOf<'answer'>): MusterError {
  const code =
    errorCodes.find((each) => each === frame.error?.code && relayed.has(each)) ?? 'agent-command-failed';
  return new MusterError(code, frame.error?.message || 'The orchestrator refused without a reason.');
}
