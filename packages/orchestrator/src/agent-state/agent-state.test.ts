import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { AGENT_PORTABLE_STATE_MAX_BYTES, EMPTY_STATE } from '@muster/contract';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentPlaces } from '../agent-places.ts';
import { AgentStates } from './agent-states.ts';
import { KeyValueStore, KV_FILE } from './kv-store.ts';
import { filesInBlob, packState, refOf, replaceState, StateUnfit } from './portable-state.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'state-test-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const log = (): string => join(directory, KV_FILE);

describe('the key-value store of an agent', () => {
  it('holds after a reopening what any sequence of changes left', async () => {
    const change = fc.tuple(
      fc.constantFrom('a', 'b', '__proto__', 'ü\n'),
      fc.option(fc.jsonValue(), { nil: undefined }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 12 }), async (changes) => {
        rmSync(log(), { force: true });
        const model = new Map<string, unknown>();
        const store = new KeyValueStore(directory);
        for (const [key, value] of changes) {
          if (value === undefined) await store.delete(key);
          else await store.put(key, value);
          if (value === undefined) model.delete(key);
          else model.set(key, JSON.parse(JSON.stringify(value)));
        }
        await store.close();
        const again = new KeyValueStore(directory);
        for (const [key] of changes) expect(again.get(key)).toEqual(model.get(key) ?? null);
      }),
      { numRuns: 40 },
    );
  });

  it('cuts off a line torn by a crash and keeps all before it', async () => {
    const store = new KeyValueStore(directory);
    await store.put('a', 1);
    await store.put('b', 2);
    await store.close();
    const whole = readFileSync(log());
    for (let cut = 1; cut < 12; cut += 1) {
      writeFileSync(log(), whole.subarray(0, whole.length - cut));
      const again = new KeyValueStore(directory);
      expect([again.get('a'), again.get('b')]).toEqual([1, null]);
      await again.put('c', 3);
      await again.close();
      expect(new KeyValueStore(directory).get('c')).toBe(3);
    }
  });

  it('refuses to work on a log that is damaged in the middle', async () => {
    const store = new KeyValueStore(directory);
    await store.put('a', 1);
    await store.put('a', 2);
    await store.close();
    const bytes = readFileSync(log());
    bytes[12] = 0x58;
    writeFileSync(log(), bytes);
    const again = new KeyValueStore(directory);
    expect(() => again.get('a')).toThrow('damaged at byte 0');
    await expect(again.put('a', 3)).rejects.toMatchObject({ code: 'state-damaged' });
    expect(readFileSync(log())).toEqual(bytes);
  });

  it('refuses values and totals that are too large', async () => {
    const store = new KeyValueStore(directory);
    await expect(store.put('a', 'x'.repeat(262_144))).rejects.toMatchObject({ code: 'value-too-large' });
    const value = 'x'.repeat(250_000);
    for (const key of ['a', 'b', 'c', 'd']) await store.put(key, value);
    await expect(store.put('e', value)).rejects.toMatchObject({ code: 'state-too-large' });
    await store.put('a', value);
    await store.close();
  });

  it('rewrites its log when most of it is dead, and loses nothing', async () => {
    const store = new KeyValueStore(directory);
    await store.put('kept', 'yes');
    for (let round = 0; round < 60; round += 1) await store.put('big', `${round}${'x'.repeat(10_000)}`);
    await store.close();
    expect(readFileSync(log()).length).toBeLessThan(400_000);
    const again = new KeyValueStore(directory);
    expect(again.get('kept')).toBe('yes');
    expect(String(again.get('big')).slice(0, 2)).toBe('59');
  });
});

describe('a store that failed', () => {
  it('works again from the next start of its agent on, with what was acknowledged', async () => {
    const states = new AgentStates(new AgentPlaces(directory));
    const file = join(directory, 'agents', 'abc', 'state', KV_FILE);
    mkdirSync(file, { recursive: true });
    const put = (key: string, value: unknown): Promise<unknown> =>
      states.request('abc', { t: 'state.put', id: '1', key, value });
    const get = (key: string): Promise<unknown> => states.request('abc', { t: 'state.get', id: '1', key });
    rmSync(file, { recursive: true });
    await put('a', 1);
    await states.close();
    expect(await get('a')).toBe(1);
    const kept = readFileSync(file);
    rmSync(file);
    mkdirSync(file);
    await expect(put('a', 2)).rejects.toMatchObject({ code: 'store-failed' });
    rmSync(file, { recursive: true });
    writeFileSync(file, kept);
    await expect(put('a', 3)).rejects.toMatchObject({ code: 'store-failed' });
    await states.starting('abc');
    expect(await get('a')).toBe(1);
    await put('b', 4);
    await states.close();
    expect([await get('a'), await get('b')]).toEqual([1, 4]);
    await states.close();
  });
});

