/**
 * The planted bugs. Each breaks one rule that the design stands on; a simulator that does not find every one of them within
 * its bound proves nothing about the code without them. `where` says who carries the bug.
 */
export interface Mutant {
  readonly name: string;
  readonly where: 'manager' | 'orchestrator' | 'driver' | 'journal' | 'keeper';
  /** What the bug does. */
  readonly does: string;
}

export const mutants: readonly Mutant[] = [
  { name: 'epoch-reused', where: 'manager', does: 'places again under the epoch of the placement before' },
  { name: 'stopped-unchallenged', where: 'manager', does: 'believes a "stopped" that answers no challenge' },
  { name: 'capacity-ignored', where: 'manager', does: 'places on machines that are full' },
  { name: 'customer-border', where: 'manager', does: 'places on machines of other customers' },
  { name: 'token-reused', where: 'manager', does: 'lets a used join token enrol another machine' },
  { name: 'tombstone-forgotten', where: 'manager', does: 'leaves tombstones out of complete targets' },
  { name: 'session-reused', where: 'manager', does: 'numbers sessions from one again after a restart' },
  { name: 'lost-moves', where: 'manager', does: 'moves agents of a machine that is merely out of reach' },
  { name: 'stopped-before-dead', where: 'orchestrator', does: 'answers a stop challenge at once' },
  { name: 'ceiling-ignored', where: 'orchestrator', does: 'starts agents above the ceiling of its machine' },
  {
    name: 'restart-not-durable',
    where: 'orchestrator',
    does: 'does not note which restart a process satisfies',
  },
  { name: 'hold-forgotten', where: 'orchestrator', does: 'starts what the customer has stopped' },
  {
    name: 'absence-deletes',
    where: 'orchestrator',
    does: 'takes an agent that a target does not name for removed',
  },
  { name: 'old-generation-accepted', where: 'orchestrator', does: 'obeys a manager of an older history' },
  { name: 'state-not-installed', where: 'orchestrator', does: 'starts from whatever state lies on its disk' },
  { name: 'retry-forgotten', where: 'orchestrator', does: 'never tries a failed operation again' },
  { name: 'receipt-repeated', where: 'orchestrator', does: 'issues a receipt for each attempt' },
  {
    name: 'sends-before-durable',
    where: 'driver',
    does: 'carries out effects before their records are durable',
  },
  { name: 'journal-out-of-order', where: 'journal', does: 'completes appends in any order' },
  { name: 'keeper-forgets-released', where: 'keeper', does: 'loses released epochs when it restarts' },
  {
    name: 'keeper-sub-not-durable',
    where: 'keeper',
    does: 'counts incarnations from one again when it restarts',
  },
];

/** A mutant that lives longer than this many seeds fails the run. */
export const MUTANT_SEEDS_LIMIT = 100;
