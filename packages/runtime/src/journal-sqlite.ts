/**
 * The journal port over SQLite: the main-thread side.
 *
 * Group commit by single flight: while one commit is under way, further appends gather and go into the next transaction
 * together. One commit at a time also gives ordered completion for nothing. Bodies become canonical text here, at the call,
 * so the caller may change its objects afterwards; hashing and disk work happen in the worker thread.
 * A failed append, a body that has no canonical JSON, and the death of the worker all end in the same place: this journal
 * object is failed for good, waiting appends included.
 */
import { Worker } from 'node:worker_threads';
import type { JournalRecord } from '@muster/core';
import { canonicalJson } from '@muster/core';
import {
  type EncodedRecord,
  encodeRecord,
  genesisHash,
  type Journal,
  type JournalContents,
  JournalDamaged,
  JournalFailed,
  type JournalHead,
  type JournalVerdict,
  type StoredRecord,
} from './journal.ts';
import { JournalStore, storedRecord } from './journal-sqlite-store.ts';
import type { JournalAnswer, JournalRequest, JournalRequests } from './journal-sqlite-worker.ts';

const loadPageRecords = 10_000;
const verifyPageRecords = 2_000;

interface Waiting {
  readonly records: readonly EncodedRecord[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

interface Asked {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

type Answered<K extends keyof JournalRequests> = ReturnType<JournalRequests[K]>;

export interface SqliteJournal extends Journal {
  /** Ends the worker thread without closing the file, as a crash would. For tests. */
  kill(): Promise<void>;
}

/**
 * Opens the journal file at `path`, or makes it. One process at a time may do so (see data-dir.ts).
 * Throws `JournalDamaged` when the file does not hold what was acknowledged, or an `Error` naming the path when it cannot be
 * used.
 */
export async function openSqliteJournal(path: string): Promise<SqliteJournal> {
  const journal = new WorkerJournal(path);
  await journal.open();
  return journal;
}

/** Verifies the journal file at `path` in this thread without opening it for writing; also a damaged or a live one. */
export function verifySqliteJournal(path: string): JournalVerdict {
  try {
    const store = JournalStore.openForVerifying(path);
    try {
      const problem = store.checkStructure();
      if (problem !== null) return { ok: false, ...problem };
      let head: JournalHead = { seq: 0, hash: genesisHash };
      for (;;) {
        const walked = store.walk(head, verifyPageRecords);
        if (!walked.ok) return walked;
        if (walked.count === 0) break;
        head = walked.head;
      }
      const lost = store.checkAcknowledged();
      return lost === null ? { ok: true, count: head.seq, head } : { ok: false, ...lost };
    } finally {
      store.close();
    }
  } catch (error) {
    if (error instanceof JournalDamaged) return { ok: false, seq: error.seq, reason: error.reason };
    if (isSqliteCorruption(error)) return { ok: false, seq: 0, reason: `SQLite reports: ${error.message}` };
    throw error;
  }
}

function isSqliteCorruption(error: unknown): error is Error {
  const code = (error as { errcode?: unknown }).errcode;
  return error instanceof Error && typeof code === 'number' && [11, 26].includes(code & 0xff);
}

class WorkerJournal implements SqliteJournal {
  readonly #worker: Worker;
  readonly #asked = new Map<number, Asked>();
  readonly #exited: Promise<void>;
  #lastId = 0;
  #head: JournalHead = { seq: 0, hash: genesisHash };
  #waiting: Waiting[] = [];
  #committing = false;
  #flushPlanned = false;
  #failure: JournalFailed | undefined;
  #closing: Promise<void> | undefined;

  constructor(path: string) {
    this.#worker = new Worker(new URL('./journal-sqlite-worker.ts', import.meta.url), {
      workerData: { path },
      name: 'journal',
      execArgv: [],
    });
    this.#worker.on('message', (answer: JournalAnswer) => this.#settle(answer));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        this.#fail(new Error('The journal thread ended'));
        resolve();
      });
    });
  }

  async open(): Promise<void> {
    try {
      this.#head = await this.#ask('open');
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  get head(): JournalHead {
    return this.#head;
  }

  append(records: readonly JournalRecord[]): Promise<void> {
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    let encoded: EncodedRecord[];
    try {
      encoded = records.map(encodeRecord);
    } catch (error) {
      return Promise.reject(this.#fail(error));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ records: encoded, resolve, reject });
      if (this.#flushPlanned || this.#committing) return;
      this.#flushPlanned = true;
      queueMicrotask(() => {
        this.#flushPlanned = false;
        void this.#commit();
      });
    });
  }

  async load(): Promise<JournalContents> {
    const newest = await this.#ask('newestSnapshot');
    const snapshot = newest === null ? null : { seq: newest.seq, state: JSON.parse(newest.state) as unknown };
    const records: StoredRecord[] = [];
    for (let afterSeq = snapshot?.seq ?? 0; ; afterSeq = records.at(-1)?.seq ?? afterSeq) {
      const page = await this.readRecords(afterSeq, loadPageRecords);
      for (const record of page) records.push(record);
      if (page.length < loadPageRecords) return { snapshot, records };
    }
  }

  async writeSnapshot(seq: number, state: unknown): Promise<void> {
    await this.#ask('writeSnapshot', seq, canonicalJson(state));
  }

  async readRecords(afterSeq: number, limit: number): Promise<readonly StoredRecord[]> {
    const rows = await this.#ask('readRows', Math.max(0, afterSeq), Math.max(0, limit));
    return rows.map(storedRecord);
  }

  async verify(): Promise<JournalVerdict> {
    const problem = await this.#ask('checkStructure');
    if (problem !== null) return { ok: false, ...problem };
    const until = this.#head.seq;
    let head: JournalHead = { seq: 0, hash: genesisHash };
    while (head.seq < until) {
      const walked = await this.#ask('walk', head, Math.min(verifyPageRecords, until - head.seq));
      if (!walked.ok) return walked;
      if (walked.count === 0) return { ok: false, seq: head.seq + 1, reason: 'the record is missing' };
      head = walked.head;
    }
    const lost = await this.#ask('checkAcknowledged');
    return lost === null ? { ok: true, count: head.seq, head } : { ok: false, ...lost };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async kill(): Promise<void> {
    await this.#worker.terminate();
    await this.#exited;
  }

  async #close(): Promise<void> {
    if (this.#failure !== undefined) return this.kill();
    await this.#drained();
    try {
      await this.#ask('close');
    } finally {
      await this.#exited;
    }
  }

  /** Resolves when no append waits any more, whether they became durable or failed. */
  async #drained(): Promise<void> {
    while (this.#committing || this.#waiting.length > 0) {
      await new Promise<void>((resolve) => {
        this.#waiting.push({ records: [], resolve, reject: () => resolve() });
        if (!this.#committing) void this.#commit();
      });
    }
  }

  async #commit(): Promise<void> {
    if (this.#committing || this.#failure !== undefined) return;
    this.#committing = true;
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        const records = group.flatMap((each) => each.records);
        if (records.length > 0) this.#head = await this.#ask('append', records);
      } catch (error) {
        this.#waiting = [...group, ...this.#waiting];
        this.#committing = false;
        this.#fail(error);
        return;
      }
      for (const each of group) each.resolve();
    }
    this.#committing = false;
  }

  #ask<K extends keyof JournalRequests>(
    operation: K,
    ...parameters: Parameters<JournalRequests[K]>
  ): Promise<Answered<K>> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#lastId += 1;
    const request: JournalRequest = { id: this.#lastId, operation, parameters };
    return new Promise((resolve, reject) => {
      this.#asked.set(request.id, { resolve: resolve as (value: never) => void, reject });
      this.#worker.postMessage(request);
    });
  }

  #settle(answer: JournalAnswer): void {
    const asked = this.#asked.get(answer.id);
    this.#asked.delete(answer.id);
    if (asked === undefined) return;
    if ('value' in answer) asked.resolve(answer.value as never);
    else if ('damage' in answer) {
      asked.reject(new JournalDamaged(answer.damage.path, answer.damage.seq, answer.damage.reason));
    } else asked.reject(new Error(answer.message));
  }

  #refusal(): JournalFailed | undefined {
    return (
      this.#failure ?? (this.#closing === undefined ? undefined : new JournalFailed('The journal is closed'))
    );
  }

  #fail(cause: unknown): JournalFailed {
    const why = cause instanceof Error ? cause.message : String(cause);
    this.#failure ??= new JournalFailed(`The journal could not be written: ${why}`, { cause });
    const failure = this.#failure;
    const asked = [...this.#asked.values()];
    this.#asked.clear();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of asked) each.reject(failure);
    for (const each of waiting) each.reject(failure);
    return failure;
  }
}
