/** What a keeper promises about agents, with real processes, inside a PID namespace and without one. */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ownPidNamespace } from './host-pids.ts';
import { KeeperBench, nextExit, pidsByCommandLine, uniqueSeconds, until } from './keeper.fixture.ts';
import { readStat } from './process-table.ts';

const IGNORES_TERM = 'trap "" TERM; echo ready; while :; do sleep 1; done';

async function namespacesWork(): Promise<boolean> {
  const bench = new KeeperBench('namespace');
  try {
    return (await bench.open()).killStrength === 'K2';
  } catch {
    return false;
  } finally {
    await bench.cleanUp();
  }
}

const strengths = (await namespacesWork())
  ? [['K2', 'namespace'] as const, ['K1', 'plain'] as const]
  : [['K1', 'plain'] as const];

describe.each(strengths)('a keeper of strength %s', (strength, isolation) => {
  let bench: KeeperBench;

  beforeEach(() => {
    bench = new KeeperBench(isolation);
  });

  afterEach(async () => {
    await bench.cleanUp();
  });

  it('measures its strength and shows agents by their host pid', async () => {
    const keeper = await bench.open();
    expect(keeper.killStrength).toBe(strength);
    expect(keeper.started).toBe(true);
    const seconds = uniqueSeconds();
    const spawned = await keeper.spawn(bench.agent('a', 1, `exec sleep ${seconds}`, { note: 'order 7' }));
    await until('the agent to run', () => pidsByCommandLine(seconds).length === 1);
    expect(pidsByCommandLine(seconds)).toEqual([spawned.hostPid]);
    expect(spawned.pid === spawned.hostPid).toBe(strength === 'K1');
    const inner = fs.readlinkSync(`/proc/${spawned.hostPid}/ns/pid`);
    expect(inner === ownPidNamespace()).toBe(strength === 'K1');
    expect(await keeper.list()).toMatchObject([
      {
        agent: 'a',
        ranEpoch: 1,
        sub: 1,
        note: 'order 7',
        running: { hostPid: spawned.hostPid, stopping: false },
      },
    ]);
    expect(pidsByCommandLine('keeper/main.ts')).toContain(keeper.keeperPid);
  });

  it('appends output to the given files and hands the agent its epoch, never the environment of the daemon', async () => {
    const keeper = await bench.open();
    fs.writeFileSync(bench.file('a.out'), 'earlier\n');
    const exit = nextExit(keeper, 'a');
    await keeper.spawn(
      bench.agent('a', 4, 'echo "$MUSTER_EPOCH"; echo oops >&2; env | cut -d= -f1 >names; exit 3'),
    );
    expect(await exit).toMatchObject({ epoch: 4, sub: 1, code: 3, signal: null, requested: false });
    expect(fs.readFileSync(bench.file('a.out'), 'utf8')).toBe('earlier\n4.1\n');
    expect(fs.readFileSync(bench.file('a.err'), 'utf8')).toBe('oops\n');
    const names = fs.readFileSync(bench.file('names'), 'utf8').trim().split('\n');
    expect(names.filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name)).sort()).toEqual([
      'MUSTER_AGENT',
      'MUSTER_EPOCH',
      'MUSTER_KEEPER',
      'PATH',
    ]);
  });

  it('never runs two processes of one agent', async () => {
    const keeper = await bench.open();
    const seconds = uniqueSeconds();
    const attempts = await Promise.allSettled(
      [1, 1, 2, 1].map((epoch) => keeper.spawn(bench.agent('a', epoch, `exec sleep ${seconds}`))),
    );
    expect(attempts.map((attempt) => attempt.status)).toEqual([
      'fulfilled',
      'rejected',
      'rejected',
      'rejected',
    ]);
    await expect(keeper.spawn(bench.agent('a', 1, 'true'))).rejects.toMatchObject({
      code: 'already-running',
    });
    await until('the agent to run', () => pidsByCommandLine(seconds).length > 0);
    expect(pidsByCommandLine(seconds)).toHaveLength(1);
  });

  it('keeps agents running when the daemon is killed, and the next daemon finds them', async () => {
    const seconds = uniqueSeconds();
    const client = new URL('client.ts', import.meta.url).href;
    const program = `
      const { KeeperClient } = await import(${JSON.stringify(client)});
      const keeper = await KeeperClient.open(${JSON.stringify({ dataDir: bench.dataDir, isolation })});
      const spawned = await keeper.spawn(${JSON.stringify(bench.agent('a', 1, `exec sleep ${seconds}`))});
      process.stdout.write(spawned.hostPid + '\\n');`;
    const daemon = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const hostPid = await new Promise<number>((resolve) => {
      daemon.stdout.once('data', (chunk: Buffer) => resolve(Number(chunk.toString())));
    });
    const closed = new Promise((resolve) => daemon.once('close', resolve));
    daemon.kill('SIGKILL');
    await closed;
    const keeper = await bench.open();
    expect(keeper.started).toBe(false);
    expect(keeper.agentsAtOpening).toMatchObject([{ agent: 'a', ranEpoch: 1, sub: 1, running: { hostPid } }]);
    expect(pidsByCommandLine(seconds)).toEqual([hostPid]);
    await expect(keeper.spawn(bench.agent('a', 1, 'true'))).rejects.toMatchObject({
      code: 'already-running',
    });
  });

  it('tells a daemon that was away how its agents ended', async () => {
    const first = await bench.open();
    await first.spawn(bench.agent('a', 1, `until [ -e ${bench.file('go')} ]; do sleep 0.01; done; exit 9`));
    first.close();
    fs.writeFileSync(bench.file('go'), '');
    await until('the agent to end', () => pidsByCommandLine(bench.file('go')).length === 0);
    const second = await bench.open();
    await expect
      .poll(async () => (await second.list())[0]?.lastExit)
      .toMatchObject({ epoch: 1, sub: 1, code: 9, requested: false });
  });

  it('ends an agent that ignores SIGTERM after its grace, and a later stop cuts the grace short', async () => {
    const keeper = await bench.open();
    await keeper.spawn(bench.agent('a', 1, IGNORES_TERM));
    await keeper.spawn(bench.agent('b', 1, IGNORES_TERM));
    await bench.line('a.out');
    await bench.line('b.out');
    const exit = nextExit(keeper, 'a');
    expect(await keeper.stop({ agent: 'a', graceMs: 100 })).toMatchObject({ wasRunning: true });
    expect(await exit).toMatchObject({ signal: 'SIGKILL', requested: true });
    const patient = keeper.stop({ agent: 'b', graceMs: 3_600_000 });
    await expect.poll(async () => (await keeper.list())[1]?.running?.stopping).toBe(true);
    await keeper.stop({ agent: 'b', graceMs: 0 });
    await patient;
    expect((await keeper.list()).map((agent) => agent.running)).toEqual([null, null]);
  });

  it('lets an agent end by itself within its grace', async () => {
    const keeper = await bench.open();
    await keeper.spawn(
      bench.agent('a', 1, 'trap "echo bye; exit 0" TERM; echo ready; while :; do sleep 0.05; done'),
    );
    await bench.line('a.out');
    const exit = nextExit(keeper, 'a');
    await keeper.stop({ agent: 'a', graceMs: 60_000 });
    expect(await exit).toMatchObject({ code: 0, signal: null, requested: true });
    expect(fs.readFileSync(bench.file('a.out'), 'utf8')).toBe('ready\nbye\n');
  });

  it('counts an agent as ended only when its group and what escaped from it are dead', async () => {
    const keeper = await bench.open();
    const [child, escaped] = [uniqueSeconds(), uniqueSeconds()];
    const exit = nextExit(keeper, 'a');
    const script = `sleep ${child} & (setsid sleep ${escaped} &) ; until [ -e go ]; do sleep 0.01; done; exit 5`;
    await keeper.spawn(bench.agent('a', 1, script));
    await until('the children to run', () =>
      [child, escaped].every((text) => pidsByCommandLine(`sleep\0${text}`).length),
    );
    fs.writeFileSync(bench.file('go'), '');
    expect(await exit).toMatchObject({ code: 5, requested: false });
    expect([...pidsByCommandLine(child), ...pidsByCommandLine(escaped)]).toEqual([]);
  });

  it('takes its agents along when it is killed, and they can come back once', async () => {
    const keeper = await bench.open();
    const [main, escaped] = [uniqueSeconds(), uniqueSeconds()];
    await keeper.spawn(bench.agent('a', 2, `(setsid sleep ${escaped} &) ; exec sleep ${main}`));
    await until('both to run', () =>
      [main, escaped].every((text) => pidsByCommandLine(`sleep\0${text}`).length === 1),
    );
    const lost = new Promise<void>((resolve) => keeper.onKeeperLost(resolve));
    process.kill(keeper.keeperPid ?? 0, 'SIGKILL');
    await lost;
    await until('the agent to die', () => pidsByCommandLine(main).length === 0);
    if (strength === 'K2')
      await until('its escaped child to die', () => pidsByCommandLine(escaped).length === 0);
    const next = await bench.open();
    expect(next.started).toBe(true);
    expect(next.incarnation).not.toBe(keeper.incarnation);
    expect(pidsByCommandLine(escaped)).toEqual([]);
    expect(next.agentsAtOpening).toMatchObject([{ agent: 'a', ranEpoch: 2, sub: 1, running: null }]);
    expect(await next.spawn(bench.agent('a', 2, 'sleep 1'))).toMatchObject({ epoch: 2, sub: 2 });
  });

  it('leaves nothing of a killed keeper to a new one, not even a child that shed session and environment', async () => {
    const keeper = await bench.open();
    // With neither namespace nor control group nothing connects such a child with its agent any more.
    const isHeld = strength === 'K2' || keeper.limits.memory !== 'none' || keeper.limits.cpu !== 'none';
    const [main, escaped] = [uniqueSeconds(), uniqueSeconds()];
    const script = `until [ -e go ]; do sleep 0.01; done; (env -i setsid sleep ${escaped} &) ; exec sleep ${main}`;
    await keeper.spawn(bench.agent('a', 2, script));
    fs.writeFileSync(bench.file('go'), '');
    await until('both to run', () =>
      [main, escaped].every((text) => pidsByCommandLine(`sleep\0${text}`).length === 1),
    );
    process.kill(keeper.keeperPid ?? 0, 'SIGKILL');
    await until('the agent to die', () => pidsByCommandLine(main).length === 0);
    const next = await bench.open();
    expect(next.started).toBe(true);
    const left = pidsByCommandLine(`sleep\0${escaped}`);
    for (const pid of left) process.kill(pid, 'SIGKILL');
    expect(left).toHaveLength(isHeld ? 0 : 1);
  });

  // Without a namespace nobody holds one.
  it.for(strength === 'K2' ? [strength] : [])(
    'dies with its agents when the holder of the namespace is killed',
    async () => {
      const keeper = await bench.open();
      const seconds = uniqueSeconds();
      await keeper.spawn(bench.agent('a', 1, `exec sleep ${seconds}`));
      await until('the agent to run', () => pidsByCommandLine(seconds).length === 1);
      const init = readStat(keeper.keeperPid ?? 0)?.parentPid ?? 0;
      const holder = readStat(init)?.parentPid ?? 0;
      expect(fs.readFileSync(`/proc/${holder}/comm`, 'utf8')).toBe('unshare\n');
      process.kill(holder, 'SIGKILL');
      await until('everything to die', () => pidsByCommandLine(seconds).length === 0);
      await until('the keeper to die', () => pidsByCommandLine(`--directory=${bench.dataDir}`).length === 0);
    },
  );

  it('refuses a released epoch for ever, also late and also after it was restarted', async () => {
    const keeper = await bench.open();
    await keeper.spawn(bench.agent('a', 5, IGNORES_TERM));
    await bench.line('a.out');
    const released = { op: 'release', agent: 'a', epoch: 5, releasedEpoch: 5 };
    expect(await keeper.release({ agent: 'a', epoch: 5, graceMs: 50, inFlightMs: 100 })).toEqual(released);
    expect(await keeper.release({ agent: 'a', epoch: 5, graceMs: 50, inFlightMs: 0 })).toEqual(released);
    await keeper.release({ agent: 'never-seen', epoch: 3, graceMs: 0, inFlightMs: 0 });
    await expect(keeper.spawn(bench.agent('a', 5, 'true'))).rejects.toMatchObject({ code: 'epoch-released' });
    process.kill(keeper.keeperPid ?? 0, 'SIGKILL');
    const next = await bench.open();
    expect(next.incarnation).not.toBe(keeper.incarnation);
    await expect(next.spawn(bench.agent('a', 5, 'true'))).rejects.toMatchObject({ code: 'epoch-released' });
    await expect(next.spawn(bench.agent('never-seen', 3, 'true'))).rejects.toMatchObject({
      code: 'epoch-released',
    });
    expect(await next.spawn(bench.agent('a', 7, 'true'))).toMatchObject({ epoch: 7, sub: 1 });
    await expect.poll(async () => (await next.list())[0]?.running).toBeNull();
    await expect(next.spawn(bench.agent('a', 6, 'true'))).rejects.toMatchObject({ code: 'epoch-stale' });
  });

  it('lets a release of an older epoch pass by the running one', async () => {
    const keeper = await bench.open();
    const { pid } = await keeper.spawn(bench.agent('a', 4, 'sleep 1000'));
    await keeper.release({ agent: 'a', epoch: 3, graceMs: 0, inFlightMs: 0 });
    expect(await keeper.list()).toMatchObject([{ releasedEpoch: 3, running: { pid } }]);
  });

  it('kills an agent whose lease has run out, and starts none whose lease is over', async () => {
    const keeper = await bench.open();
    const exit = nextExit(keeper, 'a');
    await keeper.spawn(bench.agent('a', 1, IGNORES_TERM, { deadlineUptimeMs: os.uptime() * 1000 + 300 }));
    expect(await exit).toMatchObject({ signal: 'SIGKILL', requested: true });
    const late = bench.agent('a', 1, 'true', { deadlineUptimeMs: os.uptime() * 1000 - 1 });
    await expect(keeper.spawn(late)).rejects.toMatchObject({ code: 'spawn-failed' });
  });

  it('ends everything at shutdown and leaves no process, socket or control group', async () => {
    const keeper = await bench.open();
    const [polite, deaf] = [uniqueSeconds(), uniqueSeconds()];
    await keeper.spawn(bench.agent('a', 1, `exec sleep ${polite}`));
    await keeper.spawn(bench.agent('b', 1, `trap "" TERM; while :; do sleep ${deaf}; done`));
    await keeper.shutdown(100);
    expect([
      ...pidsByCommandLine(polite),
      ...pidsByCommandLine(deaf),
      ...pidsByCommandLine(bench.dataDir),
    ]).toEqual([]);
    expect(fs.existsSync(`${bench.dataDir}/keeper/keeper.sock`)).toBe(false);
    const groups = fs.readFileSync(`${bench.dataDir}/keeper/control-groups`, 'utf8').trim().split('\n');
    expect(groups.filter((group) => group !== '' && fs.existsSync(group))).toEqual([]);
  });
});
