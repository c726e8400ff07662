/**
 * Which member owns which symbol: rendezvous (highest random weight) hashing, Thaler and Ravishankar 1998. Every member
 * derives the same owners without talking, and a membership change moves only the symbols it must.
 */
import { createHash } from 'node:crypto';

/** The `replication` members with the largest weights for `id`, strongest first. Ties go to the larger member name. */
export function ownersOf(id: string, members: readonly string[], replication = 1): string[] {
  return members
    .map((member) => ({ member, weight: weightOf(member, id) }))
    .sort((a, b) => (a.weight === b.weight ? (a.member < b.member ? 1 : -1) : a.weight < b.weight ? 1 : -1))
    .slice(0, replication)
    .map(({ member }) => member);
}

/** First 8 bytes, big-endian unsigned, of sha256(member | id). */
function weightOf(member: string, id: string): bigint {
  return createHash('sha256').update(`${member}|${id}`).digest().readBigUInt64BE(0);
}
