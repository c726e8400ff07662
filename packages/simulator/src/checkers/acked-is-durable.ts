/**
 * S8: what a client was told is done is in the journal at that moment and after every later crash. Each kind of answer names
 * the facts it promises; the facts are read from the records on disk, not from the machine.
 */
import type { CommandResult, ManagerCommand, ManagerRecord } from '../machines.ts';
import type { Observer } from '../observer.ts';
import type { World } from '../world.ts';

type Value = Readonly<Record<string, unknown>>;

/** What a record proves, as words that promises can name. */
function proofs(record: ManagerRecord): string[] {
  switch (record.kind) {
    case 'agentDeployed':
      return [`deployed ${record.body.id}`];
    case 'agentPlaced':
      return [`placed ${record.body.agentId} ${record.body.epoch}`];
    case 'agentDesired':
      return [`desired ${record.body.agentId} ${record.body.desired}`];
    case 'agentRemoved':
      return [`removed ${record.body.agentId}`];
    case 'agentRestartOrdered':
      return [`restarted ${record.body.agentId} ${record.body.epoch}`];
    case 'joinTokenCreated':
      return [`token ${record.body.id}`];
    case 'orchestratorEnrolled':
    case 'orchestratorRejoined':
      return [`joined ${record.body.id} ${record.body.publicKey ?? ''}`];
    case 'orchestratorDeregistered':
      return [`deregistered ${record.body.id}`];
    case 'customerCreated':
      return [`customer ${record.body.id}`];
    default:
      return [];
  }
}

function promises(command: ManagerCommand, value: Value): string[] {
  switch (command.kind) {
    case 'deploy': {
      const agents = value['agents'] as readonly { agentId: string; epoch: number }[];
      return agents.flatMap(({ agentId, epoch }) => [`deployed ${agentId}`, `placed ${agentId} ${epoch}`]);
    }
    case 'stopAgent':
      return [`desired ${command.agentId} stopped`];
    case 'removeAgent':
      return [
        `desired ${command.agentId} removed`,
        ...(value['status'] === 'removed' ? [`removed ${command.agentId}`] : []),
      ];
    case 'restartAgent':
      return [`restarted ${command.agentId} ${String(value['epoch'])}`];
    case 'createJoinToken':
      return [`token ${command.id}`];
    case 'enrol':
      return [`joined ${String(value['orchestratorId'])} ${command.publicKey}`];
    case 'deregister':
      return [`deregistered ${command.orchestratorId}`];
    case 'createCustomer':
      return [`customer ${command.id}`];
    default:
      return [];
  }
}

export function ackedIsDurable(world: World): Observer {
  const property = 'acked-is-durable';
  let proven = new Set<string>();
  const promised = new Map<string, string>();
  return {
    property,
    managerDurable(records) {
      for (const record of records) for (const proof of proofs(record)) proven.add(proof);
    },
    managerStarted(records) {
      proven = new Set((records as readonly ManagerRecord[]).flatMap(proofs));
      for (const [promise, command] of promised) {
        if (!proven.has(promise))
          world.fail(property, `${command} was acknowledged, after the crash "${promise}" is gone`);
      }
    },
    replied(command: ManagerCommand, result: CommandResult) {
      if (!result.ok) return;
      for (const promise of promises(command, result.value)) {
        promised.set(promise, command.kind);
        if (!proven.has(promise))
          world.fail(property, `${command.kind} is acknowledged, "${promise}" is not on disk`);
      }
    },
  };
}
