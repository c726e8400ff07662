/**
 * What the manager measures about itself, as Prometheus metrics. Names end in their unit; labels come from closed lists, so
 * that no client can make the set of series grow.
 */
import { agentStatuses, orchestratorStatuses } from '@muster/contract';
import { type CounterMetric, createMetrics, type HistogramMetric, type Metrics } from '@muster/runtime';

const secondsBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export interface Measures {
  readonly metrics: Metrics;
  readonly commands: CounterMetric;
  readonly commits: HistogramMetric;
  readonly steps: HistogramMetric;
  readonly frames: CounterMetric;
  readonly badFrames: CounterMetric;
  readonly linkRefusals: CounterMetric;
  readonly requests: HistogramMetric;
  readonly refusedSignIns: CounterMetric;
  readonly notes: CounterMetric;
  readonly events: CounterMetric;
  readonly slowListeners: CounterMetric;
  /** Gauges that are read when they are asked for. */
  readonly watch: (sources: GaugeSources) => void;
}

export interface GaugeSources {
  orchestrators(): ReadonlyMap<string, number>;
  agents(): ReadonlyMap<string, number>;
  links(): number;
  listeners(): number;
  queueLength(): number;
  journalRecords(): number;
}

export function createMeasures(processMetrics: boolean): Measures {
  const metrics = createMetrics({ processMetrics });
  return {
    metrics,
    commands: metrics.counter('muster_commands_total', 'Commands to the manager machine.', [
      'command',
      'outcome',
    ]),
    commits: metrics.histogram(
      'muster_journal_commit_seconds',
      'Time until an append was durable.',
      secondsBuckets,
    ),
    steps: metrics.histogram(
      'muster_step_seconds',
      'Time of one step of the manager machine.',
      secondsBuckets,
      ['input'],
    ),
    frames: metrics.counter('muster_link_frames_total', 'Frames over links.', ['direction', 'kind']),
    badFrames: metrics.counter('muster_link_bad_frames_total', 'Frames that were refused.', ['reason']),
    linkRefusals: metrics.counter(
      'muster_link_refusals_total',
      'Links that were refused or closed by the manager.',
      ['code'],
    ),
    requests: metrics.histogram('muster_http_request_seconds', 'HTTP requests.', secondsBuckets, [
      'method',
      'route',
      'status',
    ]),
    refusedSignIns: metrics.counter(
      'muster_refused_sign_ins_total',
      'Sign-ins and tokens that were refused.',
      ['reason'],
    ),
    notes: metrics.counter('muster_notes_total', 'Notes of the manager machine.', ['event', 'level']),
    events: metrics.counter('muster_events_total', 'Events published.'),
    slowListeners: metrics.counter(
      'muster_slow_listeners_total',
      'Event streams closed because they did not read.',
    ),
    watch: (sources) => watch(metrics, sources),
  };
}

function watch(metrics: Metrics, sources: GaugeSources): void {
  metrics.gauge('muster_orchestrators', 'Registered orchestrators.', ['status'], (gauge) => {
    const counts = sources.orchestrators();
    for (const status of orchestratorStatuses) gauge.set(counts.get(status) ?? 0, { status });
  });
  metrics.gauge('muster_agents', 'Agents.', ['status'], (gauge) => {
    const counts = sources.agents();
    for (const status of agentStatuses) gauge.set(counts.get(status) ?? 0, { status });
  });
  metrics.gauge('muster_links', 'Open links.', [], (gauge) => gauge.set(sources.links()));
  metrics.gauge('muster_event_listeners', 'Open event streams.', [], (gauge) =>
    gauge.set(sources.listeners()),
  );
  metrics.gauge('muster_queue_length', 'Inputs waiting for a step.', [], (gauge) =>
    gauge.set(sources.queueLength()),
  );
  metrics.gauge('muster_journal_records', 'Durable records.', [], (gauge) =>
    gauge.set(sources.journalRecords()),
  );
}
