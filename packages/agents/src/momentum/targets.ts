/** The canonical text of target tables: one line per epoch and symbol, numbers in shortest round-trip form. */
import { createHash } from 'node:crypto';
import type { Target } from './book.ts';

export const targetsHeader = 'cutoff,id,status,n_bars,r_xs,r_ts,sigma,rank,side,weight';

/** Lines without line ends, in the order of the targets (by id). */
export function targetLines(cutoff: string, targets: readonly Target[]): string[] {
  return targets.map(({ id, score, rank, side, weight }) => {
    const { rXs, rTs, sigma } = score.signal ?? {};
    return [cutoff, id, score.status, score.bars, rXs, rTs, sigma, rank, side, weight]
      .map((cell) => cell ?? '')
      .join(',');
  });
}

/** SHA-256 (hex) of the canonical text: two agents agree on a decision exactly when these are equal. */
export function targetsDigest(cutoff: string, targets: readonly Target[]): string {
  return createHash('sha256').update(targetLines(cutoff, targets).join('\n')).digest('hex');
}
