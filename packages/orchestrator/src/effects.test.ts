/** The answer to a stop challenge, and the bytes it names. */
import type { BlobRef, OrchestratorFrame } from '@muster/contract';
import { createLog } from '@muster/runtime';
import { expect, it } from 'vitest';
import { effectHandlers } from './effects.ts';

const state: BlobRef = { digest: 'd'.repeat(64), bytes: 3 };
const stopped = { t: 'stopped', agentId: 'a', epoch: 1, query: 'q', state, stateError: null } as const;

function sentFor(bytes: Buffer | null, isGiven: boolean): OrchestratorFrame[] {
  const sent: OrchestratorFrame[] = [];
  const handlers = effectHandlers({
    states: { packedBytes: () => bytes },
    log: createLog({ name: 'test', level: 'silent' }),
    send: (frame: OrchestratorFrame) => sent.push(frame) > 0,
    isGiven: () => isGiven,
  } as never);
  void handlers.send({ kind: 'send', frame: stopped });
  return sent;
}

it('sends the bytes of a state before the answer that names it', () => {
  expect(sentFor(Buffer.from('abc'), false)).toEqual([
    { t: 'blob', digest: state.digest, data: 'YWJj' },
    stopped,
  ]);
});

it('names the manager its own state without sending it back', () => {
  expect(sentFor(null, true)).toEqual([stopped]);
});

it('says that a state is gone, instead of naming bytes that it cannot send', () => {
  expect(sentFor(null, false)).toEqual([
    { ...stopped, state: null, stateError: expect.stringContaining('gone') as string },
  ]);
});
