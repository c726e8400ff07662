/** The data sets this package understands: plain data, so that a configuration can be judged without loading prices. */
import type { CalendarKind } from './calendar.ts';

export interface DataSetTraits {
  readonly calendar: CalendarKind;
  readonly intervalMs: number;
  /** Ends of file names that belong to the set; others (quotes, wide tables) do not. */
  readonly suffixes: readonly string[];
}

/** The sets this program understands; `bundled` holds equity_daily only. */
export const dataSets: Readonly<Record<string, DataSetTraits>> = {
  equity_daily: { calendar: 'exchange', intervalMs: 86_400_000, suffixes: [''] },
  crypto_daily: { calendar: 'continuous', intervalMs: 86_400_000, suffixes: ['_coinbase_1d'] },
  crypto_5m: { calendar: 'continuous', intervalMs: 300_000, suffixes: ['_bittrex_5m'] },
  crypto_1m: { calendar: 'continuous', intervalMs: 60_000, suffixes: ['_coinbase_1m_trade'] },
};
