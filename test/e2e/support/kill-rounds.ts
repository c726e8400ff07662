/**
 * Kill rounds: `kill -9` of manager, daemon, keeper and agent, one after the other, on a fleet that trades.
 *
 * After each kill: every acknowledged deploy is still there, every agent runs again by itself, and at no sampled moment did
 * two processes of one agent live. The sampler reads /proc all the time, independently of anything the product says.
 */
import { readFileSync } from 'node:fs';
import { type AgentAnswer, Fleet, liveAgents, parentOf, until } from './fleet.ts';

export interface RoundsResult {
  readonly rounds: number;
  readonly kills: Readonly<Record<string, number>>;
  readonly samples: number;
  readonly doubles: readonly string[];
  /** Milliseconds from the kill until all agents ran again, by victim. */
  readonly recoveryMs: Readonly<Record<string, readonly number[]>>;
}

class Sampler {
  samples = 0;
  readonly doubles: string[] = [];
  #running = true;
  readonly #root: string;
  readonly #done: Promise<void>;

  constructor(root: string) {
    this.#root = root;
    this.#done = this.#loop();
  }
  async #loop(): Promise<void> {
    while (this.#running) {
      for (const [agent, pids] of liveAgents(this.#root)) {
        // Two reads in a row, so that a process seen while it forks is not taken for a second copy.
        if (pids.length > 1 && (liveAgents(this.#root).get(agent)?.length ?? 0) > 1)
          this.doubles.push(`${agent}: ${pids.join(', ')}`);
      }
      this.samples += 1;
      await new Promise((done) => setTimeout(done, 15));
    }
  }
  async stop(): Promise<void> {
    this.#running = false;
    await this.#done;
  }
}

function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

/** All deployed agents run, each with one process whose pid is the one the API shows. */
async function allRunning(
  fleet: Fleet,
  expected: ReadonlySet<string>,
  limitMs: number,
): Promise<AgentAnswer[]> {
  return until('all agents run again', limitMs, async () => {
    const agents = await fleet.agents();
    const listed = new Set(agents.map((agent) => agent.agent_id));
    for (const id of expected) if (!listed.has(id)) throw new Error(`acknowledged agent ${id} is gone`);
    const live = liveAgents(fleet.root);
    const good = agents.every(
      (agent) =>
        (agent.status === 'running' || agent.status === 'healthy') &&
        agent.pid !== null &&
        live.get(agent.agent_id)?.[0] === agent.pid,
    );
    return good && live.size === expected.size ? agents : undefined;
  });
}

export async function killRounds(rounds: number, progress: (line: string) => void): Promise<RoundsResult> {
  const fleet = await Fleet.start(2);
  const sampler = new Sampler(fleet.root);
  const recoveryMs: Record<string, number[]> = { manager: [], daemon: [], keeper: [], agent: [] };
  const expected = new Set<string>();
  const deploy = async (body: Record<string, unknown>): Promise<void> => {
    const { agent_id } = (await fleet.api('POST', '/api/v1/cluster/agents/deploy', body)) as {
      agent_id: string;
    };
    expected.add(agent_id);
  };
  try {
    for (const id of [1, 2])
      await deploy({
        agent_type: 'trading_agent',
        agent_config: { strategy: 'distributed_momentum', orchestrator_id: id },
      });
    await deploy({ agent_type: 'analysis_agent' });
    let agents = await allRunning(fleet, expected, 60_000);
    for (let round = 0; round < rounds; round += 1) {
      const orchestrator = `orchestrator-${1 + (round % 2)}`;
      for (const victim of ['manager', 'daemon', 'keeper', 'agent'] as const) {
        const from = Date.now();
        const target = agents[round % agents.length] as AgentAnswer;
        if (victim === 'manager') {
          // An acknowledged deploy right before the kill must survive it.
          if (round < 3) await deploy({ agent_type: 'analysis_agent', name: `late-${round}` });
          await fleet.kill('manager');
          fleet.run('manager');
          await fleet.ready();
        } else if (victim === 'daemon') {
          await fleet.kill(orchestrator);
          fleet.run(orchestrator);
        } else if (victim === 'keeper') {
          process.kill(parentOf(target.pid ?? 0), 'SIGKILL');
        } else {
          process.kill(target.pid ?? 0, 'SIGKILL');
        }
        // The old process of a killed keeper or agent must be gone before what runs counts as recovered.
        if (victim === 'keeper' || victim === 'agent')
          await until('the victim is gone', 10_000, () => !isAlive(target.pid ?? 0));
        agents = await allRunning(fleet, expected, 60_000);
        recoveryMs[victim]?.push(Date.now() - from);
      }
      progress(
        `round ${round + 1}/${rounds}: ${agents.length} agents run, ${sampler.samples} samples, ${sampler.doubles.length} doubles`,
      );
    }
  } finally {
    await sampler.stop();
    await fleet.close();
  }
  const left = fleet.leftovers();
  if (left.length > 0) throw new Error(`processes left behind: ${left.join(', ')} (logs in ${fleet.root})`);
  fleet.remove();
  const kills = Object.fromEntries(Object.entries(recoveryMs).map(([name, list]) => [name, list.length]));
  return { rounds, kills, samples: sampler.samples, doubles: sampler.doubles, recoveryMs };
}
