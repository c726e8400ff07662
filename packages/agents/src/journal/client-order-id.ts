/**
 * The deterministic client order id: `dm` and 26 base-32 characters that hash the decision alone.
 *
 * No host, pid, time, randomness or placement epoch goes in, so that a restarted or moved agent, or a second copy of it,
 * derives the same id for the same decision.
 */
import { createHash } from 'node:crypto';

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';

export interface OrderDecision {
  readonly agentId: string;
  readonly deploymentId: string;
  /** Name of the rebalance cut-off, or of what else caused the order. */
  readonly cutoffId: string;
  readonly instrument: string;
  readonly side: 'buy' | 'sell';
  readonly purpose: string;
  /** From 1. */
  readonly attempt: number;
}

/** 28 characters of `[a-z2-7]`. */
export function clientOrderId(decision: OrderDecision): string {
  const text = [
    decision.agentId,
    decision.deploymentId,
    decision.cutoffId,
    decision.instrument,
    decision.side,
    decision.purpose,
    decision.attempt,
  ].join('|');
  return `dm${base32(createHash('sha256').update(text).digest()).slice(0, 26)}`;
}

/** RFC 4648 base 32 in lower case, without padding. */
function base32(bytes: Uint8Array): string {
  let text = '';
  let value = 0;
  let bits = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += alphabet[(value >>> bits) & 31];
      value &= (1 << bits) - 1;
    }
  }
  return bits > 0 ? text + alphabet[(value << (5 - bits)) & 31] : text;
}
