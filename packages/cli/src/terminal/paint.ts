/**
 * Colour, where it is wanted: on terminals, unless NO_COLOR says otherwise. Colour never carries meaning alone.
 */
import { styleText } from 'node:util';

export type Format = 'red' | 'green' | 'yellow' | 'blue' | 'cyan' | 'gray' | 'dim' | 'bold' | 'underline';
export type Paint = (format: Format, text: string) => string;

/** Leaves every text as it is. */
export const plainPaint: Paint = (_format, text) => text;
/** Paints always; the decision is made by `paintFor`. */
export const colourPaint: Paint = (format, text) => styleText(format, text, { validateStream: false });

export interface PaintedStream {
  readonly isTTY?: boolean | undefined;
}

/** NO_COLOR (not empty) and TERM=dumb switch colour off, FORCE_COLOR (not 0) on; else a terminal decides. */
export function paintFor(
  stream: PaintedStream,
  environment: Readonly<Record<string, string | undefined>>,
): Paint {
  const set = (name: string): boolean => (environment[name] ?? '') !== '';
  if (set('NO_COLOR')) return plainPaint;
  if (set('FORCE_COLOR')) return environment['FORCE_COLOR'] === '0' ? plainPaint : colourPaint;
  if (environment['TERM'] === 'dumb') return plainPaint;
  return stream.isTTY === true ? colourPaint : plainPaint;
}
