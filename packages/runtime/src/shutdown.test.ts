import { EventEmitter } from 'node:events';
import { describe, expect, test } from 'vitest';
import { installShutdown, type Shutdown } from './shutdown.ts';

class FakeProcess extends EventEmitter {
  readonly codes: number[] = [];
  readonly exited: Promise<void>;
  #resolve = (): void => {};
  constructor() {
    super();
    this.exited = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }
  exit(code: number): void {
    this.codes.push(code);
    this.#resolve();
  }
}

function install(limitMs?: number): { fake: FakeProcess; lines: string[]; shutdown: Shutdown } {
  const fake = new FakeProcess();
  const lines: string[] = [];
  const log = (level: string, message: string): void => void lines.push(`${level} ${message}`);
  const shutdown = installShutdown({ process: fake, log, ...(limitMs !== undefined && { limitMs }) });
  return { fake, lines, shutdown };
}

describe('shutting down', () => {
  test('runs the steps one after the other, the last registered first, once', async () => {
    const { fake, shutdown } = install();
    const order: string[] = [];
    shutdown.onShutdown('journal', () => void order.push('journal'));
    shutdown.onShutdown('server', async () => {
      await new Promise((resolve) => setImmediate(resolve));
      order.push('server');
    });
    fake.emit('SIGTERM');
    expect(shutdown.isStopping).toBe(true);
    void shutdown.stop('again');
    await fake.exited;
    expect(order).toEqual(['server', 'journal']);
    expect(fake.codes).toEqual([0]);
  });

  test('goes on after a step that fails, and ends with 1', async () => {
    const { fake, shutdown, lines } = install();
    const order: string[] = [];
    shutdown.onShutdown('first', () => void order.push('first'));
    shutdown.onShutdown('second', () => {
      throw new Error('no');
    });
    fake.emit('SIGINT');
    await fake.exited;
    expect(order).toEqual(['first']);
    expect(fake.codes).toEqual([1]);
    expect(lines).toContain('error Stopping failed at: second');
  });

  test('ends at once on a second signal, naming where it hung', () => {
    const { fake, shutdown, lines } = install();
    shutdown.onShutdown('stuck', () => new Promise(() => {}));
    fake.emit('SIGTERM');
    fake.emit('SIGINT');
    expect(fake.codes).toEqual([130]);
    expect(lines.at(-1)).toBe('warn SIGINT again: ending at once, at: stuck');
  });

  test('ends when the time limit passes', async () => {
    const { fake, shutdown, lines } = install(5);
    shutdown.onShutdown('stuck', () => new Promise(() => {}));
    fake.emit('SIGTERM');
    await fake.exited;
    expect(fake.codes).toEqual([1]);
    expect(lines.at(-1)).toContain('at: stuck');
  });

  test('ends at once with 70 on what nobody caught, without the steps', () => {
    for (const event of ['uncaughtException', 'unhandledRejection']) {
      const { fake, shutdown, lines } = install();
      let ran = false;
      shutdown.onShutdown('step', () => {
        ran = true;
      });
      fake.emit(event, new Error('bug'));
      shutdown.fatal(new Error('again'));
      expect(fake.codes).toEqual([70]);
      expect(lines).toHaveLength(1);
      expect(ran).toBe(false);
    }
  });
});
