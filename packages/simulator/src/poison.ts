/**
 * Inside a simulated run nothing may look at the real world: clocks, randomness, timers and the network throw. A run is
 * synchronous, so poisoning the globals of the thread for its length disturbs nobody else.
 */
type Restore = () => void;

function poisonMember(owner: object, name: string): Restore {
  const descriptor = Object.getOwnPropertyDescriptor(owner, name);
  const inherited = descriptor === undefined;
  const thrower = (): never => {
    throw new Error(`${name} was used inside the simulation: time, randomness and I/O come from the world`);
  };
  Object.defineProperty(owner, name, { value: thrower, configurable: true, writable: true });
  return () => {
    if (inherited) delete (owner as Record<string, unknown>)[name];
    else Object.defineProperty(owner, name, descriptor);
  };
}

/** Run `action` with the globals poisoned; they are back afterwards, whatever happens. */
export function withPoisonedGlobals<T>(action: () => T): T {
  const restores = [
    poisonMember(Date, 'now'),
    poisonMember(Math, 'random'),
    poisonMember(performance, 'now'),
    poisonMember(crypto, 'randomUUID'),
    poisonMember(crypto, 'getRandomValues'),
    ...['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'fetch'].map((name) =>
      poisonMember(globalThis, name),
    ),
  ];
  try {
    return action();
  } finally {
    for (const restore of restores.reverse()) restore();
  }
}
