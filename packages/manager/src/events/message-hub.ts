/**
 * The hub: messages between containers, by topic.
 *
 * A message goes onto the topic of its target, or onto the topic of its source's customer when it names none; each topic keeps
 * its latest messages. Each is also an event of the fleet's stream. Every number it reports is counted or measured here.
 */
import { randomUUID } from 'node:crypto';
import { type Hub, type HubMessage, MusterError } from '@muster/contract';
import { byRegistration, type Orchestrator } from '@muster/core/manager';
import type { EventRing } from './event-ring.ts';

export interface HandedIn {
  readonly source: Orchestrator;
  /** Null: everyone of the source's customer. */
  readonly target: Orchestrator | null;
  readonly type: HubMessage['message_type'];
  readonly payload: unknown;
}

interface Traffic {
  readonly stats: Hub['message_stats'];
  readonly latenciesMs: number[];
}

const MESSAGES_PER_TOPIC = 200;
const LATENCIES_KEPT = 1024;

export class MessageHub {
  readonly #topics = new Map<string, HubMessage[]>();
  /** By customer: nobody sees how much others talk. */
  readonly #traffic = new Map<string, Traffic>();
  readonly #events: EventRing;
  readonly #encrypted: boolean;

  constructor(events: EventRing, encrypted: boolean) {
    this.#events = events;
    this.#encrypted = encrypted;
  }

  /** Count a message whose source or target does not exist; `customerId` is its sender's, '' for one who sees all. */
  refused(customerId: string): void {
    const { stats } = this.#trafficOf(customerId);
    stats.received += 1;
    stats.failed += 1;
  }

  post(message: HandedIn, atWall: number): string {
    const startedMs = performance.now();
    const { source, target } = message;
    if (target !== null && target.customerId !== source.customerId) {
      this.refused(source.customerId);
      throw new MusterError('not-found', `Container ${JSON.stringify(target.id)} does not exist.`);
    }
    const { stats, latenciesMs } = this.#trafficOf(source.customerId);
    stats.received += 1;
    const topic = target === null ? customerTopic(source.customerId) : containerTopic(target.id);
    const entry: HubMessage = {
      message_id: `msg_${randomUUID()}`,
      topic,
      source_container: source.id,
      target_container: target?.id ?? null,
      message_type: message.type,
      payload: message.payload,
      timestamp: new Date(atWall).toISOString(),
    };
    const kept = this.#topics.get(topic) ?? [];
    this.#topics.set(topic, kept);
    kept.push(entry);
    stats.routed += 1;
    if (kept.length > MESSAGES_PER_TOPIC) {
      kept.shift();
      stats.dropped += 1;
    }
    stats.sent += this.#events.publish(
      { type: 'message', customerId: source.customerId, data: { ...entry } },
      atWall,
    );
    latenciesMs.push(performance.now() - startedMs);
    if (latenciesMs.length > LATENCIES_KEPT) latenciesMs.shift();
    return entry.message_id;
  }

  /** The latest messages for one container: its own topic and its customer's, oldest first. */
  messagesFor(orchestrator: Orchestrator, limit: number): HubMessage[] {
    return topicsOf(orchestrator)
      .flatMap((topic) => this.#topics.get(topic) ?? [])
      .sort((a, b) => (a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : 0))
      .slice(-limit);
  }

  /** What the hub has done for a customer (null: for all), and what the given containers are subscribed to. */
  report(
    customerId: string | null,
    orchestrators: readonly Orchestrator[],
    active: number,
    atWall: number,
  ): Hub {
    const seen = customerId === null ? [...this.#traffic.values()] : [this.#trafficOf(customerId)];
    const total = (name: keyof Traffic['stats']): number =>
      seen.reduce((sum, { stats }) => sum + stats[name], 0);
    const sorted = seen.flatMap(({ latenciesMs }) => latenciesMs).sort((a, b) => a - b);
    const at = (share: number): number | null =>
      sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? null;
    return {
      active_containers: active,
      message_stats: {
        sent: total('sent'),
        received: total('received'),
        routed: total('routed'),
        failed: total('failed'),
        dropped: total('dropped'),
      },
      subscriptions: Object.fromEntries(
        [...orchestrators].sort(byRegistration).map((each) => [each.id, topicsOf(each)]),
      ),
      encryption_enabled: this.#encrypted,
      latency_ms: { p50: at(0.5), p99: at(0.99) },
      timestamp: new Date(atWall).toISOString(),
    };
  }

  #trafficOf(customerId: string): Traffic {
    let traffic = this.#traffic.get(customerId);
    if (traffic === undefined) {
      traffic = { stats: { sent: 0, received: 0, routed: 0, failed: 0, dropped: 0 }, latenciesMs: [] };
      this.#traffic.set(customerId, traffic);
    }
    return traffic;
  }

  /** Forget the topic of a container that is gone. */
  forget(containerId: string): void {
    this.#topics.delete(containerTopic(containerId));
  }
}

const containerTopic = (id: string): string => `container.${id}`;
const customerTopic = (id: string): string => `customer.${id}`;
const topicsOf = (orchestrator: Orchestrator): string[] => [
  containerTopic(orchestrator.id),
  customerTopic(orchestrator.customerId),
];