describe('portable state', () => {
  const stateDir = (): string => join(directory, 'state');

  it('brings every file back, with one digest for equal content', () => {
    const files = new Map([
      ['a', Buffer.from([0, 255, 10])],
      ['deep/er/b.txt', Buffer.from('text')],
    ]);
    replaceState(stateDir(), files);
    const packed = packState(stateDir());
    replaceState(join(directory, 'other'), new Map([...files].reverse()));
    expect(packState(join(directory, 'other'))?.ref).toEqual(packed?.ref);
    expect(packed === null ? null : filesInBlob(packed.bytes)).toEqual(files);
  });

  it('has no symbolic link in it and follows none', () => {
    mkdirSync(stateDir());
    writeFileSync(join(directory, 'secret'), 'hidden');
    symlinkSync(join(directory, 'secret'), join(stateDir(), 'link'));
    symlinkSync(directory, join(stateDir(), 'up'));
    expect(packState(stateDir())).toBeNull();
  });

  it('is refused above its limit', () => {
    mkdirSync(stateDir());
    writeFileSync(join(stateDir(), 'large'), Buffer.alloc(AGENT_PORTABLE_STATE_MAX_BYTES));
    expect(packState(stateDir())?.ref.bytes).toBeGreaterThan(0);
    appendFileSync(join(stateDir(), 'more'), 'x');
    expect(() => packState(stateDir())).toThrow(StateUnfit);
  });

  it.each([
    ['../up', {}],
    ['a/../../b', {}],
    ['/etc/passwd', {}],
    ['a//b', {}],
    ['', {}],
    ['a\\b', {}],
  ])('is refused when it names %j', (name) => {
    expect(() => filesInBlob(gzipSync(JSON.stringify({ files: { [name]: 'eA==' } })))).toThrow(StateUnfit);
  });

  it.each([
    Buffer.from('garbage'),
    gzipSync('not json'),
    gzipSync('{"files":[]}'),
    gzipSync(Buffer.alloc(64 * 1_048_576)),
  ])('is refused when it is something else (%#)', (bytes) => {
    expect(() => filesInBlob(bytes)).toThrow(StateUnfit);
  });
});

describe('the states of a machine', () => {
  it('believe only the ordered bytes, and empty the directory for the empty state', async () => {
    const places = new AgentPlaces(directory);
    const states = new AgentStates(places);
    const frame = { t: 'state.put', id: '1', key: 'k', value: 1 } as const;
    await states.request('a', frame);
    const ref = await states.collect('a');
    const bytes = ref === null ? null : states.packedBytes('a', ref);
    expect(bytes === null ? null : refOf(bytes)).toEqual(ref);
    await expect(states.install('b', { digest: 'ab'.repeat(32), bytes: 1 }, bytes)).rejects.toThrow(
      'not the one that was ordered',
    );
    expect(existsSync(join(places.of('b').stateDir, KV_FILE))).toBe(false);
    if (ref !== null) await states.install('b', ref, bytes);
    expect(await states.request('b', { t: 'state.get', id: '2', key: 'k' })).toBe(1);
    await states.install('b', EMPTY_STATE, null);
    expect(await states.request('b', { t: 'state.get', id: '3', key: 'k' })).toBeNull();
    await states.close();
  });

  it('give hostile ids a directory of their own inside the data directory', () => {
    const places = new AgentPlaces(directory);
    const ids = ['..', '.', '../../etc', 'a/b', 'a\0b', '~x', 'x'.repeat(128), 'plain-1'];
    const found = ids.map((id) => places.of(id).directory);
    expect(new Set(found).size).toBe(ids.length);
    for (const each of found)
      expect(each.startsWith(`${directory}/agents/`) && !each.slice(directory.length + 8).includes('/')).toBe(
        true,
      );
    for (const id of ids) expect(Buffer.byteLength(places.of(id).socketPath)).toBeLessThan(108);
  });
});
