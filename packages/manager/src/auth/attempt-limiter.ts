/**
 * Limits on guessing: sign-ins and joins.
 *
 * Only failures count. Per account and address a few are free, then each wait doubles; an address that tries many accounts
 * and an account that is tried from many addresses are slowed down too, but an address that signed in to this account
 * lately is exempt from the account-wide limit, so that nobody can lock the owner out. Few attempts may be under way at a
 * time: a thousand at once are not a thousand free ones, yet ten machines behind one address that sign in together all
 * get in. Existing and unknown accounts are alike. Every `begin` that returned 0 is followed by one `end`.
 */

interface Bucket {
  failures: number;
  underWay: number;
  lastAt: number;
}

export interface LimiterOptions {
  /** Failures without any wait. */
  readonly freePerPair?: number;
  readonly freePerAddress?: number;
  readonly freePerAccount?: number;
}

/** A series of failures is forgotten after this time without any, ms. */
const FORGET_MS = 15 * 60_000;
/** Attempts that may be under way at a time, above the free ones. */
const UNDER_WAY_MORE = 15;
const LONGEST_WAIT_MS = 60_000;
const KNOWN_GOOD_MS = 24 * 3_600_000;
const BUCKETS_LIMIT = 50_000;

export class AttemptLimiter {
  readonly #free: Required<LimiterOptions>;
  readonly #buckets = new Map<string, Bucket>();
  readonly #knownGood = new Map<string, number>();

  constructor({ freePerPair = 5, freePerAddress = 30, freePerAccount = 100 }: LimiterOptions = {}) {
    this.#free = { freePerPair, freePerAddress, freePerAccount };
  }

  /** Begin an attempt at `nowMs`. Returns 0, or how long to wait, ms; then nothing was counted. */
  begin(account: string, address: string, nowMs: number): number {
    const { buckets } = this.#bucketsOf(account, address, nowMs);
    let waitMs = 0;
    for (const { key, free } of buckets) waitMs = Math.max(waitMs, this.#waitMs(key, free, nowMs));
    if (waitMs > 0) return waitMs;
    for (const { key } of buckets) this.#change(key, (bucket) => (bucket.underWay += 1));
    return 0;
  }

  /** The attempt has ended. After a right one the address is known for this account, and its failures are forgotten. */
  end(account: string, address: string, nowMs: number, isRight: boolean): void {
    const { pair, buckets } = this.#bucketsOf(account, address, nowMs);
    for (const { key } of buckets) {
      this.#change(key, (bucket) => {
        bucket.underWay = Math.max(0, bucket.underWay - 1);
        if (isRight && key === pair) bucket.failures = 0;
        if (isRight) return;
        bucket.failures += 1;
        bucket.lastAt = nowMs;
      });
    }
    if (!isRight) return;
    this.#knownGood.delete(pair);
    this.#knownGood.set(pair, nowMs);
    if (this.#knownGood.size > BUCKETS_LIMIT) {
      this.#knownGood.delete(this.#knownGood.keys().next().value as string);
    }
  }

  #bucketsOf(
    account: string,
    address: string,
    nowMs: number,
  ): { pair: string; buckets: { key: string; free: number }[] } {
    const name = account.toLowerCase().slice(0, 254);
    const pair = `pair ${address} ${name}`;
    const buckets = [
      { key: pair, free: this.#free.freePerPair },
      { key: `address ${address}`, free: this.#free.freePerAddress },
    ];
    const knownSince = this.#knownGood.get(pair);
    const known = knownSince !== undefined && nowMs - knownSince < KNOWN_GOOD_MS;
    if (!known) buckets.push({ key: `account ${name}`, free: this.#free.freePerAccount });
    return { pair, buckets };
  }

  #waitMs(key: string, free: number, nowMs: number): number {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return 0;
    const sinceMs = nowMs - bucket.lastAt;
    if (sinceMs > FORGET_MS) bucket.failures = 0;
    if (bucket.underWay >= free + UNDER_WAY_MORE) return 1000;
    if (bucket.failures < free) return 0;
    const waitMs = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** Math.min(16, bucket.failures - free));
    return Math.max(0, waitMs - sinceMs);
  }

  #change(key: string, change: (bucket: Bucket) => void): void {
    const bucket = this.#buckets.get(key) ?? { failures: 0, underWay: 0, lastAt: 0 };
    change(bucket);
    this.#buckets.delete(key);
    if (bucket.failures > 0 || bucket.underWay > 0) this.#buckets.set(key, bucket);
    // The map is in order of use: the least recently used goes first.
    if (this.#buckets.size > BUCKETS_LIMIT) this.#buckets.delete(this.#buckets.keys().next().value as string);
  }
}
