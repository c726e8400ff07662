/**
 * Metrics behind four functions, so that the library underneath can be replaced.
 *
 * Each call makes an own registry: two servers in one test process do not share numbers. The default process metrics (CPU,
 * memory, event loop delay, garbage collection) come along unless asked not to.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export type Labels = Readonly<Record<string, string | number>>;

export interface CounterMetric {
  add(amount?: number, labels?: Labels): void;
}
export interface GaugeMetric {
  set(value: number, labels?: Labels): void;
  /** Forgets one labelled value, for things that are gone. */
  remove(labels: Labels): void;
}
export interface HistogramMetric {
  observe(value: number, labels?: Labels): void;
}

export interface Metrics {
  counter(name: string, help: string, labelNames?: readonly string[]): CounterMetric;
  /** `collect` is called at each rendering, for values that are cheaper to read than to keep. */
  gauge(
    name: string,
    help: string,
    labelNames?: readonly string[],
    collect?: (gauge: GaugeMetric) => void,
  ): GaugeMetric;
  /** `buckets` are upper bounds in the unit that the name ends with. */
  histogram(
    name: string,
    help: string,
    buckets: readonly number[],
    labelNames?: readonly string[],
  ): HistogramMetric;
  /** The Prometheus text exposition and its content type. */
  render(): Promise<{ readonly contentType: string; readonly body: string }>;
}

/** A registry of its own. `processMetrics` false leaves the default process metrics out. */
export function createMetrics({
  processMetrics = true,
}: {
  readonly processMetrics?: boolean;
} = {}): Metrics {
  const registry = new Registry();
  const registers = [registry];
  if (processMetrics) collectDefaultMetrics({ register: registry });
  return {
    counter(name, help, labelNames = []) {
      const counter = new Counter({ name, help, labelNames, registers });
      return { add: (amount = 1, labels = {}) => counter.inc(labels, amount) };
    },
    gauge(name, help, labelNames = [], collect) {
      const gauge = new Gauge({
        name,
        help,
        labelNames,
        registers,
        ...(collect && { collect: () => collect(port) }),
      });
      const port: GaugeMetric = {
        set: (value, labels = {}) => gauge.set(labels, value),
        remove: (labels) => gauge.remove(labels),
      };
      return port;
    },
    histogram(name, help, buckets, labelNames = []) {
      const histogram = new Histogram({ name, help, labelNames, buckets: [...buckets], registers });
      return { observe: (value, labels = {}) => histogram.observe(labels, value) };
    },
    async render() {
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  };
}
