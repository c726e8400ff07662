/**
 * From all scores to one table of target weights: a pure function, so that every member of a deployment computes the
 * same book from the same scores. Ranks cover all `ok` names; only the chosen ones carry side and weight.
 */
import { byCodeUnit } from '../market-data/order.ts';
import type { MomentumParams } from './params.ts';
import type { Score } from './score.ts';

export interface Target {
  readonly id: string;
  readonly score: Score;
  /** 1 = strongest; undefined unless `ok`. */
  readonly rank?: number;
  readonly side?: 1 | -1;
  /** Signed share of equity; undefined when the name is not held. */
  readonly weight?: number;
}

/** The targets of all scored names, by id. */
export function buildBook(scores: readonly Score[], params: MomentumParams): Target[] {
  const ranked = scores
    .filter((score) => score.signal !== undefined)
    .sort((a, b) => rXs(b) - rXs(a) || byCodeUnit(a.id, b.id));
  const chosen = chooseSides(ranked, params);
  const weights = chosen.map(({ score, side, divisor }) => {
    const sigma = score.signal?.sigma ?? Number.NaN;
    return side * Math.min(params.volTarget / Math.max(sigma, params.volFloor) / divisor, params.maxWeight);
  });
  let gross = 0;
  for (const weight of weights) gross += Math.abs(weight);
  if (gross > params.maxGross)
    for (const index of weights.keys())
      weights[index] = (weights[index] as number) * (params.maxGross / gross);

  const rankOf = new Map(ranked.map((score, index) => [score.id, index + 1]));
  const held = new Map(
    chosen.map(({ score, side }, index) => [score.id, { side, weight: weights[index] as number }]),
  );
  return [...scores]
    .sort((a, b) => byCodeUnit(a.id, b.id))
    .map((score) => {
      const rank = rankOf.get(score.id);
      return { id: score.id, score, ...(rank === undefined ? {} : { rank }), ...held.get(score.id) };
    });
}

interface Choice {
  readonly score: Score;
  readonly side: 1 | -1;
  readonly divisor: number;
}

/** In rank order. A name that the filter drops is not replaced and the divisor stays q. */
function chooseSides(ranked: readonly Score[], params: MomentumParams): Choice[] {
  const count = ranked.length;
  if (count === 0) return [];
  const q = Math.max(1, Math.floor(count * params.topQuantile + 1e-9));
  const chosen: Choice[] = [];
  const shorts = params.allowShort && count >= 2 * q;
  for (const [index, score] of ranked.entries()) {
    const trend = score.signal?.rTs ?? 0;
    if (index < q && (!params.absFilter || trend > 0)) chosen.push({ score, side: 1, divisor: q });
    if (shorts && index >= count - q && (!params.absFilter || trend < 0))
      chosen.push({ score, side: -1, divisor: q });
  }
  return chosen;
}

function rXs(score: Score): number {
  return score.signal?.rXs ?? Number.NaN;
}
