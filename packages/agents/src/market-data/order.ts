/** Order by UTF-16 code unit: the order of ids everywhere, independent of any locale. */
export function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
