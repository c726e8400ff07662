/**
 * What the local API shows: the machine's state as JSON of the contract's names. Nothing in here is a secret.
 */
import type { AgentReport } from '@muster/contract';
import { type LocalAgent, type OrchestratorMachine, reportOf } from '@muster/core/orchestrator';
import type { OrchestratorConfig } from '../config.ts';

const iso = (ms: number): string => new Date(ms).toISOString();

/** Every agent that should run or does run here. */
export function agentsOf(machine: OrchestratorMachine): LocalAgent[] {
  const shown = [...machine.agents.values()].filter(
    (agent) => agent.process !== null || machine.entryOf(agent.id) !== null,
  );
  return shown.sort((a, b) => (a.id < b.id ? -1 : 1));
}

export function agentView(machine: OrchestratorMachine, agent: LocalAgent): Record<string, unknown> {
  const entry = machine.entryOf(agent.id);
  const report: AgentReport = reportOf(agent, entry, machine.facts.local.has(agent.id));
  const hold = machine.facts.holdAll ?? machine.facts.holds.get(agent.id) ?? null;
  return {
    agent_id: agent.id,
    name: entry?.spec.name ?? agent.id,
    agent_type: entry?.spec.type ?? null,
    type_version: entry?.spec.typeVersion ?? null,
    status: report.status,
    detail: report.detail,
    pid: report.pid,
    epoch: report.epoch,
    sub: report.sub,
    since: iso(report.since),
    crashes: report.crashes,
    last_exit: report.lastExit === null ? null : { ...report.lastExit, at: iso(report.lastExit.at) },
    state_bytes: report.stateBytes,
    local: report.local,
    held: hold === null ? null : { by: hold.by, reason: hold.reason, at: iso(hold.at) },
    metrics: machine.link.metricsOf(agent.id),
  };
}

/** Running here now, and wanted here (holds left out). */
export function countsOf(machine: OrchestratorMachine): {
  readonly running: number;
  readonly expected: number;
} {
  const agents = [...machine.agents.values()];
  const entries = [...machine.facts.entries.values(), ...machine.facts.local.values()];
  const { holdAll, holds } = machine.facts;
  const wanted = entries.filter(
    (entry) => entry.want === 'run' && holdAll === null && !holds.has(entry.agentId),
  );
  return { running: agents.filter((agent) => agent.process !== null).length, expected: wanted.length };
}

/** The configuration, secrets replaced by whether they are set. */
export function configView(config: OrchestratorConfig): Record<string, unknown> {
  return {
    central_manager_url: config.managerUrl?.href ?? null,
    join_token: config.joinToken === null ? null : '[secret]',
    admin_password: config.adminPassword === null ? null : '[secret]',
    container_name: config.containerName,
    host_address: config.hostAddress,
    orchestrator_id: config.orchestratorNumber,
    capabilities: config.capabilities,
    max_agents: config.maxAgents,
    auto_register: config.autoRegister,
    heartbeat_interval: config.heartbeatIntervalMs / 1000,
    bind: config.bind,
    data_dir: config.dataDir,
    log_level: config.logLevel,
  };
}
