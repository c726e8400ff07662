/** Entry of the analysis agent: connects first and loads the program meanwhile. */
import { runAgent } from '@muster/agent-sdk';

const program = import('./program.ts');

runAgent({
  name: 'analysis_agent/1.0.0',
  setup: async (context) => (await program).startAnalysis(context),
});
