/**
 * Randomness for the machines, from the operating system.
 *
 * Bytes are drawn in batches, because one system call per id would cost more than the id; bytes that were handed out are
 * wiped from the pool, so what was given away cannot be read from this process again.
 */
import { randomFillSync } from 'node:crypto';
import type { Random } from '@muster/core';

const poolBytes = 4096;
const identifierBytes = 16;
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

/** Cryptographic randomness behind the `Random` port. */
export function systemRandom(): Random {
  const pool = Buffer.alloc(poolBytes);
  let used = poolBytes;
  const take = <T>(bytes: number, read: (slice: Buffer) => T): T => {
    if (used + bytes > poolBytes) {
      randomFillSync(pool);
      used = 0;
    }
    const slice = pool.subarray(used, used + bytes);
    used += bytes;
    const value = read(slice);
    slice.fill(0);
    return value;
  };
  return {
    id: (prefix) => `${prefix}_${take(identifierBytes, base32)}`,
    token: () => take(identifierBytes, (slice) => slice.toString('hex')),
    fraction: () => take(7, (slice) => (slice.readUIntBE(0, 6) * 32 + (slice.readUInt8(6) >>> 3)) / 2 ** 53),
  };
}

/** Lower-case Crockford base32 of the bytes as one big number, first digit most significant: 16 bytes give 26 digits. */
export function base32(bytes: Uint8Array): string {
  const digits = Math.ceil((bytes.length * 8) / 5);
  let text = '';
  let pending = 0;
  let pendingBits = digits * 5 - bytes.length * 8;
  for (const byte of bytes) {
    pending = (pending << 8) | byte;
    pendingBits += 8;
    while (pendingBits >= 5) {
      pendingBits -= 5;
      text += alphabet[(pending >>> pendingBits) & 31];
      pending &= (1 << pendingBits) - 1;
    }
  }
  return text;
}
