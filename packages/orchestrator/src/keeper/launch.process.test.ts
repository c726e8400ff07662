/** Finding, replacing and refusing keepers, limits, and bad input: what does not depend on the kill strength. */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KeeperConnection } from './connection.ts';
import { KeeperBench, nextExit, pidsByCommandLine, uniqueSeconds, until } from './keeper.fixture.ts';
import { endKeeper, startKeeper } from './launch.ts';
import { keeperPaths } from './paths.ts';
import { isGone, readStat, signalQuietly } from './process-table.ts';

let bench: KeeperBench;

beforeEach(() => {
  bench = new KeeperBench('auto');
});

afterEach(async () => {
  await bench.cleanUp();
});

describe('starting a keeper', () => {
  it('makes one keeper for daemons that come at the same time', async () => {
    const keepers = await Promise.all([bench.open(), bench.open(), bench.open()]);
    expect(new Set(keepers.map((keeper) => keeper.incarnation)).size).toBe(1);
    expect(keepers.filter((keeper) => keeper.started)).toHaveLength(1);
    expect(pidsByCommandLine(`--directory=${bench.dataDir}`).length).toBeGreaterThan(0);
  });

  it('finds it again when the path of the data directory is too long for a socket', async () => {
    const dataDir = path.join(bench.directory, 'long'.repeat(40), 'data');
    const first = await bench.open({ dataDir });
    const second = await bench.open({ dataDir });
    try {
      expect(second.incarnation).toBe(first.incarnation);
      expect(Buffer.byteLength(keeperPaths(dataDir).socket)).toBeLessThanOrEqual(107);
    } finally {
      await second.shutdown(0);
      fs.rmSync(path.dirname(keeperPaths(dataDir).socket), { recursive: true });
    }
  });

  it('replaces a keeper that hangs, and nothing of it is left', async () => {
    const hung = await bench.open();
    const seconds = uniqueSeconds();
    await hung.spawn(bench.agent('a', 1, `exec sleep ${seconds}`));
    await until('the agent to run', () => pidsByCommandLine(seconds).length === 1);
    const hungPid = hung.keeperPid ?? 0;
    const identity = readStat(hungPid);
    process.kill(hungPid, 'SIGSTOP');
    const next = await bench.open({ unreachableAfterMs: 200 });
    expect(next.incarnation).not.toBe(hung.incarnation);
    expect(pidsByCommandLine(seconds)).toEqual([]);
    expect(readStat(hungPid)?.startTicks).not.toBe(identity?.startTicks);
    expect(next.agentsAtOpening).toMatchObject([{ agent: 'a', ranEpoch: 1, running: null }]);
  });

  it('never kills by a pid file of an earlier boot or a process that only has the same pid', async () => {
    const keeper = await bench.open();
    await keeper.shutdown(0);
    const { directoryIdentity, pidFile } = keeperPaths(bench.dataDir);
    const bystander = spawn('sleep', [uniqueSeconds()], { stdio: 'ignore' });
    try {
      const pid = bystander.pid ?? 0;
      const startTicks = readStat(pid)?.startTicks ?? '';
      const bootId = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
      for (const stale of [
        { bootId: 'another boot', directoryIdentity, processes: [{ pid, startTicks }] },
        { bootId, directoryIdentity, processes: [{ pid, startTicks: `1${startTicks}` }] },
        { bootId, directoryIdentity: 'another directory', processes: [{ pid, startTicks }] },
      ]) {
        fs.writeFileSync(pidFile, JSON.stringify({ ...stale, incarnation: '' }));
        await endKeeper(bench.dataDir);
        expect(isGone({ pid, startTicks })).toBe(false);
      }
    } finally {
      bystander.kill('SIGKILL');
    }
  });

  it('names the damaged record instead of starting with a guess', async () => {
    const keeper = await bench.open();
    await keeper.spawn(bench.agent('a', 1, 'true'));
    await keeper.shutdown(0);
    const file = path.join(bench.dataDir, 'keeper', 'keeper.log');
    const bytes = fs.readFileSync(file);
    bytes[bytes.length - 5] = (bytes[bytes.length - 5] ?? 0) ^ 1;
    fs.writeFileSync(file, bytes);
    await expect(bench.open()).rejects.toMatchObject({
      code: 'start-failed',
      message: expect.stringContaining('keeper.log is damaged at line 2') as string,
    });
  });

  it('never takes the agents of a copied data directory for its own', async () => {
    const original = await bench.open();
    const seconds = uniqueSeconds();
    await original.spawn(bench.agent('a', 1, `exec sleep ${seconds}`));
    await until('the agent to run', () => pidsByCommandLine(seconds).length === 1);
    const dataDir = bench.file('copy');
    fs.cpSync(bench.dataDir, dataDir, { recursive: true, filter: (source) => !source.endsWith('.sock') });
    const copy = await bench.open({ dataDir });
    expect(copy.keeperId).not.toBe(original.keeperId);
    await copy.shutdown(0);
    expect(pidsByCommandLine(seconds)).toHaveLength(1);
    expect((await original.list())[0]?.running).not.toBeNull();
  });

  it('survives what a terminal does to its foreground group', async () => {
    const launch = new URL('launch.ts', import.meta.url).href;
    const program = `
      const { startKeeper } = await import(${JSON.stringify(launch)});
      const { connection } = await startKeeper(${JSON.stringify({ dataDir: bench.dataDir })});
      connection.close();
      process.stdout.write('started\\n');
      setInterval(() => {}, 1000);`;
    const daemon = spawn(process.execPath, ['--input-type=module', '-e', program], {
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => daemon.stdout.once('data', resolve));
    const outputClosed = new Promise((resolve) => daemon.once('close', resolve));
    signalQuietly(-(daemon.pid ?? 0), 'SIGINT');
    await outputClosed;
    expect((await bench.open()).started).toBe(false);
  });

  it.runIf(process.getuid?.() === 0)('does not need root', async () => {
    fs.chmodSync(bench.directory, 0o777);
    const launch = new URL('index.ts', import.meta.url).href;
    const agent = bench.agent('a', 1, 'id -u; echo $$');
    const program = `
      const { KeeperClient } = await import(${JSON.stringify(launch)});
      const keeper = await KeeperClient.open(${JSON.stringify({ dataDir: bench.dataDir })});
      const ended = new Promise((resolve) => keeper.onExit((agent, exit) => resolve(exit)));
      await keeper.spawn(${JSON.stringify(agent)});
      const exit = await ended;
      await keeper.shutdown(0);
      process.stdout.write(keeper.killStrength + ' ' + exit.code + '\\n');`;
    const asNobody = ['--reuid=65534', '--regid=65534', '--clear-groups', '--', process.execPath];
    const daemon = spawn('setpriv', [...asNobody, '--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    daemon.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    await new Promise((resolve) => daemon.once('close', resolve));
    expect(output).toMatch(/^K[12] 0\n$/);
    expect(fs.readFileSync(bench.file('a.out'), 'utf8')).toMatch(/^65534\n/);
  });
});

describe('a keeper', () => {
  it('says in a sentence why an agent could not be started, and can start it later', async () => {
    const keeper = await bench.open();
    const failure = async (changes: object): Promise<string> => {
      const agent = bench.agent('a', 1, 'true', changes);
      return keeper.spawn(agent).then(
        () => 'started',
        (error: { code: string; message: string }) => `${error.code}: ${error.message}`,
      );
    };
    fs.writeFileSync(bench.file('script'), '#!/no/such/interpreter\n', { mode: 0o755 });
    fs.writeFileSync(bench.file('plain'), 'text\n', { mode: 0o644 });
    expect(await failure({ command: 'no-such-program' })).toMatch(
      /^spawn-failed: .*no-such-program was not found in /,
    );
    expect(await failure({ command: '/no/such' })).toBe('spawn-failed: Its program /no/such does not exist.');
    expect(await failure({ command: bench.file('plain') })).toMatch(/plain is not executable/);
    expect(await failure({ command: bench.file('script') })).toMatch(
      /or the interpreter its first line names/,
    );
    expect(await failure({ cwd: '/no/such' })).toMatch(/working directory \/no\/such does not exist/);
    expect(await failure({ stdoutPath: '/no/such/a.out' })).toMatch(/directory of its log file/);
    expect((await keeper.list()).map((agent) => agent.running)).toEqual([null]);
    expect(await failure({})).toBe('started');
  });

  it('starts agents with the default preference of the kernel for out-of-memory kills', async () => {
    const keeper = await bench.open();
    const { hostPid } = await keeper.spawn(bench.agent('a', 1, 'sleep 1000'));
    expect(fs.readFileSync(`/proc/${hostPid}/oom_score_adj`, 'utf8').trim()).toBe(
      fs.readFileSync('/proc/self/oom_score_adj', 'utf8').trim(),
    );
  });

  it('enforces a memory limit where the host can, and says why the agent ended', async ({ skip }) => {
    const keeper = await bench.open();
    skip(keeper.limits.memory === 'none', 'this host lets nobody limit memory');
    const exit = nextExit(keeper, 'a');
    const program = 'const held = []; for (;;) held.push(Buffer.alloc(1 << 20, 1));';
    const limits = { memoryBytes: 96 * 1024 * 1024, cpuCores: null };
    await keeper.spawn({
      ...bench.agent('a', 1, ''),
      command: process.execPath,
      args: ['-e', program],
      limits,
    });
    expect(await exit).toMatchObject({ signal: 'SIGKILL', requested: false, memoryExceeded: true });
  });

  it('puts each agent into a control group with its limits, and removes it afterwards', async ({ skip }) => {
    const keeper = await bench.open();
    const { cpu, memory } = keeper.limits;
    skip(cpu !== 'cgroup-v1' || memory !== 'cgroup-v1', 'reads the file names of cgroup v1');
    const limits = { memoryBytes: 64 * 1024 * 1024, cpuCores: 0.5 };
    const { hostPid } = await keeper.spawn(bench.agent('a', 1, 'sleep 1000', { limits }));
    const directories = fs
      .readFileSync(path.join(bench.dataDir, 'keeper', 'control-groups'), 'utf8')
      .trim()
      .split('\n');
    const groups = directories.map((directory) =>
      path.join(directory, fs.readdirSync(directory).find((name) => name.endsWith('-1.1')) ?? ''),
    );
    const read = (file: string): string =>
      fs
        .readFileSync(
          groups.map((group) => path.join(group, file)).find((name) => fs.existsSync(name)) ?? '',
          'utf8',
        )
        .trim();
    expect(read('memory.limit_in_bytes')).toBe(String(limits.memoryBytes));
    expect(read('cpu.cfs_quota_us')).toBe('50000');
    expect(read('cgroup.procs').split('\n')).toContain(String(hostPid));
    await keeper.stop({ agent: 'a', graceMs: 1000 });
    expect(groups.filter((group) => fs.existsSync(group))).toEqual([]);
  });

  it('answers a release only after the time in which its last order could still arrive', async () => {
    const keeper = await bench.open();
    await keeper.spawn(bench.agent('a', 1, 'sleep 1000'));
    const answers: string[] = [];
    const release = keeper.release({ agent: 'a', epoch: 1, graceMs: 0, inFlightMs: 3_600_000 });
    const refused = release.then(
      () => answers.push('released'),
      (error: { code: string }) => answers.push(error.code),
    );
    await expect
      .poll(async () => (await keeper.list())[0])
      .toMatchObject({ releasedEpoch: 1, running: null });
    process.kill(keeper.keeperPid ?? 0, 'SIGKILL');
    await refused;
    expect(answers).toEqual(['keeper-lost']);
  });

  it('forgets the exit of a released agent only, and never its epochs', async () => {
    const keeper = await bench.open();
    const exit = nextExit(keeper, 'a');
    await keeper.spawn(bench.agent('a', 2, 'true'));
    await exit;
    await expect(keeper.forget('nobody')).rejects.toMatchObject({ code: 'unknown-agent' });
    await expect(keeper.forget('a')).rejects.toMatchObject({ code: 'bad-request' });
    await keeper.release({ agent: 'a', epoch: 2, graceMs: 0, inFlightMs: 0 });
    await keeper.forget('a');
    expect(await keeper.list()).toMatchObject([
      { agent: 'a', ranEpoch: 2, releasedEpoch: 2, lastExit: null },
    ]);
  });

  it('refuses other protocol versions and malformed requests, and goes on', async () => {
    const keeper = await bench.open();
    const { socket } = keeperPaths(bench.dataDir);
    const connection = await KeeperConnection.connect(socket);
    await expect(connection.call({ op: 'hello', v: 99 }, 10_000)).rejects.toMatchObject({ code: 'version' });
    const bad = { ...bench.agent('a', 1, 'true'), op: 'spawn', epoch: 'one' } as never;
    await expect(connection.call(bad, 10_000)).rejects.toMatchObject({ code: 'bad-request' });
    await expect(connection.call({ op: 'nonsense' } as never, 10_000)).rejects.toMatchObject({
      code: 'bad-request',
    });
    connection.close();
    const garbage = net.connect(socket);
    const closed = new Promise((resolve) => garbage.once('close', resolve));
    garbage.on('error', () => {});
    garbage.write('this is no request\n');
    await closed;
    expect(await keeper.list()).toEqual([]);
  });

  it('is ended by force together with its agents', async () => {
    const { connection } = await startKeeper({ dataDir: bench.dataDir });
    const lost = new Promise<void>((resolve) => connection.onLost(resolve));
    await endKeeper(bench.dataDir);
    await lost;
    expect(pidsByCommandLine(`--directory=${bench.dataDir}`)).toEqual([]);
  });
});
