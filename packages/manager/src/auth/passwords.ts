/**
 * Password hashes: argon2id in a bounded pool.
 *
 * Hashing is meant to be expensive, so only a few run at once and only a few more may wait; beyond that the answer is
 * "overloaded", and everything else of the process goes on. Checking the password of a user that does not exist costs the
 * same as checking a wrong one. Text form: PHC, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
 */
import { argon2, randomBytes } from 'node:crypto';
import { MusterError } from '@muster/contract';
import { constantTimeEqual, type Secret } from '@muster/runtime';

export interface HashCost {
  readonly memoryKibibytes: number;
  readonly passes: number;
}

/** OWASP's first recommendation for argon2id: 19 MiB, 2 passes, 1 lane. */
const defaultCost: HashCost = { memoryKibibytes: 19_456, passes: 2 };

const RUNNING_LIMIT = 2;
const WAITING_LIMIT = 64;
const HASH_BYTES = 32;
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64').replaceAll('=', '');

export class Passwords {
  readonly #cost: HashCost;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  /** What the password of a user that does not exist is compared with: nobody's hash, at the same cost. */
  readonly #decoy: string;

  constructor(cost: HashCost = defaultCost) {
    this.#cost = cost;
    this.#decoy = hashText(cost, randomBytes(16), randomBytes(HASH_BYTES));
  }

  async hash(password: Secret): Promise<string> {
    const salt = randomBytes(16);
    const hash = await this.#derive(password, salt, this.#cost, HASH_BYTES);
    return hashText(this.#cost, salt, hash);
  }

  /** Whether the password fits `stored`; undefined (no such user) takes as long and is false. */
  async fits(password: Secret, stored: string | undefined): Promise<boolean> {
    const parsed = parseHash(stored ?? this.#decoy);
    if (parsed === null) return false;
    const derived = await this.#derive(password, parsed.salt, parsed.cost, parsed.hash.length);
    return constantTimeEqual(derived, parsed.hash) && stored !== undefined;
  }

  async #derive(password: Secret, salt: Buffer, cost: HashCost, length: number): Promise<Buffer> {
    await this.#enter();
    try {
      return await deriveArgon2id(password, salt, cost, length);
    } finally {
      // The place is handed on, so that nobody slips in between.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  #enter(): Promise<void> {
    if (this.#running < RUNNING_LIMIT) {
      this.#running += 1;
      return Promise.resolve();
    }
    if (this.#waiting.length >= WAITING_LIMIT) {
      return Promise.reject(
        new MusterError('overloaded', 'Too many sign-ins at once. Try again in a few seconds.'),
      );
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

function deriveArgon2id(password: Secret, salt: Buffer, cost: HashCost, length: number): Promise<Buffer> {
  const parameters = {
    message: password.reveal(),
    nonce: salt,
    parallelism: 1,
    tagLength: length,
    memory: cost.memoryKibibytes,
    passes: cost.passes,
  };
  return new Promise((resolve, reject) => {
    argon2('argon2id', parameters, (error, derived) => (error === null ? resolve(derived) : reject(error)));
  });
}

function hashText(cost: HashCost, salt: Uint8Array, hash: Uint8Array): string {
  return `$argon2id$v=19$m=${cost.memoryKibibytes},t=${cost.passes},p=1$${base64(salt)}$${base64(hash)}`;
}

function parseHash(text: string): { salt: Buffer; hash: Buffer; cost: HashCost } | null {
  const match = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=1\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(
    text,
  );
  if (match === null) return null;
  const [, memory = '', passes = '', salt = '', hash = ''] = match;
  return {
    salt: Buffer.from(salt, 'base64'),
    hash: Buffer.from(hash, 'base64'),
    cost: { memoryKibibytes: Number(memory), passes: Number(passes) },
  };
}
