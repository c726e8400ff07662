import { expect, test } from 'vitest';
import { createMetrics, type GaugeMetric } from './metrics.ts';

test('counters, gauges and histograms are rendered with their labels', async () => {
  const metrics = createMetrics({ processMetrics: false });
  const counter = metrics.counter('muster_orders_total', 'Orders.', ['outcome']);
  counter.add(1, { outcome: 'done' });
  counter.add(2, { outcome: 'done' });
  const gauge = metrics.gauge('muster_agents', 'Agents.', ['customer']);
  gauge.set(4, { customer: 'a' });
  gauge.set(5, { customer: 'b' });
  gauge.remove({ customer: 'a' });
  let reads = 0;
  metrics.gauge('muster_queue_length', 'Queue.', [], (each: GaugeMetric) => each.set((reads += 1)));
  metrics.histogram('muster_step_seconds', 'Steps.', [0.01, 0.1]).observe(0.05);
  const { contentType, body } = await metrics.render();
  expect(contentType).toContain('text/plain');
  expect(body).toContain('muster_orders_total{outcome="done"} 3');
  expect(body).toContain('muster_agents{customer="b"} 5');
  expect(body).not.toContain('customer="a"');
  expect(body).toContain('muster_queue_length 1');
  expect(body).toContain('muster_step_seconds_bucket{le="0.01"} 0');
  expect(body).toContain('muster_step_seconds_bucket{le="0.1"} 1');
});

test('two registries share nothing, and process metrics come along by default', async () => {
  const [first, second] = [createMetrics(), createMetrics()];
  first.counter('muster_same_total', 'Same.').add();
  second.counter('muster_same_total', 'Same.');
  expect((await second.render()).body).toContain('muster_same_total 0');
  expect((await first.render()).body).toContain('process_cpu_seconds_total');
});
