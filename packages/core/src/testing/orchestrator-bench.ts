/**
 * The orchestrator machine by itself, for its tests: inputs in, the effects of the last step out, its journal kept so that a
 * next life can start from it.
 */
import type { AgentSpec, KeeperAgent, TargetChange, TargetDocument, TargetEntry } from '@muster/contract';
import type { JournalRecord } from '../machine.ts';
import { nextTargetDigest } from '../manager/ledger.ts';
import {
  type OrchestratorEffect,
  type OrchestratorInput,
  OrchestratorMachine,
} from '../orchestrator/index.ts';
import { countingRandom, toyDigest } from './manager-bench.ts';

const spec: AgentSpec = {
  name: 'a',
  customerId: 'default',
  type: 'worker',
  typeVersion: '1.0.0',
  config: {},
  resources: { memoryBytes: 0, cpuCores: 0 },
  onDisconnect: { rule: 'continue' },
  stopGraceMs: 1_000,
  inFlightMs: 0,
};
export const entry = (agentId: string, epoch: number, more: Partial<TargetEntry> = {}): TargetEntry => ({
  agentId,
  epoch,
  orderId: `ord-${agentId}-${epoch}-${more.want ?? 'run'}-${more.restarts ?? 0}`,
  want: 'run',
  restarts: 0,
  spec,
  initialState: null,
  ...more,
});

export class OrchestratorBench {
  readonly journal: JournalRecord[] = [];
  readonly machine: OrchestratorMachine;
  effects: OrchestratorEffect[] = [];
  mono = 1_000_000;
  revision = 0;
  digest = '';

  constructor(records: readonly JournalRecord[] = [], maxAgents = 10, orchestratorId = 'o1') {
    this.machine = new OrchestratorMachine({
      orchestratorId,
      random: countingRandom(),
      digest: toyDigest,
      maxAgents,
      records,
    });
    this.journal.push(...records);
  }
  input(input: OrchestratorInput): OrchestratorEffect[] {
    this.effects = [];
    this.machine.step({ mono: this.mono, wall: this.mono }, input, this.effects);
    for (const effect of this.effects) if (effect.kind === 'append') this.journal.push(...effect.records);
    return this.effects;
  }
  pass(ms: number): void {
    this.mono += ms;
    this.input({ kind: 'tick' });
  }
  ready(agents: KeeperAgent[] = []): this {
    this.input({ kind: 'keeperUp', agents });
    const host = {
      name: 'o',
      hostAddress: '',
      apiPort: 1,
      capabilities: [],
      maxAgents: 10,
      resources: {},
      metadata: {},
    };
    this.input({ kind: 'host', host });
    this.input({ kind: 'linkUp', generation: 1, beatIntervalMs: 5_000 });
    return this;
  }
  target(target: TargetDocument): OrchestratorEffect[] {
    return this.input({ kind: 'order', body: { kind: 'target', target } });
  }
  change(...changes: TargetChange[]): OrchestratorEffect[] {
    const base = this.revision;
    const baseDigest = this.digest;
    for (const change of changes) this.digest = nextTargetDigest(this.digest, change, toyDigest);
    this.revision += changes.length;
    return this.target({
      kind: 'incremental',
      generation: 1,
      base,
      baseDigest,
      revision: this.revision,
      digest: this.digest,
      changes,
    });
  }
  start(): this {
    this.ready();
    this.target({ kind: 'complete', generation: 1, revision: 0, digest: '', entries: [], tombstones: [] });
    return this;
  }
  run(agentId: string, epoch: number): this {
    this.change({ kind: 'put', entry: entry(agentId, epoch) });
    this.input({ kind: 'spawned', agentId, epoch, sub: 1, pid: 7, hostPid: 107 });
    return this;
  }
  kinds(): string[] {
    return this.effects
      .map((effect) => (effect.kind === 'send' ? effect.frame.t : effect.kind))
      .filter((kind) => kind !== 'note' && kind !== 'status');
  }
  exit(agentId: string, epoch: number, sub: number, requested = false): void {
    this.input({
      kind: 'exited',
      agentId,
      exit: { epoch, sub, code: 1, signal: null, at: this.mono, requested, memoryExceeded: false } as never,
    });
  }
}
