/**
 * The state of this machine's agents: their key-value stores, and portable state coming and going.
 *
 * A packed state is kept beside the agent until it is packed anew or the agent starts again, so that its bytes can be sent
 * before every message that names them, also after a reconnect. A state from the manager is believed only when digest and size
 * are what the order said.
 */
import { readFileSync, rmSync } from 'node:fs';
import { type AgentFrame, type BlobRef, EMPTY_STATE } from '@muster/contract';
import { atomicWriteFile } from '@muster/runtime';
import type { AgentPlaces } from '../agent-places.ts';
import { KeyValueStore } from './kv-store.ts';
import { filesInBlob, packState, refOf, replaceState, StateUnfit, stateBytes } from './portable-state.ts';

type StateFrame = Extract<AgentFrame, { t: 'state.put' | 'state.get' | 'state.delete' }>;

export class AgentStates {
  readonly #places: AgentPlaces;
  readonly #stores = new Map<string, KeyValueStore>();

  constructor(places: AgentPlaces) {
    this.#places = places;
  }

  /** One request of an agent; resolves once durable. @throws StateRefusal */
  async request(agentId: string, frame: StateFrame): Promise<unknown> {
    const store = this.#store(agentId);
    if (frame.t === 'state.get') return store.get(frame.key);
    if (frame.t === 'state.put') await store.put(frame.key, frame.value);
    else await store.delete(frame.key);
    return null;
  }

  bytesOf(agentId: string): number {
    return stateBytes(this.#places.of(agentId).stateDir);
  }

  /** A new process starts: what was packed of the last one is old, and a store that failed is read anew. */
  async starting(agentId: string): Promise<void> {
    rmSync(this.#places.of(agentId).packedPath, { force: true });
    if (this.#stores.get(agentId)?.hasFailed !== true) return;
    await this.#close(agentId);
    this.#stores.set(agentId, new KeyValueStore(this.#places.prepare(agentId).stateDir, true));
  }

  /** Makes the state directory what `ref` says; `bytes` is null for the empty state. @throws StateUnfit */
  async install(agentId: string, ref: BlobRef, bytes: Buffer | null): Promise<void> {
    const place = this.#places.prepare(agentId);
    let files: ReadonlyMap<string, Buffer> = new Map();
    if (ref.digest !== EMPTY_STATE.digest) {
      const found = bytes === null ? null : refOf(bytes);
      if (bytes === null || found?.digest !== ref.digest || found.bytes !== ref.bytes) {
        throw new StateUnfit('The state that arrived is not the one that was ordered.');
      }
      files = filesInBlob(bytes);
    }
    await this.#close(agentId);
    replaceState(place.stateDir, files);
  }

  /** Packs the state of a dead agent and keeps the bytes. Null: there is none. @throws StateUnfit */
  async collect(agentId: string): Promise<BlobRef | null> {
    await this.#close(agentId);
    const place = this.#places.prepare(agentId);
    const packed = packState(place.stateDir);
    if (packed === null) return null;
    atomicWriteFile(place.packedPath, packed.bytes);
    return packed.ref;
  }

  /** The bytes of a collected state, packed again when they are gone; null: they are no longer to be had. */
  packedBytes(agentId: string, ref: BlobRef): Buffer | null {
    const place = this.#places.of(agentId);
    try {
      const kept = readFileSync(place.packedPath);
      if (refOf(kept).digest === ref.digest) return kept;
    } catch {
      // Packed again below.
    }
    try {
      const packed = packState(place.stateDir);
      return packed?.ref.digest === ref.digest ? packed.bytes : null;
    } catch {
      return null;
    }
  }

  /** Files of the state as it is now; of a running agent they may be in the middle of a change. @throws StateUnfit */
  snapshot(agentId: string): Readonly<Record<string, string>> {
    const packed = packState(this.#places.of(agentId).stateDir);
    const files = packed === null ? [] : [...filesInBlob(packed.bytes)];
    return Object.fromEntries(files.map(([name, content]) => [name, content.toString('base64')]));
  }

  /** Deletes everything of the agent, logs included. */
  async purge(agentId: string): Promise<void> {
    await this.#close(agentId);
    rmSync(this.#places.of(agentId).directory, { recursive: true, force: true });
  }

  async close(): Promise<void> {
    await Promise.all([...this.#stores.keys()].map((agentId) => this.#close(agentId)));
  }

  #store(agentId: string): KeyValueStore {
    let store = this.#stores.get(agentId);
    if (store === undefined) {
      store = new KeyValueStore(this.#places.prepare(agentId).stateDir);
      this.#stores.set(agentId, store);
    }
    return store;
  }

  async #close(agentId: string): Promise<void> {
    const store = this.#stores.get(agentId);
    this.#stores.delete(agentId);
    await store?.close();
  }
}
