/** What only real processes can show: locks that die with them, exit codes, lines that are flushed, and kill -9. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { DataDirectoryInUse, openDataDirectory, openSqliteJournal, verifySqliteJournal } from './index.ts';
import { TemporaryFolder } from './temporary-folder.ts';

const door = new URL('./index.ts', import.meta.url).href;

class Program implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown[]>;
  output = '';
  constructor(source: string) {
    const code = `import * as muster from ${JSON.stringify(door)};\n${source}`;
    this.child = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.output += text;
    });
    this.exited = once(this.child, 'close');
  }
  async says(text: string): Promise<void> {
    while (!this.output.includes(text)) {
      if (this.child.exitCode !== null) throw new Error(`ended with ${this.child.exitCode}: ${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }
}

test('a data directory is refused while another process holds it, and free once that was killed', async () => {
  using folder = new TemporaryFolder();
  const path = folder.file('data');
  await using holder = new Program(
    `muster.openDataDirectory(${JSON.stringify(path)}); console.log('held'); setInterval(() => {}, 1000);`,
  );
  await holder.says('held');
  expect(() => openDataDirectory(path)).toThrow(DataDirectoryInUse);
  expect(() => openDataDirectory(path)).toThrow(`process ${holder.child.pid}`);
  holder.child.kill('SIGKILL');
  await holder.exited;
  openDataDirectory(path).close();
});

test('kill -9 while appending loses nothing that was acknowledged, ten times in a row on one journal', async () => {
  using folder = new TemporaryFolder();
  const path = folder.file('journal.db');
  for (let round = 0; round < 10; round += 1) {
    await using writer = new Program(`
      const journal = await muster.openSqliteJournal(${JSON.stringify(path)});
      console.log('open');
      for (let index = 0; ; index += 1) {
        await Promise.all([1, 2, 3].map((part) => journal.append([{ kind: 'made', at: index, body: { index, part } }])));
        process.stdout.write('acknowledged ' + journal.head.seq + '\\n');
        if (index % 20 === 19) await journal.writeSnapshot(journal.head.seq, { index });
      }`);
    await writer.says('acknowledged');
    const enough = 40 * (round + 1);
    while (writer.output.length < enough * 10) await new Promise((resolve) => setTimeout(resolve, 2));
    writer.child.kill('SIGKILL');
    await writer.exited;
    const acknowledged = Number([...writer.output.matchAll(/acknowledged (\d+)\n/g)].at(-1)?.[1]);
    const journal = await openSqliteJournal(path);
    expect(journal.head.seq).toBeGreaterThanOrEqual(acknowledged);
    const { snapshot, records } = await journal.load();
    expect((snapshot?.seq ?? 0) + records.length).toBe(journal.head.seq);
    await journal.close();
    expect(verifySqliteJournal(path)).toMatchObject({ ok: true, count: journal.head.seq });
  }
});

test('an uncaught error is logged to the last line and ends the process with 70; a signal stops it in order with 0', async () => {
  const start = `
    const log = muster.createLog({ name: 'program' });
    const shutdown = muster.installShutdown({ process, log: (level, message, err) => log[level]({ err }, message) });
    shutdown.onShutdown('step', () => log.info('step ran'));
    log.info('ready');
    setInterval(() => {}, 1000);`;
  await using failing = new Program(`${start} setImmediate(() => { throw new Error('bug'); });`);
  expect((await failing.exited)[0]).toBe(70);
  expect(failing.output.trim().split('\n').at(-1)).toContain('"message":"bug"');
  await using stopping = new Program(start);
  await stopping.says('ready');
  stopping.child.kill('SIGTERM');
  expect((await stopping.exited)[0]).toBe(0);
  expect(stopping.output).toContain('step ran');
});
