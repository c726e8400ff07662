/**
 * Where a bar is expected.
 *
 * `exchange`: the union of the symbols' own bars (a trading day exists when anybody traded). `continuous`: every point of
 * the grid from the first bar to the last, traded or not. The replay clock walks these slots; cut-offs are chosen on them.
 */
import type { BarSeries } from './series.ts';

export type CalendarKind = 'exchange' | 'continuous';

export interface Calendar {
  readonly kind: CalendarKind;
  readonly intervalMs: number;
  /** Slot times, strictly ascending. */
  readonly openAt: Float64Array;
  readonly closeAt: Float64Array;
}

export const dayMs = 86_400_000;

/** Builds the calendar of a universe. Series without bars take no part. */
export function buildCalendar(
  kind: CalendarKind,
  series: readonly BarSeries[],
  intervalMs: number,
): Calendar {
  return kind === 'exchange' ? unionCalendar(series, intervalMs) : gridCalendar(series, intervalMs);
}

function unionCalendar(all: readonly BarSeries[], intervalMs: number): Calendar {
  const closeByOpen = new Map<number, number>();
  for (const series of all) {
    for (let index = 0; index < series.openAt.length; index += 1) {
      closeByOpen.set(series.openAt[index] as number, series.closeAt[index] as number);
    }
  }
  const openAt = Float64Array.from(closeByOpen.keys()).sort();
  const closeAt = openAt.map((at) => closeByOpen.get(at) as number);
  return { kind: 'exchange', intervalMs, openAt, closeAt };
}

function gridCalendar(all: readonly BarSeries[], intervalMs: number): Calendar {
  let first = Number.POSITIVE_INFINITY;
  let last = Number.NEGATIVE_INFINITY;
  for (const series of all) {
    if (series.openAt.length === 0) continue;
    first = Math.min(first, series.openAt[0] as number);
    last = Math.max(last, series.openAt.at(-1) as number);
  }
  const length = last >= first ? Math.floor((last - first) / intervalMs) + 1 : 0;
  const openAt = Float64Array.from({ length }, (_, index) => first + index * intervalMs);
  return { kind: 'continuous', intervalMs, openAt, closeAt: openAt.map((at) => at + intervalMs) };
}

/** `YYYY-MM-DD` of an instant, UTC. */
export function dateOf(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}

/** `YYYY-MM-DDTHH:MM:SSZ` of an instant. */
export function instantText(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`;
}

/**
 * Open and close of the New York session of a date (09:30 to 16:00 local), as Unix ms. Daylight saving time follows the
 * rule since 2007 (second Sunday of March to first Sunday of November). Early closes are not modelled: they move no daily bar.
 */
export function newYorkSession(date: string): { openAt: number; closeAt: number } {
  const midnight = Date.parse(`${date}T00:00:00Z`);
  const year = Number(date.slice(0, 4));
  const summer = midnight >= sundayOf(year, 2, 2) && midnight < sundayOf(year, 10, 1);
  const offsetMs = (summer ? 4 : 5) * 3_600_000;
  return { openAt: midnight + offsetMs + 9.5 * 3_600_000, closeAt: midnight + offsetMs + 16 * 3_600_000 };
}

function sundayOf(year: number, month: number, nth: number): number {
  const first = Date.UTC(year, month, 1);
  const firstSunday = first + ((7 - new Date(first).getUTCDay()) % 7) * dayMs;
  return firstSunday + (nth - 1) * 7 * dayMs;
}

/** Runs of absent grid points between two neighbouring bars: `missing` points after the bar at `afterOpenAt`. */
export function gapsOf(series: BarSeries, intervalMs: number): { afterOpenAt: number; missing: number }[] {
  const gaps: { afterOpenAt: number; missing: number }[] = [];
  for (let index = 1; index < series.openAt.length; index += 1) {
    const previous = series.openAt[index - 1] as number;
    const missing = Math.round(((series.openAt[index] as number) - previous) / intervalMs) - 1;
    if (missing > 0) gaps.push({ afterOpenAt: previous, missing });
  }
  return gaps;
}
