/**
 * What each effect of the machine does to this machine.
 *
 * Nothing here throws or rejects: an effect that cannot be carried out answers with its failure as an input, and what is lost
 * with the keeper or the link is asked for again by the machine when they are back.
 */
import { type BlobRef, EMPTY_STATE, type OrchestratorFrame } from '@muster/contract';
import type { LocalResult, OrchestratorEffect, OrchestratorInput } from '@muster/core/orchestrator';
import { type EffectHandlers, type Logger, noteToLog, type SigningKey, signDocument } from '@muster/runtime';
import type { AgentProcesses } from './agent-processes.ts';
import type { AgentStates } from './agent-state/agent-states.ts';
import type { BlobFetcher } from './blob-fetcher.ts';
import type { AgentLogs } from './logs/agent-logs.ts';

const MESSAGE_MAX = 900;

export interface EffectOptions {
  readonly processes: AgentProcesses;
  readonly states: AgentStates;
  readonly logs: AgentLogs;
  readonly blobs: BlobFetcher;
  readonly key: SigningKey;
  readonly log: Logger;
  readonly submit: (input: OrchestratorInput) => void;
  readonly send: (frame: OrchestratorFrame) => boolean;
  readonly dropLink: (reason: string) => void;
  /** Whether that is the state the manager ordered the agent to begin with. */
  readonly isGiven: (agentId: string, state: BlobRef) => boolean;
  readonly replied: (request: string, result: LocalResult) => void;
}

export function effectHandlers(options: EffectOptions): EffectHandlers<OrchestratorEffect> {
  const { processes, states, logs, log, key, send, submit } = options;
  return {
    note: ({ note }) => noteToLog(log, note),
    reply: ({ request, result }) => options.replied(request, result),
    dropLink: ({ reason }) => options.dropLink(reason),
    send: ({ frame }) => {
      if (frame.t === 'stopped' && frame.state !== null) {
        const bytes = states.packedBytes(frame.agentId, frame.state);
        if (bytes === null && !options.isGiven(frame.agentId, frame.state)) {
          // Naming bytes that are not to be had would end the session, every time anew: the agent would never be freed.
          const stateError =
            'The packed state is gone from this machine, or has changed since it was packed.';
          log.error({ fields: { agentId: frame.agentId } }, stateError);
          send({ ...frame, state: null, stateError });
          return;
        }
        // An agent that never began here has the state that came from the manager, who still has it.
        if (bytes !== null) send({ t: 'blob', digest: frame.state.digest, data: bytes.toString('base64') });
      }
      send(frame);
    },
    sendReceipts: ({ receipts }) => {
      const signed = receipts.map((doc) => ({ doc, sig: signDocument('receipt', doc, key).sig }));
      send({ t: 'receipts', receipts: signed });
    },
    spawn: (effect) => {
      logs.watch(effect.agentId);
      processes.spawn(effect);
    },
    stopProcess: ({ agentId, graceMs, reason }) => void processes.stop(agentId, graceMs, reason),
    release: ({ agentId, epoch, graceMs, inFlightMs }) =>
      void processes.release(agentId, epoch, graceMs, inFlightMs),
    installState: ({ agentId, epoch, state }) => void install(options, agentId, epoch, state),
    collectState: ({ agentId, epoch }) => {
      const answer = (state: Parameters<typeof states.packedBytes>[1] | null, error: string | null): void =>
        submit({ kind: 'stateCollected', agentId, epoch, state, error });
      states.collect(agentId).then(
        (state) => answer(state, null),
        (error: unknown) => answer(null, (error as Error).message.slice(0, MESSAGE_MAX)),
      );
    },
    purgeState: ({ agentId }) => void purge(options, agentId),
  };
}

async function install(
  { states, blobs, submit }: EffectOptions,
  agentId: string,
  epoch: number,
  state: { readonly digest: string; readonly bytes: number },
): Promise<void> {
  try {
    const bytes = state.digest === EMPTY_STATE.digest ? null : await blobs.fetch(state.digest);
    await states.install(agentId, state, bytes);
    submit({ kind: 'stateReady', agentId, epoch });
  } catch (error) {
    submit({ kind: 'stateFailed', agentId, epoch, message: (error as Error).message.slice(0, MESSAGE_MAX) });
  }
}

async function purge(
  { processes, states, logs, log, submit }: EffectOptions,
  agentId: string,
): Promise<void> {
  try {
    logs.forget(agentId);
    await processes.forget(agentId);
    await states.purge(agentId);
  } catch (error) {
    // The agent is dead and released; files that cannot be deleted do not keep its removal from being done.
    log.error(
      { fields: { agentId, reason: (error as Error).message } },
      'files of a removed agent could not be deleted',
    );
  }
  submit({ kind: 'statePurged', agentId });
}
