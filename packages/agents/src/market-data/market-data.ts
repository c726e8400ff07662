/**
 * Market data sets: the bundled one and those under the directory that `MUSTER_MARKET_DATA` names.
 *
 * A set is a folder of CSV files, one per symbol; the file name up to the first `_` (or the dot) is the symbol. The first
 * column is `date` (exchange day) or `ts` (bar open, Unix ms UTC). A symbol is only ever matched against the folder's own
 * listing, so no configured text becomes a path.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { dayMs, newYorkSession } from './calendar.ts';
import { type DataSetTraits, dataSets } from './data-sets.ts';
import { byCodeUnit } from './order.ts';
import { type BarChecks, type BarSeries, buildSeries, type RawBar, type SeriesReport } from './series.ts';

export interface DataRequest {
  readonly source: 'bundled' | 'path';
  readonly set: string;
  /** The directory for source `path`. */
  readonly directory?: string | undefined;
  /** Symbols wanted; undefined = all the set has. */
  readonly universe?: readonly string[] | undefined;
  /** Largest accepted |close/previous - 1|. */
  readonly maxBarMove: number;
  /** Moves an operator confirmed as real: `SYMBOL@<bar open, ISO-8601 UTC>`, for a daily bar `SYMBOL@YYYY-MM-DD`. */
  readonly confirmedMoves?: readonly string[];
}

export interface MarketData {
  readonly traits: DataSetTraits;
  /** In ascending order of id (code units). */
  readonly series: readonly BarSeries[];
  readonly reports: ReadonlyMap<string, SeriesReport>;
}

/** Data that was asked for is not there; the message names the set, the symbol and what there is. */
export class DataMissing extends Error {
  override readonly name = 'DataMissing';
}

const bundledDirectory = join(import.meta.dirname, '../../data');

/** Loads a set. Throws `DataMissing` for an unknown set, an absent directory or a symbol the set has not. */
export function loadMarketData(request: DataRequest): MarketData {
  const traits = Object.hasOwn(dataSets, request.set) ? dataSets[request.set] : undefined;
  if (traits === undefined) {
    throw new DataMissing(
      `There is no data set "${request.set}"; known: ${Object.keys(dataSets).join(', ')}.`,
    );
  }
  const root = request.source === 'bundled' ? bundledDirectory : request.directory;
  if (root === undefined) {
    throw new DataMissing(
      'Data source "path" needs MUSTER_MARKET_DATA in the environment of the orchestrator.',
    );
  }
  const files = listFiles(join(root, request.set), request, traits);
  const ids = [...(request.universe ?? files.keys())].sort(byCodeUnit);
  const reports = new Map<string, SeriesReport>();
  const series = ids.map((id) => {
    const file = files.get(id);
    if (file === undefined) {
      throw new DataMissing(
        `Data set "${request.set}" has no symbol "${id}"; it has ${[...files.keys()].join(', ')}.`,
      );
    }
    const built = buildSeries(
      id,
      parseBars(readFileSync(file, 'utf8'), traits),
      checksFor(id, request, traits),
    );
    reports.set(id, built.report);
    return built.series;
  });
  return { traits, series, reports };
}

function checksFor(id: string, request: DataRequest, traits: DataSetTraits): BarChecks {
  const confirmed = (request.confirmedMoves ?? [])
    .filter((move) => move.startsWith(`${id}@`))
    .map((move) => move.slice(id.length + 1))
    .map((when) =>
      traits.intervalMs >= dayMs ? dailySpan(when.slice(0, 10), traits).openAt : Date.parse(when),
    );
  return { maxBarMove: request.maxBarMove, confirmedMoves: new Set(confirmed) };
}

function listFiles(directory: string, request: DataRequest, traits: DataSetTraits): Map<string, string> {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    throw new DataMissing(`Data set "${request.set}" is not there (source ${request.source}).`);
  }
  const files = new Map<string, string>();
  for (const name of names.sort(byCodeUnit)) {
    if (!name.endsWith('.csv')) continue;
    const stem = name.slice(0, -4);
    const id = stem.split('_')[0] ?? stem;
    if (traits.suffixes.includes(stem.slice(id.length))) files.set(id, join(directory, name));
  }
  return files;
}

/** Reads `date|ts,open,high,low,close,volume[,adj_open,adj_close]`. A cell that is no number becomes NaN, hence a bad bar. */
export function parseBars(text: string, traits: DataSetTraits): RawBar[] {
  const headerEnd = text.indexOf('\n');
  const header = text
    .slice(0, headerEnd === -1 ? undefined : headerEnd)
    .trimEnd()
    .split(',');
  const daily = header[0] === 'date';
  const adjusted = header.includes('adj_close');
  const bars: RawBar[] = [];
  for (const [index, row] of text.split('\n').entries()) {
    if (index === 0 || row === '') continue;
    const cells = row.split(',');
    const first = cells[0] as string;
    const span = daily
      ? dailySpan(first, traits)
      : { openAt: Number(first), closeAt: Number(first) + traits.intervalMs };
    if (first === '' || !Number.isFinite(span.openAt))
      throw new DataMissing(`Line ${index + 1} has no readable time: "${row.slice(0, 40)}".`);
    const bar = {
      openAt: span.openAt,
      closeAt: span.closeAt,
      open: cellNumber(cells[1]),
      high: cellNumber(cells[2]),
      low: cellNumber(cells[3]),
      close: cellNumber(cells[4]),
      volume: cellNumber(cells[5]),
    };
    bars.push(
      adjusted ? { ...bar, adjustedOpen: cellNumber(cells[6]), adjustedClose: cellNumber(cells[7]) } : bar,
    );
  }
  return bars;
}

function cellNumber(cell: string | undefined): number {
  return cell === undefined || cell === '' ? Number.NaN : Number(cell);
}

const sessions = new Map<string, { openAt: number; closeAt: number }>();

/** Sessions are remembered: all symbols of an exchange share their dates. */
function dailySpan(date: string, traits: DataSetTraits): { openAt: number; closeAt: number } {
  if (traits.calendar !== 'exchange') {
    const openAt = Date.parse(`${date}T00:00:00Z`);
    return { openAt, closeAt: openAt + dayMs };
  }
  let session = sessions.get(date);
  if (session === undefined) {
    session = newYorkSession(date);
    sessions.set(date, session);
  }
  return session;
}
