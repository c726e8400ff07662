/**
 * `muster up` as a client of its own manager: signed in as the administrator, signed in again when that expires.
 *
 * The password comes from ADMIN_PASSWORD or from the file in which the manager keeps the one it made; it is read when it is
 * needed and never kept, printed or put on a command line.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Environment, readSecret, Secret } from '@muster/runtime';
import { ApiClient } from '../client/api-client.ts';
import { signIn } from '../commands/sign-in.ts';
import { exitCode } from '../exit-codes.ts';
import { CommandFailure } from '../failure.ts';

/** Where the manager keeps the password that it made. */
export function passwordPath(managerDirectory: string): string {
  return join(managerDirectory, 'secrets', 'admin-password');
}

/** The administrator's password. @throws CommandFailure when there is none to be found. */
export function adminPassword(environment: Environment, managerDirectory: string): Secret {
  const given = readSecret(environment, 'ADMIN_PASSWORD');
  if (given !== undefined) return given;
  try {
    return new Secret(readFileSync(passwordPath(managerDirectory), 'utf8').trim());
  } catch {
    throw new CommandFailure({
      what: 'The password of the administrator is not known here: set ADMIN_PASSWORD as at the first start.',
      code: exitCode.configuration,
    });
  }
}

/** A password that was refused is not tried again for this long: trying on would lock the administrator out. */
const refusalHoldsMs = 60_000;

export class FleetClient {
  readonly url: string;
  readonly #password: () => Secret;
  #api: ApiClient | undefined;
  #refusal: { readonly failure: CommandFailure; readonly untilMs: number } | undefined;

  constructor(url: string, password: () => Secret) {
    this.url = url;
    this.#password = password;
  }

  /** Does `act` with a valid sign-in. @throws CommandFailure */
  async call<Answer>(act: (api: ApiClient) => Promise<Answer>): Promise<Answer> {
    const api = this.#api ?? (await this.#signIn());
    try {
      return await act(api);
    } catch (error) {
      if (!(error instanceof CommandFailure) || error.code !== exitCode.notAllowed) throw error;
      return act(await this.#signIn());
    }
  }

  async #signIn(): Promise<ApiClient> {
    if (this.#refusal !== undefined && performance.now() < this.#refusal.untilMs) throw this.#refusal.failure;
    const token = await this.#tokenFor(this.#password());
    this.#api = new ApiClient({ url: this.url, token, who: 'The manager', unreachableNext: 'See its log.' });
    return this.#api;
  }

  async #tokenFor(password: Secret): Promise<Secret> {
    try {
      return await signIn(this.url, 'admin', password);
    } catch (error) {
      if (error instanceof CommandFailure && error.code === exitCode.notAllowed) {
        this.#refusal = { failure: error, untilMs: performance.now() + refusalHoldsMs };
      }
      throw error;
    }
  }
}
