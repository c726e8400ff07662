/**
 * What every part of one simulated world shares: time, randomness, the drawn options, the observers that judge, and the
 * omniscient books (which process lives where, which state an agent last wrote).
 *
 * A violation is thrown as `PropertyViolated` and ends the run at once, so the report shows the first thing that was wrong.
 */

import { hash } from 'node:crypto';
import type { AgentExit } from '@muster/contract';
import type { AgentProcess } from './keeper.ts';
import type { Observer } from './observer.ts';
import type { Stream } from './random.ts';
import { Schedule } from './schedule.ts';
import type { Swarm } from './swarm.ts';
import type { Trace } from './trace.ts';

/** A property that must always hold did not. */
export class PropertyViolated extends Error {
  override readonly name = 'PropertyViolated';
  readonly property: string;
  constructor(property: string, detail: string) {
    super(detail);
    this.property = property;
  }
}

export const sha256 = (text: string): string => hash('sha256', text, 'hex');

export interface WorldOptions {
  readonly seed: number;
  readonly stream: Stream;
  readonly swarm: Swarm;
  readonly trace: Trace;
  readonly mutants: ReadonlySet<string>;
}

export class World {
  readonly seed: number;
  readonly stream: Stream;
  readonly swarm: Swarm;
  readonly trace: Trace;
  readonly mutants: ReadonlySet<string>;
  readonly schedule: Schedule;
  readonly observers: Observer[] = [];
  /** Live processes by agent. */
  readonly processes = new Map<string, Set<AgentProcess>>();
  /** False while the world heals: no fault is made any more. */
  chaos = true;
  #pids = 1000;
  #writes = 0;
  readonly #crashStream: Stream;

  constructor(options: WorldOptions) {
    this.seed = options.seed;
    this.stream = options.stream;
    this.swarm = options.swarm;
    this.trace = options.trace;
    this.mutants = options.mutants;
    this.schedule = new Schedule(options.trace);
    this.#crashStream = options.stream.fork('crash-in-step');
  }

  get now(): number {
    return this.schedule.now;
  }
  nextPid = (): number => {
    this.#pids += 1;
    return this.#pids;
  };
  count = (name: string): void => this.trace.count(name);

  fail(property: string, detail: string): never {
    throw new PropertyViolated(property, detail);
  }
  line(node: string, text: string): void {
    this.trace.line(this.now, node, text);
  }

  /** True when the process at this marked point is to die. */
  drawCrash(where: string): boolean {
    const { crashInStep } = this.swarm;
    if (!this.chaos || crashInStep === 0 || !this.#crashStream.chance(crashInStep)) return false;
    this.count(`fault crashInStep ${where}`);
    return true;
  }

  processStarted(process: AgentProcess): void {
    this.line(
      process.host,
      `process ${process.agentId} ${process.epoch}.${process.sub} pid ${process.pid} starts`,
    );
    this.count('process started');
    for (const observer of this.observers) observer.processStarted?.(process);
    const live = this.processes.get(process.agentId) ?? new Set();
    live.add(process);
    this.processes.set(process.agentId, live);
  }

  processEnded(process: AgentProcess, exit: AgentExit): void {
    this.line(
      process.host,
      `process ${process.agentId} ${process.epoch}.${process.sub} ends (${exit.signal ?? exit.code}${exit.requested ? ', asked' : ''})`,
    );
    const live = this.processes.get(process.agentId);
    live?.delete(process);
    if (live?.size === 0) this.processes.delete(process.agentId);
    for (const observer of this.observers) observer.processEnded?.(process);
  }

  /** A new state of an agent; the number is its content. */
  nextWrite(agentId: string): number {
    this.#writes += 1;
    for (const observer of this.observers) observer.stateWritten?.(agentId, this.#writes);
    return this.#writes;
  }
}
