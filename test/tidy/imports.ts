/**
 * Finds the imports of a TypeScript source: enough of a reader to hold the layering, with no compiler.
 *
 * Comments and the text of strings are blanked first, so that an example in a comment is no import. `import type` counts
 * as type-only; `import { type A }` does not, because with verbatimModuleSyntax the module is still loaded.
 */

export interface FoundImport {
  readonly specifier: string;
  /** Erased when the program runs. */
  readonly typeOnly: boolean;
  /** 1-based. */
  readonly line: number;
}

/**
 * The source with comments replaced by blanks of the same length; strings stay. Regular expression literals are not
 * told from divisions: a quote inside one can at worst hide the rest of its line, because quotes end with the line.
 */
export function withoutComments(source: string): string {
  const pattern =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\[\s\S]|[^`\\])*`/g;
  return source.replace(pattern, (found) =>
    found.startsWith('/*') || found.startsWith('//') ? found.replace(/[^\n]/g, ' ') : found,
  );
}

const statement =
  /^[ \t]*(import|export)\s+(type\s+)?(?:[\w*$\s{},]*?\sfrom\s*|(?=['"]))(['"])([^'"\n]+)\3/gm;
const call = /\bimport\(\s*(['"])([^'"\n]+)\1/g;

/** Every static import, re-export and dynamic import with a literal name, in order of appearance. */
export function importsOf(source: string): readonly FoundImport[] {
  const text = withoutComments(source);
  const lineAt = (index: number): number => text.slice(0, index).split('\n').length;
  const found: FoundImport[] = [];
  for (const match of text.matchAll(statement)) {
    const at = match.index + match[0].search(/\S/);
    found.push({ specifier: match[4] as string, typeOnly: match[2] !== undefined, line: lineAt(at) });
  }
  for (const match of text.matchAll(call)) {
    found.push({ specifier: match[2] as string, typeOnly: false, line: lineAt(match.index) });
  }
  return found.sort((a, b) => a.line - b.line);
}
