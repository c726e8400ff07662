/**
 * A secret that cannot be printed by accident.
 *
 * The value lives in a private field; JSON, string conversion and inspection show `[secret]`. Only `reveal()` gives it out,
 * and a lint rule lists the files that may call it. Passwords, tokens and keys are `Secret` from the parser on.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { inspect } from 'node:util';

const shown = '[secret]';

export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself. Never log it, never put it into an error, a URL or an argument list. */
  reveal(): string {
    return this.#value;
  }

  /** Whether both hold the same text, in constant time. */
  equals(other: Secret | string): boolean {
    return constantTimeEqual(this.#value, typeof other === 'string' ? other : other.#value);
  }

  toJSON(): string {
    return shown;
  }

  toString(): string {
    return shown;
  }

  [Symbol.toPrimitive](): string {
    return shown;
  }

  [inspect.custom](): string {
    return shown;
  }
}

/** Equality whose duration tells nothing of where, or whether, the two differ; lengths may differ too. */
export function constantTimeEqual(left: string | Uint8Array, right: string | Uint8Array): boolean {
  return timingSafeEqual(
    createHash('sha256').update(left).digest(),
    createHash('sha256').update(right).digest(),
  );
}
