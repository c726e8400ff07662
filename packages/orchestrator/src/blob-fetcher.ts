/**
 * Asks the manager for blobs and hands each answer to everybody who waits for that digest.
 */
import type { OrchestratorFrame } from '@muster/contract';

const ANSWER_LIMIT_MS = 30_000;

interface Waiting {
  readonly resolve: (bytes: Buffer) => void;
  readonly reject: (error: Error) => void;
}

export class BlobFetcher {
  readonly #send: (frame: OrchestratorFrame) => boolean;
  readonly #waiting = new Map<string, Set<Waiting>>();

  constructor(send: (frame: OrchestratorFrame) => boolean) {
    this.#send = send;
  }

  /** The bytes, not yet verified. @throws Error saying why there are none. */
  fetch(digest: string): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => settle(() => reject(new Error('The manager did not send the state in time.'))),
        ANSWER_LIMIT_MS,
      );
      const settle = (how: () => void): void => {
        clearTimeout(timer);
        this.#waiting.get(digest)?.delete(waiting);
        how();
      };
      const waiting: Waiting = {
        resolve: (bytes) => settle(() => resolve(bytes)),
        reject: (error) => settle(() => reject(error)),
      };
      const others = this.#waiting.get(digest) ?? new Set();
      this.#waiting.set(digest, others.add(waiting));
      if (!this.#send({ t: 'blobGet', digest }))
        waiting.reject(new Error('The manager is out of reach, and its state of the agent with it.'));
    });
  }

  /** `data` is base64; null: the manager does not have it. */
  arrived(digest: string, data: string | null): void {
    for (const waiting of [...(this.#waiting.get(digest) ?? [])]) {
      if (data === null) waiting.reject(new Error('The manager does not have the state that it ordered.'));
      else waiting.resolve(Buffer.from(data, 'base64'));
    }
  }

  linkDown(): void {
    for (const each of this.#waiting.values())
      for (const waiting of [...each])
        waiting.reject(new Error('The link was lost while the state was on its way.'));
  }
}
