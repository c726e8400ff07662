/**
 * The output of all agents of this machine: rotation, the last lines, and following.
 *
 * Files are looked at by a timer instead of being watched: a look costs one `stat`, works on every file system, and bounds how
 * often a talkative agent wakes the daemon. With both streams wanted, lines that carry a time are merged by it.
 */
import type { AgentPlaces } from '../agent-places.ts';
import { type LogCursor, LogFile } from './log-file.ts';
import { type LogLine, logLineOf } from './log-line.ts';

export type StreamChoice = 'all' | 'stdout' | 'stderr';
export const TAIL_MAX_LINES = 5_000;
const FOLLOW_INTERVAL_MS = 250;
const ROTATE_INTERVAL_MS = 2_000;

interface Files {
  readonly stdout: LogFile;
  readonly stderr: LogFile;
}

export class AgentLogs {
  readonly #places: AgentPlaces;
  readonly #onProblem: (agentId: string, message: string) => void;
  readonly #files = new Map<string, Files>();
  readonly #rotation: NodeJS.Timeout;
  readonly #complained = new Set<string>();

  constructor(places: AgentPlaces, onProblem: (agentId: string, message: string) => void) {
    this.#places = places;
    this.#onProblem = onProblem;
    this.#rotation = setInterval(() => this.rotate(), ROTATE_INTERVAL_MS);
    this.#rotation.unref();
  }

  /** From now on this agent's files are kept small. */
  watch(agentId: string): void {
    this.#of(agentId);
  }
  forget(agentId: string): void {
    this.#files.delete(agentId);
    this.#complained.delete(agentId);
  }
  close(): void {
    clearInterval(this.#rotation);
  }

  rotate(): void {
    for (const [agentId, files] of this.#files) {
      try {
        files.stdout.rotateIfLarge();
        files.stderr.rotateIfLarge();
        this.#complained.delete(agentId);
      } catch (error) {
        if (this.#complained.has(agentId)) continue;
        this.#complained.add(agentId);
        this.#onProblem(agentId, (error as Error).message);
      }
    }
  }

  /** The last lines, oldest first. */
  tail(agentId: string, count: number, choice: StreamChoice): LogLine[] {
    const most = Math.min(count, TAIL_MAX_LINES);
    const streams = streamsOf(choice).map((stream) =>
      this.#of(agentId)
        [stream].tail(most)
        .map((line) => logLineOf(stream, line)),
    );
    return merged(streams).slice(most === 0 ? Infinity : -most);
  }

  /** Calls back with new lines from now on, never with none. Returns what ends it. */
  follow(agentId: string, choice: StreamChoice, onLines: (lines: LogLine[]) => void): () => void {
    const files = this.#of(agentId);
    const cursors = new Map<'stdout' | 'stderr', LogCursor>(
      streamsOf(choice).map((stream) => [stream, files[stream].end()]),
    );
    const look = (): void => {
      const streams = [...cursors].map(([stream, cursor]) => {
        const { lines, next } = files[stream].since(cursor);
        cursors.set(stream, next);
        return lines.map((line) => logLineOf(stream, line));
      });
      const lines = merged(streams);
      if (lines.length > 0) onLines(lines);
    };
    const timer = setInterval(look, FOLLOW_INTERVAL_MS);
    timer.unref();
    return () => clearInterval(timer);
  }

  #of(agentId: string): Files {
    let files = this.#files.get(agentId);
    if (files === undefined) {
      const { stdoutPath, stderrPath } = this.#places.of(agentId);
      files = { stdout: new LogFile(stdoutPath), stderr: new LogFile(stderrPath) };
      this.#files.set(agentId, files);
    }
    return files;
  }
}

const streamsOf = (choice: StreamChoice): readonly ('stdout' | 'stderr')[] =>
  choice === 'all' ? ['stdout', 'stderr'] : [choice];

/** Each stream keeps its order; a line without a time stays with the line before it. */
function merged(streams: readonly LogLine[][]): LogLine[] {
  const [first = [], second = []] = streams;
  if (first.length === 0 || second.length === 0) return [...first, ...second];
  const result: LogLine[] = [];
  let left = 0;
  let right = 0;
  while (left < first.length || right < second.length) {
    const a = first[left];
    const b = second[right];
    const takeLeft =
      b === undefined ||
      (a !== undefined && (a.time === undefined || (b.time !== undefined && a.time <= b.time)));
    const taken = takeLeft ? a : b;
    if (taken !== undefined) result.push(taken);
    if (takeLeft) left += 1;
    else right += 1;
  }
  return result;
}
