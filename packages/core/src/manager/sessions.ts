/**
 * Sessions: one hand-shake of one orchestrator on one link, from `welcome` to the closed socket.
 *
 * Order: hand-shake (done by the shell) → full report → target → acknowledged → eligible. Before that an orchestrator gets no
 * new work. Frames of a link that is not the orchestrator's present one are dropped. Absence in a report never deletes: an
 * agent that the target names and the machine does not know is simply ordered again; one that the machine runs and the
 * target does not know is shown, never killed.
 */
import { LINK_VERSION, type OrchestratorFrameOf, type TargetDocument } from '@muster/contract';
import type { AgentLives } from './agents.ts';
import type { Desk } from './desk.ts';
import { publishReachability, updateFields } from './enrolment.ts';
import type { ManagerInput } from './inputs.ts';
import { EPOCHS_PER_GENERATION, type Orchestrator } from './model.ts';
import type { PresentOrchestrator } from './presence.ts';

type Opened = Extract<ManagerInput, { kind: 'linkOpened' }>;

/** No manager ever gets here: about a million restores from backup. */
const EPOCH_BOUND = EPOCHS_PER_GENERATION * 2 ** 20;

export class Sessions {
  #count = 0;
  readonly #software: string;

  constructor(software: string) {
    this.#software = software;
  }

  opened(desk: Desk, input: Opened): void {
    const orchestrator = desk.facts.orchestrators.get(input.orchestratorId);
    const close = (
      code: 'orchestrator-revoked' | 'link-proof' | 'session-live' | 'session-replaced',
      detail: string,
      link = input.link,
      retryAfterMs = 30_000,
    ): void => desk.emit({ kind: 'closeLink', link, code, detail, retryAfterMs });
    if (orchestrator === undefined)
      return close(
        'orchestrator-revoked',
        'This manager does not know this orchestrator. Join with a new token.',
      );
    if (orchestrator.publicKey !== input.publicKey)
      return close('link-proof', 'This key no longer belongs to the identity.');
    if (orchestrator.deregisteredAt !== null && orchestrator.target.tombstones.size === 0) {
      return close(
        'orchestrator-revoked',
        'The vendor has removed this orchestrator. Join again with a new token.',
      );
    }
    const present = desk.presence.watch(orchestrator.id, desk.now);
    if (present.link !== null && present.instance !== input.instance) {
      // Two daemons with one key: neither replaces the other silently.
      desk.note('error', 'orchestrator.second-session', {
        orchestratorId: orchestrator.id,
        name: orchestrator.name,
      });
      desk.publish('orchestrator.second-session', orchestrator.customerId, {
        container_id: orchestrator.id,
        container_name: orchestrator.name,
      });
      return close(
        'session-live',
        'Another machine is connected with this identity. Stop one of the two.',
        input.link,
        10_000,
      );
    }
    if (present.link !== null) close('session-replaced', 'The same daemon connected again.', present.link, 0);
    if (orchestrator.connectedAt === null) desk.commit('orchestratorFirstSeen', { id: orchestrator.id });
    this.#count += 1;
    const run = desk.mutants.has('session-reused') ? 1 : desk.facts.incarnation;
    const session = `${run}.${this.#count}`;
    desk.presence.open(present, input.link, session);
    Object.assign(present, { instance: input.instance, bootId: input.bootId, software: input.software });
    this.#seen(desk, orchestrator, present);
    desk.emit({
      kind: 'send',
      link: input.link,
      frame: {
        t: 'welcome',
        session,
        customerId: orchestrator.customerId,
        beatIntervalMs: desk.presence.beatIntervalMs,
        wall: desk.now.wall,
        generation: desk.facts.generation,
        software: this.#software,
      },
    });
    desk.note('info', 'orchestrator.connected', {
      orchestratorId: orchestrator.id,
      name: orchestrator.name,
      session,
      linkVersion: LINK_VERSION,
    });
    desk.publish('orchestrator.connected', orchestrator.customerId, {
      container_id: orchestrator.id,
      container_name: orchestrator.name,
    });
  }

