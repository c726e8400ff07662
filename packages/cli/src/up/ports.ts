/** Are the ports free? Asked before anything is started, so that the answer is one clear line. */
import { createServer } from 'node:net';
import { exitCode } from '../exit-codes.ts';
import { CommandFailure } from '../failure.ts';
import type { UpSettings } from './settings.ts';

/** @throws CommandFailure naming the port and the flag that chooses another. */
export async function checkPorts({ port, agentPorts, bind }: UpSettings): Promise<void> {
  await check(port, bind, 'the manager', '--port P');
  for (const [index, each] of agentPorts.entries()) {
    await check(each, bind, `orchestrator-${index + 1}`, '--agent-ports P,P,…');
  }
}

async function check(port: number, bind: string, who: string, flag: string): Promise<void> {
  if (port === 0) return;
  const code = await tryToListen(port, bind);
  if (code === undefined) return;
  throw new CommandFailure({ what: sentence(code, port, bind, who, flag), code: exitCode.unavailable });
}

function sentence(code: string, port: number, bind: string, who: string, flag: string): string {
  if (code === 'EADDRINUSE') {
    return `Port ${port} (${who}) is taken by another program: stop that, or choose another port with ${flag}.`;
  }
  if (code === 'EACCES')
    return `Port ${port} (${who}) needs more rights: choose one above 1023 with ${flag}.`;
  return `Port ${port} (${who}) cannot be opened on ${bind} (${code}): set BIND to an address of this machine.`;
}

function tryToListen(port: number, host: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ port, host }, () => server.close(() => resolve(undefined)));
  });
}
