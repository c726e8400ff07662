/**
 * Durable key-value state kept by the orchestrator on the agent's behalf.
 *
 * A request lives until it is answered: while the daemon is away it waits, and after every new welcome all unanswered
 * requests are sent again in their original order under their original ids. All three operations are idempotent, so a
 * request that was carried out but not answered does no harm the second time.
 */
import type { AgentFrame } from '@muster/contract';

/** Same bound as the contract's AGENT_STATE_VALUE_MAX_BYTES. */
export const stateValueMaxBytes = 262_144;
const keyMaxCharacters = 200;

type StateFrame = Extract<AgentFrame, { t: 'state.put' | 'state.get' | 'state.delete' }>;

/** A request was refused by the orchestrator; `code` is the protocol's error code. */
export class StateRefused extends Error {
  override readonly name = 'StateRefused';
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export interface AgentState {
  /** The stored value, or null when the key is absent. */
  get(key: string): Promise<unknown>;
  /** Resolves once the value is durable on the orchestrator. Throws TypeError or RangeError at once for an unusable key or value. */
  put(key: string, value: unknown): Promise<void>;
  /** Resolves once the removal is durable; removing an absent key succeeds. */
  delete(key: string): Promise<void>;
}

interface Waiting {
  readonly frame: StateFrame;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class StateClient implements AgentState {
  readonly #waiting = new Map<string, Waiting>();
  readonly #send: (frame: AgentFrame) => boolean;
  #next = 1;

  constructor(send: (frame: AgentFrame) => boolean) {
    this.#send = send;
  }

  /** Requests that have no answer yet. */
  get pending(): number {
    return this.#waiting.size;
  }

  get(key: string): Promise<unknown> {
    return this.#request({ t: 'state.get', id: this.#id(), key: checkedKey(key) });
  }

  async put(key: string, value: unknown): Promise<void> {
    const text: string | undefined = JSON.stringify(value);
    if (text === undefined) throw new TypeError(`the value of state key "${key}" has no JSON form`);
    const bytes = Buffer.byteLength(text);
    if (bytes > stateValueMaxBytes) {
      throw new RangeError(
        `the value of state key "${key}" has ${bytes} bytes; at most ${stateValueMaxBytes} are allowed`,
      );
    }
    // The value is copied through its text so that a later change by the caller cannot alter a resent request.
    await this.#request({
      t: 'state.put',
      id: this.#id(),
      key: checkedKey(key),
      value: JSON.parse(text) as unknown,
    });
  }

  async delete(key: string): Promise<void> {
    await this.#request({ t: 'state.delete', id: this.#id(), key: checkedKey(key) });
  }

  /** Sends everything unanswered again, oldest first; called after each welcome. */
  resend(): void {
    for (const { frame } of this.#waiting.values()) this.#send(frame);
  }

  /** Takes a `result` frame; one that belongs to no request is ignored (an answer to a request answered before). */
  settle(
    id: string,
    ok: boolean,
    value: unknown,
    error: { code: string; message: string } | undefined,
  ): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    if (ok) waiting.resolve(value ?? null);
    else
      waiting.reject(
        new StateRefused(error?.code ?? 'refused', error?.message ?? 'The orchestrator refused the request.'),
      );
  }

  #id(): string {
    const id = `s${this.#next}`;
    this.#next += 1;
    return id;
  }

  #request(frame: StateFrame): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(frame.id, { frame, resolve, reject });
      this.#send(frame);
    });
  }
}

function checkedKey(key: string): string {
  if (typeof key !== 'string' || key.length === 0 || key.length > keyMaxCharacters) {
    throw new TypeError(`a state key has 1 to ${keyMaxCharacters} characters`);
  }
  return key;
}
