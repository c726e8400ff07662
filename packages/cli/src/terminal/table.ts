/**
 * Tables of text: a header, columns as wide as their widest cell, two blanks between, nothing after the last.
 *
 * Cells may carry colour. When the lines are wider than the terminal, the columns that may shrink are cut, the widest first;
 * output that goes to a file or a pipe is never cut.
 */
import { cut, displayWidth, pad } from './text.ts';

export interface Column<Row> {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** Shown only with `-o wide`. */
  readonly wide?: true;
  /** May be cut when the terminal is too narrow, down to this many columns. */
  readonly shrinkTo?: number;
  /** Left out altogether when cutting is not enough; the last such column goes first. */
  readonly droppable?: true;
  readonly cell: (row: Row) => string;
}

export interface TableOptions {
  readonly wide?: boolean;
  /** Columns of the terminal; undefined: any width will do. */
  readonly width?: number | undefined;
  readonly heading?: (text: string) => string;
}

const gap = '  ';

/** The lines of the table, without line ends. */
export function tableLines<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  { wide = false, width, heading = (text) => text }: TableOptions = {},
): readonly string[] {
  const shown = fitting(
    columns.filter((column) => wide || column.wide !== true),
    rows,
    width,
  );
  const cells = rows.map((row) => shown.map((column) => column.cell(row)));
  const widths = widthsOf(shown, cells);
  if (width !== undefined) shrink(shown, widths, width);
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, index) => pad(cut(text, widths[index] ?? 0), widths[index] ?? 0, shown[index]?.align))
      .join(gap)
      .trimEnd();
  const titles = line(shown.map(({ title }) => title));
  return [heading(titles), ...cells.map(line)];
}

function widthsOf(columns: readonly Column<never>[], cells: readonly (readonly string[])[]): number[] {
  return columns.map(({ title }, index) =>
    Math.max(displayWidth(title), ...cells.map((row) => displayWidth(row[index] ?? ''))),
  );
}

/** The columns that have room when all that may be cut are as narrow as they may be. */
function fitting<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number | undefined,
): readonly Column<Row>[] {
  let shown = columns;
  while (width !== undefined) {
    const natural = widthsOf(
      shown,
      rows.map((row) => shown.map((column) => column.cell(row))),
    );
    const least = shown.map(({ shrinkTo }, index) => Math.min(natural[index] ?? 0, shrinkTo ?? Infinity));
    if (least.reduce((sum, each) => sum + each, 0) + gap.length * (shown.length - 1) <= width) break;
    const last = shown.findLastIndex(({ droppable }) => droppable === true);
    if (last === -1) break;
    shown = shown.toSpliced(last, 1);
  }
  return shown;
}

function shrink(columns: readonly Column<never>[], widths: number[], available: number): void {
  let excess = widths.reduce((sum, each) => sum + each, 0) + gap.length * (widths.length - 1) - available;
  while (excess > 0) {
    let widest = -1;
    for (const [index, column] of columns.entries()) {
      const least = column.shrinkTo;
      if (least === undefined || (widths[index] ?? 0) <= least) continue;
      if (widest === -1 || (widths[index] ?? 0) > (widths[widest] ?? 0)) widest = index;
    }
    if (widest === -1) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
    excess -= 1;
  }
}
