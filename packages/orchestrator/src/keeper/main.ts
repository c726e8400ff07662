/**
 * The keeper process: parent of every agent process of one data directory.
 *
 * It loads node's own modules only. Order at start: take the lock (an abstract socket, given back by the kernel at
 * death), read the durable record, end what an earlier keeper left, find out about limits, and only then listen.
 * Anything unexpected ends the process, and with it all agents: the daemon starts a new one and they come back once.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import type { KillStrength } from '@muster/contract';
import { ControlGroups } from './control-groups.ts';
import { AGENT_MARK, carriesMarks, killUntilNone } from './process-table.ts';
import { RecordDamagedError, RecordLog } from './record.ts';
import { KeeperServer } from './server.ts';
import { Supervisor } from './supervisor.ts';

/** Exit status when another keeper of the same data directory lives. */
const EXIT_LOCKED = 75;
const EXIT_DAMAGED = 65;
const SWEEP_TIMEOUT_MS = 10_000;
const SIGNAL_GRACE_MS = 10_000;

interface Settings {
  readonly directory: string;
  readonly socketPath: string;
  readonly keeperId: string;
  readonly incarnation: string;
  /** PID namespace of the daemon that launched this keeper. */
  readonly launcherNamespace: string;
  readonly wrapper: readonly string[];
}

function readSettings(): Settings {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    options: {
      directory: text,
      socket: text,
      'keeper-id': text,
      incarnation: text,
      'launcher-namespace': text,
    },
    allowPositionals: true,
  });
  const need = (name: keyof typeof values): string => {
    const value = values[name];
    if (value === undefined) throw new Error(`The keeper was started without --${name}.`);
    return value;
  };
  return {
    directory: need('directory'),
    socketPath: need('socket'),
    keeperId: need('keeper-id'),
    incarnation: values.incarnation ?? randomBytes(8).toString('hex'),
    launcherNamespace: need('launcher-namespace'),
    wrapper: positionals,
  };
}

/** Holds a name that only one process can hold, for as long as it lives. */
function takeLock(keeperId: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const lock = net.createServer((socket) => socket.destroy());
    lock.once('error', reject);
    lock.listen(`\0muster-keeper-${keeperId}`, () => {
      lock.unref();
      resolve();
    });
  });
}

/** K2 when the namespace's init is our own parent, so that our end is the end of everything in it. */
function measureStrength(namespace: string, launcherNamespace: string): KillStrength {
  return namespace !== launcherNamespace && process.ppid === 1 ? 'K2' : 'K1';
}

/** The keeper, and the init of its namespace, are the last to go when memory runs out: their end is everybody's. */
function preferOthersForOutOfMemoryKill(strength: KillStrength): void {
  try {
    fs.writeFileSync('/proc/self/oom_score_adj', '-900');
    if (strength !== 'K1') fs.writeFileSync('/proc/1/oom_score_adj', '-900');
  } catch {
    // Needs a right that this user lacks; the keeper is small and works without.
  }
}

async function run(): Promise<void> {
  const settings = readSettings();
  const { directory, keeperId, incarnation } = settings;
  const inheritedMask = process.umask(0o077);
  for (const signal of ['SIGINT', 'SIGHUP', 'SIGPIPE'] as const) process.on(signal, () => {});
  await takeLock(keeperId);
  const pidNamespace = fs.readlinkSync('/proc/self/ns/pid');
  const killStrength = measureStrength(pidNamespace, settings.launcherNamespace);
  preferOthersForOutOfMemoryKill(killStrength);
  const records = new RecordLog(path.join(directory, 'keeper.log'));
  await killUntilNone((stat) => carriesMarks(stat.pid, [`${AGENT_MARK}=${keeperId}`]), SWEEP_TIMEOUT_MS);
  const groups = new ControlGroups(keeperId, path.join(directory, 'control-groups'));
  const supervisor = new Supervisor({
    keeperId,
    records,
    groups,
    wrapper: settings.wrapper,
    pidsAreHostPids: pidNamespace === settings.launcherNamespace,
    onExit: (agent, exit) => server.announceExit(agent, exit),
  });
  const end = (): void => {
    groups.closeAll();
    records.close();
    fs.rmSync(settings.socketPath, { force: true });
    process.exit(0);
  };
  const server = new KeeperServer({
    supervisor,
    introduction: {
      keeperId,
      incarnation,
      pidNamespace,
      pid: process.pid,
      killStrength,
      limits: groups.support,
    },
    onShutdown: end,
  });
  process.on('SIGTERM', () => void supervisor.shutdown(SIGNAL_GRACE_MS).then(end));
  fs.rmSync(settings.socketPath, { force: true });
  await server.listen(settings.socketPath);
  process.umask(inheritedMask);
}

try {
  await run();
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException;
  const locked = code === 'EADDRINUSE';
  process.stderr.write(`${locked ? 'Another keeper of this data directory is alive.' : message}\n`);
  process.exit(locked ? EXIT_LOCKED : error instanceof RecordDamagedError ? EXIT_DAMAGED : 1);
}
