/**
 * What `muster up` was asked for: flags first, then the environment, then the defaults.
 */
import { resolve } from 'node:path';
import { type Environment, readInteger, readVariable } from '@muster/runtime';
import { usageFailure } from '../failure.ts';

export interface UpFlags {
  readonly orchestrators?: number;
  readonly port?: number;
  readonly agentPorts?: string;
  readonly data?: string;
  /** False with `--no-demo`. */
  readonly demo: boolean;
}

export interface UpSettings {
  /** 0: any free one. */
  readonly port: number;
  /** One per orchestrator; 0: any free one. */
  readonly agentPorts: readonly number[];
  /** Absolute. */
  readonly dataDirectory: string;
  readonly demo: boolean;
  /** Address that the processes listen on. */
  readonly bind: string;
}

const firstAgentPort = 8001;
const orchestratorsMost = 50;

/** @throws CommandFailure or VariableInvalid */
export function readUpSettings(environment: Environment, flags: UpFlags): UpSettings {
  const port = flags.port ?? readInteger(environment, 'PORT', 0, 65_535) ?? 8000;
  const given = flags.agentPorts ?? readVariable(environment, 'AGENT_PORTS');
  const listed = given === undefined ? undefined : parsePorts(given);
  const count =
    flags.orchestrators ??
    readInteger(environment, 'ORCHESTRATORS', 0, orchestratorsMost) ??
    listed?.length ??
    2;
  if (listed !== undefined && listed.length < count) {
    throw usageFailure(`--agent-ports names ${listed.length} ports for ${count} orchestrators`);
  }
  const agentPorts = Array.from(
    { length: count },
    (_each, index) => listed?.[index] ?? firstAgentPort + index,
  );
  const taken = [port, ...agentPorts].filter((each) => each !== 0);
  const twice = taken.find((each, index) => taken.indexOf(each) !== index);
  if (twice !== undefined) {
    throw usageFailure(
      `Port ${twice} is meant for two processes`,
      'Choose others with --port or --agent-ports.',
    );
  }
  return {
    port,
    agentPorts,
    dataDirectory: resolve(flags.data ?? readVariable(environment, 'DATA_DIR') ?? '.muster'),
    demo: flags.demo,
    bind: readVariable(environment, 'BIND')?.trim() ?? '127.0.0.1',
  };
}

function parsePorts(text: string): readonly number[] {
  const ports = text.split(',').map((each) => each.trim());
  if (!ports.every((each) => /^\d{1,5}$/.test(each) && Number(each) <= 65_535)) {
    throw usageFailure(`--agent-ports ${text} is no list of ports`, 'For example: --agent-ports 8001,8002');
  }
  return ports.map(Number);
}
