/** Event streams and log lines, from the lines that came over the wire. */
import { describe, expect, it } from 'vitest';
import { plainPaint } from '../terminal/paint.ts';
import { EventReader } from './event-reader.ts';
import { logLine } from './log-lines.ts';
import { eventLine } from './streams.ts';

describe('the event reader', () => {
  it('gathers fields until an empty line, and leaves comments and empty events alone', () => {
    const reader = new EventReader();
    const lines = [
      ': begins',
      '',
      'id: 3-1',
      'event: agent.placed',
      'data: {"a":',
      'data: 1}',
      '',
      'event: x',
      '',
      'data: text',
      '',
    ];
    expect(lines.map((line) => reader.accept(line)).filter((event) => event !== undefined)).toEqual([
      { id: '3-1', type: 'agent.placed', data: { a: 1 } },
      { id: '3-1', type: 'message', data: 'text' },
    ]);
  });
});

describe('an event', () => {
  it('is one harmless line', () => {
    const data = {
      type: 'agent.status',
      timestamp: '2026-01-01T00:00:00Z',
      agent_id: 'agt_1',
      detail: 'x\u001b[2J',
      pid: null,
    };
    expect(eventLine({ id: '1-1', type: 'agent.status', data }, plainPaint)).toBe(
      '2026-01-01T00:00:00Z agent.status agent_id=agt_1 detail=x [2J',
    );
    expect(eventLine({ id: '1-1', type: 'reset', data: {} }, plainPaint)).toContain('no longer available');
  });
});

describe('a log line', () => {
  it.each([
    ['plain text\u0007', 'plain text '],
    [{ stream: 'stdout', text: 'hello' }, 'hello'],
    [{ stream: 'stderr', text: 'oh' }, 'err oh'],
    [
      { stream: 'stdout', text: '{"level":"warn","time":"T","msg":"low","left":2,"why":"x"}' },
      'T WARN low left=2 why=x',
    ],
    [{ stream: 'stdout', text: '{"not":"a log"}' }, '{"not":"a log"}'],
    [{ odd: 1 }, '{"odd":1}'],
  ])('%j reads %s', (line, shown) => {
    expect(logLine(line, plainPaint)).toBe(shown);
  });
});
