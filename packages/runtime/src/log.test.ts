import { describe, expect, test } from 'vitest';
import { VariableInvalid } from './environment.ts';
import { createLog, type LogOptions, noteToLog, readableLine, readLogFormat, readLogLevel } from './log.ts';
import { Secret } from './secret.ts';

function capture(options: Partial<LogOptions> = {}): { log: ReturnType<typeof createLog>; lines: string[] } {
  const lines: string[] = [];
  return { log: createLog({ name: 'manager', write: (line) => void lines.push(line), ...options }), lines };
}

describe('the log', () => {
  test('writes one JSON object per line with level, time, name and message', () => {
    const { log, lines } = capture();
    log.info({ port: 8000 }, 'listening');
    log.debug('not shown');
    expect(lines).toHaveLength(1);
    const entry = JSON.parse(String(lines[0])) as Record<string, unknown>;
    expect(entry).toMatchObject({ level: 'info', name: 'manager', msg: 'listening', port: 8000 });
    expect(entry['time']).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
  });

  test('shows neither secrets nor credentials in headers', () => {
    const { log, lines } = capture();
    const headers = {
      authorization: 'Bearer canary',
      cookie: 'canary',
      'set-cookie': 'canary',
      host: 'here',
    };
    log.info(
      {
        password: new Secret('canary'),
        deep: { a: { b: { c: new Secret('canary') } } },
        headers,
        req: { headers },
      },
      'request',
    );
    expect(lines.join()).not.toContain('canary');
    expect(lines.join()).toContain('"host":"here"');
  });

  test('turns notes into lines whose own fields cannot hide level or message', () => {
    const { log, lines } = capture();
    noteToLog(log, {
      level: 'warn',
      event: 'orchestrator.lost',
      fields: { level: 'info', msg: 'fine', id: 'o1' },
    });
    const entry = JSON.parse(String(lines[0])) as Record<string, unknown>;
    expect(entry).toMatchObject({ level: 'warn', msg: 'orchestrator.lost', fields: { id: 'o1' } });
  });

  test('in text is one line for people, errors with their stack below', () => {
    const { log, lines } = capture({ format: 'text' });
    noteToLog(log, { level: 'warn', event: 'agent.exited', fields: { code: 1, why: 'out of memory' } });
    expect(lines[0]).toMatch(/^\S+Z WARN {2}manager: agent\.exited code=1 why="out of memory"\n$/);
    log.error({ err: new Error('broken') }, 'failed');
    expect(lines[1]).toMatch(/ERROR manager: failed\n {4}Error: broken\n {4}at /);
  });

  test('in text lets nothing forge a line or reach the terminal as a command', () => {
    const { log, lines } = capture({ format: 'text' });
    log.info({ from: 'a\nb', 'k\u001b[2J': '\u001b[31m', mark: '\u202e' }, 'x\r\n\u001b[2J2026 INFO forged');
    expect(lines).toHaveLength(1);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they must not be there
    expect(String(lines[0]).slice(0, -1)).not.toMatch(/[\u0000-\u001f\u202e]/);
    expect(readableLine('not json\u0007\n')).toBe('not json\\u0007\n');
  });
});

describe('the settings of the log', () => {
  test('understand level names in any case, and those of Python', () => {
    const levels = ['INFO', 'Warning', 'CRITICAL', 'debug', 'off'].map((text) =>
      readLogLevel({ LOG_LEVEL: text }),
    );
    expect(levels).toEqual(['info', 'warn', 'fatal', 'debug', 'silent']);
    expect(readLogLevel({})).toBe('info');
    expect(() => readLogLevel({ LOG_LEVEL: 'loud' })).toThrow(VariableInvalid);
  });

  test('choose text for a terminal unless told otherwise', () => {
    expect(readLogFormat({}, true)).toBe('text');
    expect(readLogFormat({}, false)).toBe('json');
    expect(readLogFormat({ LOG_FORMAT: 'JSON' }, true)).toBe('json');
    expect(readLogFormat({ LOG_FORMAT: 'text' }, false)).toBe('text');
  });
});
