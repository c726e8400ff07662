/**
 * The curl commands operators of the original deployment pattern use, as they are printed there, against a fleet of real
 * processes: only host, port and token are put in. Without a token each answers 401 with a sentence that says how to get one.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Fleet, step } from './support/fleet.ts';

const run = promisify(execFile);

interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers: string;
}

/** Run one printed command with the shell; `-i` makes curl show the status and headers too. */
async function curl(fleet: Fleet, printed: string, token: string | null): Promise<Answer> {
  let command = printed
    .replaceAll('localhost:8000', `127.0.0.1:${fleet.port}`)
    .replaceAll('YOUR_TOKEN', token ?? '')
    .replaceAll(' TOKEN"', ` ${token ?? ''}"`);
  if (token === null) command = command.replace(/-H "Authorization:[^"]*"/, '');
  const { stdout } = await run('bash', ['-c', command.replace(/^curl /, 'curl -sS -i ')]);
  const [headers = '', ...rest] = stdout.split('\r\n\r\n');
  return {
    status: Number(/^HTTP\/\S+ (\d+)/.exec(headers)?.[1]),
    body: JSON.parse(rest.join('\r\n\r\n')),
    headers,
  };
}

const commands = {
  status: 'curl -H "Authorization: Bearer YOUR_TOKEN" \\\n  http://localhost:8000/api/v1/cluster/status',
  containers:
    'curl -H "Authorization: Bearer YOUR_TOKEN" \\\n  http://localhost:8000/api/v1/cluster/containers',
  deploy: `curl -X POST http://localhost:8000/api/v1/cluster/agents/deploy \\
  -H "Authorization: Bearer YOUR_TOKEN" \\
  -H "Content-Type: application/json" \\
  -d '{
    "agent_type": "trading_agent",
    "agent_config": {
      "strategy": "distributed_momentum",
      "orchestrator_id": 1
    },
    "deployment_strategy": "least_loaded"
  }'`,
  distribution:
    'curl -H "Authorization: Bearer TOKEN" \\\n  http://localhost:8000/api/v1/cluster/metrics/distribution',
  communication:
    'curl -H "Authorization: Bearer TOKEN" \\\n  http://localhost:8000/api/v1/cluster/communication/stats',
};

function expect(condition: boolean, answer: Answer): void {
  if (!condition) throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`);
}

const fleet = await Fleet.start(2);
try {
  await step('health answers without a token', async () => {
    const answer = await curl(fleet, 'curl http://localhost:8000/health', null);
    expect(answer.status === 200 && (answer.body as { status: string }).status === 'healthy', answer);
  });
  for (const [name, command] of Object.entries(commands)) {
    await step(`${name}: 401 without a token, with a sentence that says how to get one`, async () => {
      const answer = await curl(fleet, command, null);
      const { detail } = answer.body as { detail: string };
      expect(
        answer.status === 401 &&
          /www-authenticate: bearer/i.test(answer.headers) &&
          detail.includes('/api/v1/auth/login'),
        answer,
      );
    });
    await step(`${name}: works as printed with a token`, async () => {
      const answer = await curl(fleet, command, fleet.token);
      expect(answer.status === 200, answer);
      if (name === 'containers') expect(Array.isArray(answer.body) && answer.body.length === 2, answer);
      if (name === 'deploy') {
        const deployed = answer.body as Record<string, unknown>;
        expect(deployed['success'] === true && deployed['container_name'] === 'orchestrator-1', answer);
      }
    });
  }
  await step('an orchestrator answers its health check', async () => {
    const answer = await curl(fleet, `curl http://127.0.0.1:${fleet.orchestratorPorts[0]}/health`, null);
    expect(answer.status === 200, answer);
  });
} finally {
  await fleet.close();
}
await step('nothing is left behind', () => {
  const left = fleet.leftovers();
  if (left.length > 0) throw new Error(`processes ${left.join(', ')}`);
  fleet.remove();
});
