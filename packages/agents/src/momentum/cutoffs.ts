/**
 * Rebalance cut-offs: the instants at which the book is computed.
 *
 * Exchange calendar: the last trading day of each month; a month still running has none. The newest slot of all
 * counts when no weekday is left in its month: what follows it is not known yet.
 * Continuous grid: every 00:00 UTC after the first bar, up to the last bar's close.
 */
import { type Calendar, dateOf, dayMs, instantText } from '../market-data/calendar.ts';

export interface Cutoff {
  /** Index of the calendar slot whose close is the cut-off. */
  readonly slot: number;
  /** Close time of that slot, Unix ms. */
  readonly at: number;
  /** `YYYY-MM-DD` or `YYYY-MM-DDT00:00:00Z`; part of every client order id. */
  readonly name: string;
}

/** All cut-offs of a calendar in order. */
export function cutoffsOf(calendar: Calendar): Cutoff[] {
  return calendar.kind === 'exchange' ? monthEnds(calendar) : midnights(calendar);
}

function monthEnds(calendar: Calendar): Cutoff[] {
  const cutoffs: Cutoff[] = [];
  const { openAt, closeAt } = calendar;
  for (let slot = 0; slot < openAt.length; slot += 1) {
    const name = dateOf(openAt[slot] as number);
    const next = openAt[slot + 1];
    const ends =
      next === undefined
        ? isLastWeekday(openAt[slot] as number)
        : dateOf(next).slice(0, 7) !== name.slice(0, 7);
    if (ends) cutoffs.push({ slot, at: closeAt[slot] as number, name });
  }
  return cutoffs;
}

/** No weekday is left in the month after the day of `at`. */
function isLastWeekday(at: number): boolean {
  const month = dateOf(at).slice(0, 7);
  for (let day = at + dayMs; dateOf(day).slice(0, 7) === month; day += dayMs) {
    const weekday = new Date(day).getUTCDay();
    if (weekday !== 0 && weekday !== 6) return false;
  }
  return true;
}

function midnights(calendar: Calendar): Cutoff[] {
  const cutoffs: Cutoff[] = [];
  for (let slot = 0; slot < calendar.closeAt.length; slot += 1) {
    const at = calendar.closeAt[slot] as number;
    if (at % dayMs === 0) cutoffs.push({ slot, at, name: instantText(at) });
  }
  return cutoffs;
}
