/** The event stream: what it shows to whom, and how it goes on after a break. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type TestManager, testManager, until } from '../../testing/manager-fixture.ts';

let test: TestManager;
const leaving: AbortController[] = [];
beforeEach(async () => {
  test = await testManager();
});
afterEach(async () => {
  for (const leave of leaving.splice(0)) leave.abort();
  await test[Symbol.asyncDispose]();
});

interface SeenEvent {
  readonly id: string;
  readonly event: string;
  readonly data: Record<string, unknown>;
}

async function listen(
  token: string,
  options: { lastId?: string; types?: string } = {},
): Promise<{ seen: SeenEvent[]; leave: () => void }> {
  const leave = new AbortController();
  leaving.push(leave);
  const query = options.types === undefined ? '' : `?types=${options.types}`;
  const answer = await fetch(`${test.manager.url}/api/v1/cluster/events/stream${query}`, {
    headers: {
      authorization: `Bearer ${token}`,
      ...(options.lastId === undefined ? {} : { 'last-event-id': options.lastId }),
    },
    signal: leave.signal,
  });
  expect(answer.headers.get('content-type')).toContain('text/event-stream');
  const seen: SeenEvent[] = [];
  void collect(answer, seen);
  return { seen, leave: () => leave.abort() };
}

async function collect(answer: Response, seen: SeenEvent[]): Promise<void> {
  let text = '';
  const decoder = new TextDecoder();
  try {
    for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true });
      for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
        const fields = Object.fromEntries(
          text
            .slice(0, end)
            .split('\n')
            .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)] as const),
        );
        text = text.slice(end + 2);
        if (fields['event'] !== undefined)
          seen.push({
            id: fields['id'] ?? '',
            event: fields['event'],
            data: JSON.parse(fields['data'] ?? '{}') as Record<string, unknown>,
          });
      }
    }
  } catch {
    // The reader left.
  }
}

const numberOf = (event: SeenEvent): number => Number(event.id.split('-')[1]);

describe('the event stream', () => {
  it('shows changes as they happen, each with the next id', async () => {
    const { seen } = await listen(test.adminToken);
    await test.orchestrator({ agentId: 'one' });
    await until(() => seen.some(({ event }) => event === 'orchestrator.eligible'), 'the event');
    expect(seen.map(({ event }) => event)).toContain('orchestrator.registered');
    for (const [index, event] of seen.entries())
      if (index > 0) expect(numberOf(event)).toBe(numberOf(seen[index - 1] as SeenEvent) + 1);
  });

  it('resumes after the last id without a gap, and says reset when it cannot', async () => {
    const first = await listen(test.adminToken);
    await test.orchestrator({ agentId: 'one' });
    await until(() => first.seen.some(({ event }) => event === 'orchestrator.eligible'), 'the event');
    first.leave();
    const last = first.seen[1] as SeenEvent;
    await test.request('POST', '/api/v1/cluster/agents/deploy', { agent_type: 'trading_agent', wait: true });
    const second = await listen(test.adminToken, { lastId: last.id });
    await until(() => second.seen.some(({ event }) => event === 'agent.status'), 'the missed events');
    expect(numberOf(second.seen[0] as SeenEvent)).toBe(numberOf(last) + 1);
    for (const lastId of ['999-1', '1-999999', 'nonsense', '1-']) {
      const odd = await listen(test.adminToken, { lastId });
      await until(() => odd.seen[0]?.event === 'reset', `reset after ${lastId}`);
      odd.leave();
    }
  });

  it('filters by type and keeps customers apart', async () => {
    await test.request('POST', '/api/v1/customers', { id: 'acme', name: 'Acme' });
    const viewer = await test.user('viewer', 'acme');
    const own = await listen(viewer.token);
    const agents = await listen(test.adminToken, { types: 'agent.*' });
    await test.orchestrator({ agentId: 'ours' });
    await test.orchestrator({ agentId: 'theirs', customerId: 'acme' });
    await test.request('POST', '/api/v1/cluster/agents/deploy', { agent_type: 'trading_agent', wait: true });
    await until(() => agents.seen.some(({ event }) => event === 'agent.status'), 'the agent');
    await until(
      () => own.seen.some(({ event }) => event === 'orchestrator.eligible'),
      'the own orchestrator',
    );
    expect(agents.seen.every(({ event }) => event.startsWith('agent.'))).toBe(true);
    expect(own.seen.every(({ data }) => data['customer_id'] === 'acme')).toBe(true);
  });

  it('lets go of a reader that leaves', async () => {
    const { leave } = await listen(test.adminToken);
    const { events } = test.manager.services;
    expect(events.listeners).toBe(1);
    leave();
    await until(() => events.listeners === 0, 'the end');
  });
});
