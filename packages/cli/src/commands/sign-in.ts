/** `muster login`, `logout`, `whoami`. */
import type { TokenAnswer, WhoAmI } from '@muster/contract';
import { Secret } from '@muster/runtime';
import { askPassword, readPiped } from '../client/ask.ts';
import { type ClientContext, type ClientOptions, managerClient, Printer } from '../client/context.ts';
import { Credentials } from '../client/credentials.ts';
import { managerUrl, readTokenFile } from '../client/manager-url.ts';
import type { Services } from '../services.ts';
import { relativeTime } from '../terminal/quantities.ts';
import { printable } from '../terminal/text.ts';

export interface LoginOptions extends ClientOptions {
  readonly user: string;
  readonly passwordStdin?: true;
  readonly passwordFile?: string;
}

/** Trades name and password for a token. @throws CommandFailure */
export async function signIn(url: string, name: string, password: Secret): Promise<Secret> {
  const body = { username: name, password: password.reveal() };
  const answer = await managerClient(url).post<TokenAnswer>('/api/v1/auth/login', body);
  return new Secret(answer.access_token);
}

export async function login(services: Services, options: LoginOptions): Promise<void> {
  const credentials = new Credentials(services.environment);
  const url = managerUrl(services.environment, options.url, credentials);
  const print = new Printer(services, options);
  const password = await passwordFrom(services, options, url);
  const token = await signIn(url, options.user, password);
  const person = await managerClient(url, token).get<WhoAmI>('/api/v1/auth/me');
  credentials.store(url, { token, name: person.name, expiresAt: person.expires_at });
  if (print.isJson) return print.json({ url, ...person });
  const until = relativeTime(person.expires_at, services.now());
  print.line(`Signed in at ${url} as ${printable(person.name)} (${person.role}); expires ${until}.`);
}

function passwordFrom(services: Services, options: LoginOptions, url: string): Promise<Secret> {
  if (options.passwordFile !== undefined)
    return Promise.resolve(readTokenFile(options.passwordFile, 'password'));
  if (options.passwordStdin === true) return readPiped(services.stdin);
  return askPassword(services, `Password of ${options.user} at ${url}: `);
}

/** Forgets the token here. The token itself stays valid until it expires, as no server keeps a list of them. */
export function logout(services: Services, options: ClientOptions): void {
  const credentials = new Credentials(services.environment);
  const url = managerUrl(services.environment, options.url, credentials);
  const print = new Printer(services, options);
  const was = credentials.forget(url);
  if (print.isJson) print.json({ url, signed_out: was });
  else print.line(was ? `Signed out of ${url}.` : `You were not signed in at ${url}.`);
}

export async function whoami({ api, print }: ClientContext): Promise<void> {
  const person = await api.get<WhoAmI>('/api/v1/auth/me');
  if (print.isJson) return print.json(person);
  const scope = person.customer_id === null ? 'all customers' : `customer ${person.customer_id}`;
  print.line(`${printable(person.name)} (${person.role}, ${printable(scope)}) at ${api.url}`);
}
