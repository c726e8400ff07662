/**
 * Discovery: regularly asks every connected orchestrator whether it is there, and keeps what was found.
 *
 * Connected ones are asked over their link, with a time limit; direct programs, which this version never calls, are judged
 * by their beats.
 */
import type { Discovery as DiscoveryReport, HealthCheckAnswer } from '@muster/contract';
import type { Orchestrator } from '@muster/core/manager';
import type { Engine } from './engine.ts';
import type { LinkServer } from './links/link-server.ts';
import { healthOf, isActive, isoTimeOrNull } from './views/containers.ts';

export type Finding = HealthCheckAnswer['containers'][string];

const DISCOVERY_INTERVAL_MS = 30_000;
const PING_LIMIT_MS = 5_000;
/** At or above this an orchestrator counts as healthy. */
export const HEALTHY_SCORE = 50;

export class Discovery {
  readonly #engine: Engine;
  readonly #links: LinkServer;
  readonly #timer: NodeJS.Timeout;
  readonly #found = new Map<string, boolean>();
  #lastScanWall: number | null = null;
  #scanning: Promise<void> | undefined;
  #running = true;

  constructor(engine: Engine, links: LinkServer) {
    this.#engine = engine;
    this.#links = links;
    this.#timer = setInterval(() => void this.scan(), DISCOVERY_INTERVAL_MS);
    this.#timer.unref();
  }

  /** Ask everyone; a scan that is under way is joined. Never rejects. */
  scan(): Promise<void> {
    this.#scanning ??= this.#scanAll().finally(() => {
      this.#scanning = undefined;
    });
    return this.#scanning;
  }

  async #scanAll(): Promise<void> {
    const orchestrators = [...this.#engine.machine.facts.orchestrators.values()].filter(
      (each) => each.deregisteredAt === null,
    );
    const findings = await Promise.all(
      orchestrators.map(async (each) => [each.id, await this.check(each)] as const),
    );
    this.#found.clear();
    for (const [id, finding] of findings) this.#found.set(id, finding.healthy);
    this.#lastScanWall = this.#engine.clock.now().wall;
  }

  /** Ask one orchestrator now. */
  async check(orchestrator: Orchestrator): Promise<Finding> {
    const { machine } = this.#engine;
    if (orchestrator.link === 'direct') {
      const active = isActive(machine, orchestrator);
      return judge(
        active,
        healthOf(machine, orchestrator),
        null,
        active ? 'its beats arrive' : 'its beats have stopped',
      );
    }
    const startedMs = performance.now();
    try {
      await this.#links.call(orchestrator.id, { op: 'ping', args: {}, limitMs: PING_LIMIT_MS });
    } catch (error) {
      return {
        healthy: false,
        latency_ms: null,
        reason: error instanceof Error ? error.message : String(error),
      };
    }
    const latencyMs = performance.now() - startedMs;
    return judge(true, healthOf(machine, orchestrator), Math.round(latencyMs * 1000) / 1000, 'it answered');
  }

  /** The present state of the scans for what the caller sees. */
  report(orchestrators: readonly Orchestrator[]): DiscoveryReport {
    return {
      is_running: this.#running,
      discovery_running: this.#running,
      known_containers: orchestrators.length,
      last_scan_time: isoTimeOrNull(this.#lastScanWall),
      discovery_interval: DISCOVERY_INTERVAL_MS / 1000,
      scan_in_progress: this.#scanning !== undefined,
      reachable_containers: orchestrators.filter((each) => this.#found.get(each.id) === true).length,
    };
  }

  stop(): void {
    this.#running = false;
    clearInterval(this.#timer);
  }
}

function judge(reached: boolean, health: number, latencyMs: number | null, how: string): Finding {
  const healthy = reached && health >= HEALTHY_SCORE;
  const reason = reached && !healthy ? `${how}, but reports a health of ${health}` : how;
  return { healthy, latency_ms: latencyMs, reason };
}
