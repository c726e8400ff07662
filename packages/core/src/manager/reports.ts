/**
 * What orchestrators report of their agents between full reports: changed statuses (volatile) and receipts (journaled).
 */
import type { OrchestratorFrameOf } from '@muster/contract';
import type { Desk } from './desk.ts';
import type { Orchestrator } from './model.ts';
import type { PresentOrchestrator } from './presence.ts';

/** Take over changed statuses. Returns the agents concerned. */
export function onStatus(
  desk: Desk,
  present: PresentOrchestrator,
  orchestrator: Orchestrator,
  frame: OrchestratorFrameOf<'status'>,
): readonly string[] {
  desk.presence.seen(present, desk.now);
  for (const report of frame.agents) {
    const before = present.observed.get(report.agentId);
    present.observed.set(report.agentId, report);
    if (before?.status === report.status && before.sub === report.sub) continue;
    desk.publish('agent.status', orchestrator.customerId, {
      agent_id: report.agentId,
      container_id: orchestrator.id,
      status: report.status,
      epoch: report.epoch,
      pid: report.pid,
      detail: report.detail,
    });
  }
  for (const id of frame.gone) {
    present.observed.delete(id);
    present.metrics.delete(id);
  }
  if (present.link !== null) {
    desk.emit({
      kind: 'send',
      link: present.link,
      frame: { t: 'statusAck', seq: frame.seq },
      immediate: true,
    });
  }
  return [...frame.agents.map((report) => report.agentId), ...frame.gone];
}

/** Write down how orders ended, then acknowledge. The first word about an order is the last. */
export function onReceipts(
  desk: Desk,
  present: PresentOrchestrator,
  orchestrator: Orchestrator,
  frame: OrchestratorFrameOf<'receipts'>,
): void {
  desk.presence.seen(present, desk.now);
  for (const { doc, sig } of frame.receipts) {
    const order = desk.facts.orders.get(doc.orderId);
    // A receipt speaks for its own machine only.
    if (order === undefined || order.orchestratorId !== orchestrator.id || order.outcome !== null) continue;
    const { orderId, agentId, epoch, outcome, detail, at } = doc;
    const body = { orderId, orchestratorId: orchestrator.id, agentId, epoch, outcome, detail, at, sig };
    desk.commit('orderConcluded', body);
    const { what } = order;
    desk.publish('order.concluded', orchestrator.customerId, {
      order_id: orderId,
      agent_id: agentId,
      what,
      outcome,
      detail,
    });
  }
  if (present.link === null) return;
  const orderIds = frame.receipts.map(({ doc }) => doc.orderId);
  desk.emit({ kind: 'send', link: present.link, frame: { t: 'receiptsAck', orderIds } });
}
