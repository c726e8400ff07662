/**
 * What an agent does that cannot do its work and would not do it any better after a restart.
 */
import type { AgentContext, AgentProgram } from '@muster/agent-sdk';

/** Nothing this process can do will help: it says why and stays, so that nobody restarts it in circles. */
export function waitFailed(context: AgentContext, reason: string): AgentProgram {
  context.log.error('the agent cannot run and waits for a person', { reason });
  context.health('failed', reason, false);
  for (const verb of ['status', 'health']) context.command(verb, () => ({ state: 'failed', detail: reason }));
  return {};
}
