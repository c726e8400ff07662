/**
 * Writes docs/errors.md from the error catalogue. `--check` only says whether the file is current (exit 1 if not).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { errorCatalogue } from '@muster/contract';

const file = new URL('../docs/errors.md', import.meta.url);
const rows = Object.entries(errorCatalogue).map(
  ([code, entry]) => `| \`${code}\` | ${entry.status} | ${entry.title} | ${entry.next} |`,
);
const text = `# Errors

Every refusal is a problem document (RFC 9457, \`application/problem+json\`): \`type\`, \`title\`, \`status\`, \`code\`, \`detail\` (what happened,
in one sentence), \`next\` (what usually helps), \`instance\` (the request id) and, for 422, \`errors: [{path, message}]\`. The same codes are used
on the link, where \`reject\` frames carry them. Made from \`packages/contract/src/errors.ts\` by \`node scripts/error-reference.mjs\`.

| code | status | meaning | next step |
|---|---|---|---|
${rows.join('\n')}
`;
if (process.argv.includes('--check')) {
  const current = readFileSync(file, 'utf8') === text;
  if (!current) console.error('docs/errors.md is not current: run node scripts/error-reference.mjs');
  process.exitCode = current ? 0 : 1;
} else {
  writeFileSync(file, text);
}
