/**
 * Entry of the trading agent. It connects first and loads the program meanwhile, so that the orchestrator hears from a
 * starting agent as early as possible.
 */
import { runAgent } from '@muster/agent-sdk';

const program = import('./program.ts');

runAgent({
  name: 'trading_agent/1.0.0',
  setup: async (context) => (await program).startTrading(context),
});
