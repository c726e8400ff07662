/**
 * The thread that owns the journal's SQLite file, so that a commit never holds up the main loop.
 *
 * It does one request after the other, in the order they came, and answers each. A request that fails answers with an error;
 * after a failed append this thread refuses every further append, so no later record can follow a gap. `null` closes.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { type EncodedRecord, JournalDamaged, type JournalHead } from './journal.ts';
import type { ChainWalk, JournalRow, Problem } from './journal-sqlite-checks.ts';
import { JournalStore } from './journal-sqlite-store.ts';

/** What the main side may ask for, and what comes back. */
export interface JournalRequests {
  open(): JournalHead;
  append(records: readonly EncodedRecord[]): JournalHead;
  newestSnapshot(): { readonly seq: number; readonly state: string } | null;
  writeSnapshot(seq: number, state: string): void;
  readRows(afterSeq: number, limit: number): readonly JournalRow[];
  walk(from: JournalHead, limit: number): ChainWalk;
  checkStructure(): Problem | null;
  checkAcknowledged(): Problem | null;
  close(): void;
}

export interface JournalRequest {
  readonly id: number;
  readonly operation: keyof JournalRequests;
  readonly parameters: readonly unknown[];
}

export type JournalAnswer =
  | { readonly id: number; readonly value: unknown }
  | {
      readonly id: number;
      readonly damage: { readonly path: string; readonly seq: number; readonly reason: string };
    }
  | { readonly id: number; readonly message: string };

class JournalThread implements JournalRequests {
  #store: JournalStore | undefined;
  #appendFailed = false;

  get store(): JournalStore {
    if (this.#store === undefined) throw new Error('The journal is not open');
    return this.#store;
  }
  open(): JournalHead {
    this.#store = JournalStore.open((workerData as { path: string }).path);
    return this.#store.head;
  }
  append(records: readonly EncodedRecord[]): JournalHead {
    if (this.#appendFailed) throw new Error('An earlier append failed');
    try {
      return this.store.append(records);
    } catch (error) {
      this.#appendFailed = true;
      throw error;
    }
  }
  newestSnapshot(): { readonly seq: number; readonly state: string } | null {
    return this.store.newestSnapshot();
  }
  writeSnapshot(seq: number, state: string): void {
    this.store.writeSnapshot(seq, state);
  }
  readRows(afterSeq: number, limit: number): readonly JournalRow[] {
    return this.store.readRows(afterSeq, limit);
  }
  walk(from: JournalHead, limit: number): ChainWalk {
    return this.store.walk(from, limit);
  }
  checkStructure(): Problem | null {
    return this.store.checkStructure();
  }
  checkAcknowledged(): Problem | null {
    return this.store.checkAcknowledged();
  }
  close(): void {
    this.store.close();
    this.#store = undefined;
  }
}

function answer(thread: JournalThread, { id, operation, parameters }: JournalRequest): JournalAnswer {
  try {
    const method = thread[operation] as (...values: readonly unknown[]) => unknown;
    return { id, value: method.apply(thread, [...parameters]) };
  } catch (error) {
    if (error instanceof JournalDamaged) {
      return { id, damage: { path: error.path, seq: error.seq, reason: error.reason } };
    }
    return { id, message: error instanceof Error ? error.message : String(error) };
  }
}

function serve(): void {
  if (parentPort === null) throw new Error('journal-sqlite-worker.ts runs as a worker thread only');
  const port = parentPort;
  const thread = new JournalThread();
  port.on('message', (request: JournalRequest) => {
    port.postMessage(answer(thread, request));
    if (request.operation === 'close') port.close();
  });
}

serve();
