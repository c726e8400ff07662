/**
 * The stage of a scenario: a small fleet without random faults, on which a script makes one rare thing happen. For situations
 * that break an assumption of the random world (a disk that goes back in time), so that its checkers could not judge them.
 */
import { administrator, Fleet } from '../fleet.ts';
import type { Host } from '../host.ts';
import type { ManagerCommand } from '../machines.ts';
import type { Observer } from '../observer.ts';
import { withPoisonedGlobals } from '../poison.ts';
import { Stream } from '../random.ts';
import type { Swarm } from '../swarm.ts';
import { Trace } from '../trace.ts';
import { PropertyViolated, World } from '../world.ts';

const quiet: Swarm = {
  calm: true,
  meanMs: new Map(),
  rateError: 0,
  networkMs: 5,
  commitMs: 1,
  crashInStep: 0,
  workloadMs: 1_000,
  places: 5,
  snapshotEvery: 1_000_000,
};

export interface Stage {
  readonly world: World;
  readonly fleet: Fleet;
  readonly hosts: readonly Host[];
  /** Let this much simulated time pass, ms. */
  pass(ms: number): void;
  /** Ask the manager and wait for its answer; a refusal fails the scenario. */
  order(command: ManagerCommand): Readonly<Record<string, unknown>>;
  /** Deploy one agent, pinned to a host or (null) anywhere, and return its id. */
  deployOn(host: Host | null): string;
  expect(condition: boolean, detail: string): void;
}

export interface Scenario {
  readonly name: string;
  readonly checkers: (world: World) => Observer[];
  readonly play: (stage: Stage) => void;
}

export interface ScenarioFailure {
  readonly property: string;
  readonly detail: string;
}

/** Play a scenario, with planted bugs if any. Null: everything held. */
export function playScenario(scenario: Scenario, mutants: ReadonlySet<string>): ScenarioFailure | null {
  return withPoisonedGlobals(() => {
    const world = new World({ seed: 1, stream: Stream.ofSeed(1), swarm: quiet, trace: new Trace(), mutants });
    try {
      scenario.play(setStage(world, scenario));
      return null;
    } catch (error) {
      if (error instanceof PropertyViolated) return { property: error.property, detail: error.message };
      throw error;
    }
  });
}

function setStage(world: World, scenario: Scenario): Stage {
  const fleet = new Fleet(world, ['default']);
  const hosts = ['o1', 'o2'].map((name) =>
    fleet.addHost({ name, customerId: 'default', maxAgents: 5, capabilities: [] }),
  );
  world.observers.push(...scenario.checkers(world));
  const stage: Stage = {
    world,
    fleet,
    hosts,
    pass: (ms) => world.schedule.runUntil(world.now + ms),
    order(command) {
      let value: Readonly<Record<string, unknown>> | null = null;
      fleet.manager.ask(administrator, command, (result) => {
        if (result?.ok === true) ({ value } = result);
      });
      stage.pass(35_000);
      return value ?? world.fail(scenario.name, `${command.kind} was not done`);
    },
    deployOn(host) {
      const value = stage.order(deployCommand(host?.name ?? null));
      const [agent] = value['agents'] as readonly { agentId: string }[];
      return agent?.agentId ?? world.fail(scenario.name, 'nothing was deployed');
    },
    expect(condition, detail) {
      if (!condition) world.fail(scenario.name, detail);
    },
  };
  fleet.manager.start();
  for (const host of hosts) {
    host.boot();
    fleet.join(host);
  }
  stage.pass(10_000);
  return stage;
}

const deployCommand = (container: string | null): ManagerCommand => ({
  kind: 'deploy',
  agentType: 'quick_agent',
  agentConfig: {},
  resourceRequirements: {},
  preferredContainer: container,
  strategy: 'least_loaded',
  constraints: {},
  name: null,
  customerId: null,
  onDisconnect: 'continue',
  replicas: 1,
  waitRunning: true,
});
