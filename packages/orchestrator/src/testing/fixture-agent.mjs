/**
 * A small agent for tests, in plain JavaScript: speaks the agent protocol and keeps a counter in its state.
 *
 * Commands: `echo` answers its arguments, `count` raises the stored counter, `garbage` writes lines that are no protocol,
 * `print` writes lines to stdout, `crash` ends the process.
 */
import { writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';

const {
  MUSTER_SOCKET: path,
  MUSTER_AGENT_ID: agent,
  MUSTER_EPOCH: epoch,
  MUSTER_STATE_DIR: stateDir,
} = process.env;
// An agent of such a name ends before anybody could have heard of it.
if (agent.startsWith('dies-')) process.exit(3);

const waiting = new Map();
let socket;
let next = 1;

const send = (frame) => socket.write(`${JSON.stringify(frame)}\n`);
const ask = (frame) =>
  new Promise((resolve) => {
    const id = `s${next++}`;
    waiting.set(id, resolve);
    send({ ...frame, id });
  });

const verbs = {
  echo: async (args) => args,
  count: async () => {
    const { value } = await ask({ t: 'state.get', key: 'count' });
    await ask({ t: 'state.put', key: 'count', value: (value ?? 0) + 1 });
    return (value ?? 0) + 1;
  },
  print: async ({ lines }) => {
    for (let number = 1; number <= lines; number += 1) process.stdout.write(`line ${number}\n`);
    return lines;
  },
  garbage: async () => {
    socket.write('{"t":"health","state":"nonsense"}\n\u0000\u0001 not json\n');
    return null;
  },
  crash: async () => process.exit(7),
};

async function receive(frame) {
  if (frame.t === 'welcome') {
    process.stdout.write(`welcomed ${agent} ${epoch} ${JSON.stringify(frame.config)}\n`);
    send({ t: 'ready' });
    send({ t: 'health', state: 'running', ok: true });
    send({ t: 'metrics', values: { answer: 42 } });
  } else if (frame.t === 'refused') process.exit(78);
  else if (frame.t === 'result') waiting.get(frame.id)?.(frame);
  else if (frame.t === 'ping') send({ t: 'pong', id: frame.id });
  else if (frame.t === 'stop') process.exit(0);
  else if (frame.t === 'command') {
    const verb = verbs[frame.verb];
    if (verb === undefined)
      send({
        t: 'answer',
        id: frame.id,
        ok: false,
        error: { code: 'unknown-verb', message: 'no such verb' },
      });
    else send({ t: 'answer', id: frame.id, ok: true, value: await verb(frame.args) });
  }
}

function connect() {
  let rest = '';
  socket = createConnection(path);
  socket.setEncoding('utf8');
  socket.on('connect', () => send({ t: 'hello', v: 1, agent, epoch, sdk: 'fixture', pid: process.pid }));
  socket.on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const line of lines) void receive(JSON.parse(line));
  });
  socket.on('error', () => {});
  socket.on('close', () => setTimeout(connect, 20));
}

writeFileSync(join(stateDir, 'born'), `${epoch}\n`);
process.on('SIGTERM', () => process.exit(0));
connect();
