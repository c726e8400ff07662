/**
 * The machines of a fleet on this computer: their names and directories, and the join tokens of those that are new.
 *
 * A token is made through the public API, bound to the machine's name, valid for an hour, and handed over in a file that only
 * this user can read; it is removed as soon as the machine has its identity.
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { JoinTokenCreated } from '@muster/contract';
import { atomicWriteFile } from '@muster/runtime';
import type { FleetClient } from './fleet-client.ts';

export interface LocalMachine {
  /** From 1; its `orchestrator_id`. */
  readonly number: number;
  readonly name: string;
  readonly dataDirectory: string;
  readonly joinTokenFile: string;
}

export function localMachines(dataDirectory: string, count: number): readonly LocalMachine[] {
  return Array.from({ length: count }, (_each, index) => {
    const name = `orchestrator-${index + 1}`;
    const own = join(dataDirectory, name);
    return { number: index + 1, name, dataDirectory: own, joinTokenFile: join(own, 'join-token') };
  });
}

/** Whether the machine has joined before. */
export function hasIdentity({ dataDirectory }: LocalMachine): boolean {
  return existsSync(join(dataDirectory, 'identity.json'));
}

const tokenLifetimeSeconds = 3600;

/** Makes a token for a machine that has no identity yet. @throws CommandFailure */
export async function prepareMachine(client: FleetClient, machine: LocalMachine): Promise<void> {
  if (hasIdentity(machine)) return forgetToken(machine);
  mkdirSync(machine.dataDirectory, { recursive: true, mode: 0o700 });
  const request = { name: machine.name, expires_in: tokenLifetimeSeconds };
  const { token } = await client.call((api) =>
    api.post<JoinTokenCreated>('/api/v1/cluster/join-tokens', request),
  );
  atomicWriteFile(machine.joinTokenFile, `${token}\n`, 0o600);
}

/** The file to hand to the machine; undefined when it needs none. */
export function tokenFileOf(machine: LocalMachine): string | undefined {
  return !hasIdentity(machine) && existsSync(machine.joinTokenFile) ? machine.joinTokenFile : undefined;
}

export function forgetToken({ joinTokenFile }: LocalMachine): void {
  rmSync(joinTokenFile, { force: true });
}