  closed(desk: Desk, link: string): void {
    const present = desk.presence.byLink(link);
    if (present === undefined) return;
    const orchestrator = desk.facts.orchestrators.get(present.id);
    const change = desk.presence.close(present, desk.now);
    desk.note('info', 'orchestrator.link-closed', { orchestratorId: present.id, name: orchestrator?.name });
    if (orchestrator !== undefined && change !== null) publishReachability(desk, orchestrator, change);
  }

  #seen(desk: Desk, orchestrator: Orchestrator, present: PresentOrchestrator): void {
    const change = desk.presence.seen(present, desk.now);
    if (change !== null) publishReachability(desk, orchestrator, change === 'fresh' ? 'active' : change);
  }

  /** Any frame but those about agents' lives, which the machine routes itself. Returns false if the frame came out of order. */
  frame(
    desk: Desk,
    lives: AgentLives,
    present: PresentOrchestrator,
    orchestrator: Orchestrator,
    input: Extract<ManagerInput, { kind: 'frame' }>,
  ): boolean {
    this.#seen(desk, orchestrator, present);
    const { frame, link } = input;
    if (present.phase === 'reporting' && frame.t !== 'report' && frame.t !== 'beat') return false;
    switch (frame.t) {
      case 'report':
        this.#report(desk, lives, present, orchestrator, frame);
        return true;
      case 'beat':
        present.health = frame.health;
        Object.assign(present.resources, frame.resources);
        for (const [agentId, values] of Object.entries(frame.metrics)) present.metrics.set(agentId, values);
        desk.emit({
          kind: 'send',
          link,
          frame: {
            t: 'beatAck',
            seq: frame.seq,
            beatIntervalMs: desk.presence.beatIntervalMs,
            wall: desk.now.wall,
          },
          immediate: true,
        });
        return true;
      case 'targetAck':
        this.#acknowledged(desk, lives, present, orchestrator, frame.revision);
        return true;
      case 'targetGap':
        desk.note('info', 'target.gap', {
          orchestratorId: orchestrator.id,
          revision: frame.revision,
          reason: frame.reason,
        });
        this.#sendComplete(desk, present, orchestrator);
        return true;
      default:
        return false;
    }
  }

  #report(
    desk: Desk,
    lives: AgentLives,
    present: PresentOrchestrator,
    orchestrator: Orchestrator,
    frame: OrchestratorFrameOf<'report'>,
  ): void {
    const { host } = frame;
    updateFields(desk, orchestrator, {
      name: host.name,
      hostAddress: host.hostAddress,
      apiPort: host.apiPort,
      apiEndpoint: orchestrator.apiEndpoint,
      capabilities: host.capabilities,
      maxAgents: host.maxAgents,
      resources: host.resources,
      metadata: host.metadata,
    });
    present.observed.clear();
    present.metrics.clear();
    for (const report of frame.agents) present.observed.set(report.agentId, report);
    this.#learnEpochs(desk, orchestrator, frame.epochs);
    for (const report of frame.agents) {
      const known =
        orchestrator.target.entries.has(report.agentId) ||
        orchestrator.target.tombstones.has(report.agentId) ||
        report.local;
      if (!known)
        desk.note('warn', 'agent.unknown-on-machine', {
          orchestratorId: orchestrator.id,
          agentId: report.agentId,
          epoch: report.epoch,
        });
    }
    present.phase = 'reconciling';
    const { target } = orchestrator;
    const same =
      frame.generation === desk.facts.generation &&
      frame.revision === target.revision &&
      frame.digest === target.digest;
    if (same && present.link !== null) {
      present.sentRevision = target.revision;
      desk.emit({
        kind: 'send',
        link: present.link,
        frame: { t: 'targetCurrent', generation: desk.facts.generation, revision: target.revision },
      });
      this.#acknowledged(desk, lives, present, orchestrator, target.revision);
    } else {
      this.#sendComplete(desk, present, orchestrator);
    }
    lives.challengeAllOn(desk, orchestrator);
    desk.publish('orchestrator.reported', orchestrator.customerId, {
      container_id: orchestrator.id,
      agents: frame.agents.length,
    });
  }

  /** R1 after a restored backup: what a machine has run is never issued again. */
  #learnEpochs(desk: Desk, orchestrator: Orchestrator, epochs: Readonly<Record<string, number>>): void {
    for (const [agentId, epoch] of Object.entries(epochs)) {
      const agent = desk.facts.agents.get(agentId);
      if (agent === undefined || epoch <= agent.epoch) continue;
      // A machine speaks for its own customer's agents only, and not beyond what could ever have been issued.
      if (agent.customerId !== orchestrator.customerId || epoch >= EPOCH_BOUND) {
        desk.note('error', 'epoch.not-believed', { agentId, epoch, orchestratorId: orchestrator.id });
        continue;
      }
      desk.commit('epochFloorRaised', { agentId, epoch, orchestratorId: orchestrator.id });
      desk.note('error', 'epoch.ahead-of-manager', {
        agentId,
        epoch,
        orchestratorId: orchestrator.id,
        known: agent.epoch % EPOCHS_PER_GENERATION,
      });
    }
  }

  #acknowledged(
    desk: Desk,
    lives: AgentLives,
    present: PresentOrchestrator,
    orchestrator: Orchestrator,
    revision: number,
  ): void {
    // An acknowledgement from the future is nonsense and tells nothing.
    if (revision > present.sentRevision) return;
    present.ackedRevision = revision;
    const done = [...orchestrator.target.tombstones.values()].some(
      (tombstone) => tombstone.revision <= revision,
    );
    if (done) desk.commit('tombstonesCleared', { orchestratorId: orchestrator.id, revision });
    if (orchestrator.deregisteredAt !== null) {
      if (present.link !== null && orchestrator.target.tombstones.size === 0) {
        const detail = 'The vendor has removed this orchestrator; its agents were told to stop.';
        desk.emit({
          kind: 'closeLink',
          link: present.link,
          code: 'orchestrator-revoked',
          detail,
          retryAfterMs: 300_000,
        });
      }
      return;
    }
    if (present.phase === 'eligible') return;
    present.phase = 'eligible';
    desk.publish('orchestrator.eligible', orchestrator.customerId, {
      container_id: orchestrator.id,
      container_name: orchestrator.name,
    });
    lives.placePending(desk);
  }

  #sendComplete(desk: Desk, present: PresentOrchestrator, orchestrator: Orchestrator): void {
    const { target } = orchestrator;
    this.#send(desk, present, orchestrator, {
      kind: 'complete',
      generation: desk.facts.generation,
      revision: target.revision,
      digest: target.digest,
      entries: [...target.entries.values()],
      tombstones: desk.mutants.has('tombstone-forgotten')
        ? []
        : [...target.tombstones.values()].map(({ revision: _revision, ...tombstone }) => tombstone),
    });
  }

  /** Send what changed since the last target of this session; complete when the recent changes do not reach back. */
  sync(desk: Desk, orchestrator: Orchestrator): void {
    const present = desk.presence.of(orchestrator.id);
    if (present?.link == null || present.phase === 'none' || present.phase === 'reporting') return;
    const { target } = orchestrator;
    const base = present.sentRevision;
    if (base >= target.revision) return;
    const changes = target.recent.filter((item) => item.revision > base);
    const before = target.recent.find((item) => item.revision === base);
    if (changes[0]?.revision !== base + 1 || (base > 0 && before === undefined))
      return this.#sendComplete(desk, present, orchestrator);
    this.#send(desk, present, orchestrator, {
      kind: 'incremental',
      generation: desk.facts.generation,
      base,
      baseDigest: before?.digest ?? '',
      revision: target.revision,
      digest: target.digest,
      changes: changes.map((item) => item.change),
    });
  }

  #send(desk: Desk, present: PresentOrchestrator, orchestrator: Orchestrator, target: TargetDocument): void {
    if (present.link === null || present.session === null) return;
    present.sentRevision = target.revision;
    desk.emit({
      kind: 'order',
      link: present.link,
      session: present.session,
      orchestratorId: orchestrator.id,
      customerId: orchestrator.customerId,
      body: { kind: 'target', target },
    });
  }
}
