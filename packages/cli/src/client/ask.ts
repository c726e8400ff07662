/**
 * Asking a person at the terminal: a password without echo, a confirmation by typing.
 *
 * Nobody is asked when standard input is no terminal: then the answer must come by option, and the failure says by which.
 */
import { createInterface } from 'node:readline/promises';
import { Secret } from '@muster/runtime';
import { exitCode } from '../exit-codes.ts';
import { CommandFailure, usageFailure } from '../failure.ts';
import type { Services } from '../services.ts';

const interruptedFailure = (): CommandFailure =>
  new CommandFailure({ what: 'Interrupted', code: exitCode.interrupted });

/** Reads a password from the terminal, showing nothing. @throws CommandFailure when there is no terminal. */
export async function askPassword({ stdin, stderr }: Services, question: string): Promise<Secret> {
  if (!stdin.isTTY) {
    throw usageFailure('There is no terminal to ask for the password', 'Pipe it in with --password-stdin.');
  }
  stderr.write(question);
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  try {
    return new Secret(await readHidden(stdin));
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write('\n');
  }
}

function readHidden(stdin: NodeJS.ReadStream): Promise<string> {
  return new Promise((resolve, reject) => {
    let typed = '';
    const finish = (act: () => void): void => {
      stdin.off('data', onData);
      act();
    };
    const onData = (piece: string): void => {
      for (const character of piece) {
        if (character === '\r' || character === '\n' || character === '\u0004')
          return finish(() => resolve(typed));
        if (character === '\u0003') return finish(() => reject(interruptedFailure()));
        if (character === '\u007f' || character === '\b') typed = typed.slice(0, -1);
        else if (character === '\u0015') typed = '';
        else if (character >= ' ') typed += character;
      }
    };
    stdin.on('data', onData);
    stdin.resume();
  });
}

/** The whole of standard input. */
export async function readAll(stdin: NodeJS.ReadStream): Promise<string> {
  stdin.setEncoding('utf8');
  let text = '';
  for await (const piece of stdin) text += String(piece);
  return text;
}

/** A password that is piped in: everything up to the last line end. */
export async function readPiped(stdin: NodeJS.ReadStream): Promise<Secret> {
  const text = (await readAll(stdin)).replace(/\r?\n$/, '');
  if (text === '') throw usageFailure('Standard input holds no password');
  return new Secret(text);
}

/** Returns when the person typed `expected`; `yes` was given: at once. @throws CommandFailure otherwise. */
export async function confirm(
  { stdin, stderr }: Services,
  what: string,
  expected: string,
  yes: boolean | undefined,
): Promise<void> {
  if (yes === true) return;
  if (!stdin.isTTY) {
    throw usageFailure(`${what}: this needs a confirmation`, 'Repeat the command with --yes.');
  }
  stderr.write(`${what}. Type ${expected} to go on: `);
  const reader = createInterface({ input: stdin, crlfDelay: Number.POSITIVE_INFINITY });
  try {
    const answer = await Promise.race([
      reader.question(''),
      new Promise<never>((_resolve, reject) => reader.once('close', () => reject(interruptedFailure()))),
    ]);
    if (answer.trim() !== expected) {
      throw new CommandFailure({ what: 'Nothing was changed', code: exitCode.failure });
    }
  } finally {
    reader.close();
  }
}
