/**
 * The thread between `muster up` and the processes it starts: an IPC channel whose end means "stop".
 *
 * It tells the parent where a process listens. When the parent ends, however it ends, the kernel closes the channel and the
 * process stops in order. A process that was started by hand has no
 * such channel.
 */

/** Tells a process that the channel it inherited is that of `muster up`, not of some other process manager. */
export const upMark = 'MUSTER_PARENT';
export const upMarkValue = 'up';

/** What a process tells once it listens. */
export interface Listening {
  readonly kind: 'listening';
  readonly port: number;
  /** Where it answers. */
  readonly url: string;
  /** The manager only: the first administrator's password was made at this start. */
  readonly passwordMade?: boolean;
}

export function isListening(message: unknown): message is Listening {
  const facts = message as Partial<Listening> | null;
  return facts?.kind === 'listening' && typeof facts.port === 'number' && typeof facts.url === 'string';
}

/** The part of `process` that is used. */
export interface ChannelProcess {
  readonly connected?: boolean;
  send?: (message: unknown, callback: (error: Error | null) => void) => boolean;
  once(event: 'disconnect', listener: () => void): unknown;
}

/** Calls back once when the parent has ended or let go. */
export function whenParentEnds(own: ChannelProcess, stop: (reason: string) => void): void {
  const reason = 'muster up has ended';
  if (own.connected === false) return stop(reason);
  own.once('disconnect', () => stop(reason));
}

export function tellParent(own: ChannelProcess, message: Listening): void {
  // A parent that is gone is noticed by `whenParentEnds`.
  if (own.connected === true) own.send?.(message, () => {});
}
