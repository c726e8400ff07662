/** Commands of administrators: `token create|ls|revoke`, `customers ls|add`, `users ls|add|rm`. */
import type {
  CustomerAnswer,
  CustomerRequest,
  JoinTokenAnswer,
  JoinTokenCreated,
  JoinTokenRequest,
  Role,
  UserAnswer,
  UserRequest,
} from '@muster/contract';
import { askPassword, confirm, readPiped } from '../client/ask.ts';
import type { ClientContext } from '../client/context.ts';
import { findToken, findUser } from '../client/find.ts';
import { usageFailure } from '../failure.ts';
import { relativeTime } from '../terminal/quantities.ts';
import type { Column } from '../terminal/table.ts';
import { printable } from '../terminal/text.ts';

const tokensPath = '/api/v1/cluster/join-tokens';

export interface TokenOptions {
  readonly customer?: string;
  readonly name?: string;
  /** Seconds. */
  readonly expires?: number;
}

/** Prints the token on standard output, the only time it is shown, and what to do with it beside. */
export async function createToken({ api, print }: ClientContext, options: TokenOptions): Promise<void> {
  const request: JoinTokenRequest = {
    ...(options.customer === undefined ? {} : { customer_id: options.customer }),
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.expires === undefined ? {} : { expires_in: options.expires }),
  };
  const created = await api.post<JoinTokenCreated>(tokensPath, request);
  if (print.isJson) return print.json(created);
  print.line(created.token);
  print.remark(
    `Shown only now, valid once, expires ${relativeTime(created.expires_at, print.nowMs)}. Put it into the file join-token (mode 0600) on the customer's machine; there:`,
  );
  for (const line of created.command.split('\n')) print.remark(`  ${line}`);
}

export async function listTokens({ api, print }: ClientContext): Promise<void> {
  const columns: Column<JoinTokenAnswer>[] = [
    { title: 'ID', cell: ({ id }) => printable(id) },
    { title: 'CUSTOMER', cell: (token) => printable(token.customer_id) },
    { title: 'NAME', cell: ({ name }) => printable(name ?? '–') },
    { title: 'STATUS', cell: ({ status }) => print.paint(status === 'usable' ? 'green' : 'gray', status) },
    { title: 'CREATED', cell: (token) => relativeTime(token.created_at, print.nowMs) },
    { title: 'EXPIRES', cell: (token) => relativeTime(token.expires_at, print.nowMs) },
    { title: 'BY', cell: (token) => printable(token.created_by) },
    { title: 'USED BY', wide: true, cell: (token) => printable(token.used_by ?? '–') },
  ];
  const tokens = await api.get<JoinTokenAnswer[]>(tokensPath);
  print.list(columns, tokens, 'No join tokens. Make one with: muster token create');
}

export async function revokeToken({ api, print }: ClientContext, wanted: string): Promise<void> {
  const token = await findToken(api, wanted);
  const answer = await api.delete<unknown>(`${tokensPath}/${encodeURIComponent(token.id)}`);
  if (print.isJson) print.json(answer);
  else print.line(`${printable(token.id)} is revoked.`);
}

export async function listCustomers({ api, print }: ClientContext): Promise<void> {
  const columns: Column<CustomerAnswer>[] = [
    { title: 'ID', cell: ({ id }) => printable(id) },
    { title: 'NAME', shrinkTo: 12, cell: ({ name }) => printable(name) },
    { title: 'ORCHESTRATORS', align: 'right', cell: ({ containers }) => String(containers) },
    { title: 'AGENTS', align: 'right', cell: ({ agents }) => String(agents) },
    { title: 'CREATED', cell: (customer) => relativeTime(customer.created_at, print.nowMs) },
  ];
  print.list(columns, await api.get<CustomerAnswer[]>('/api/v1/customers'), 'No customers.');
}

export async function addCustomer(
  { api, print }: ClientContext,
  id: string,
  { name }: { readonly name?: string },
): Promise<void> {
  const request: CustomerRequest = { id, ...(name === undefined ? {} : { name }) };
  const answer = await api.post<CustomerAnswer>('/api/v1/customers', request);
  if (print.isJson) print.json(answer);
  else
    print.line(
      `Customer ${printable(answer.id)} is there. Make its join token: muster token create --customer ${printable(answer.id)}`,
    );
}

export async function listUsers({ api, print }: ClientContext): Promise<void> {
  const columns: Column<UserAnswer>[] = [
    { title: 'NAME', cell: ({ name }) => printable(name) },
    { title: 'ROLE', cell: ({ role }) => role },
    { title: 'CUSTOMER', cell: (user) => printable(user.customer_id ?? 'all') },
    { title: 'EMAIL', cell: ({ email }) => printable(email ?? '–') },
    { title: 'CREATED', cell: (user) => relativeTime(user.created_at, print.nowMs) },
    { title: 'ID', cell: ({ id }) => printable(id) },
  ];
  print.list(columns, await api.get<UserAnswer[]>('/api/v1/users'), 'No users.');
}

export interface AddUserOptions {
  readonly role: Role;
  readonly customer?: string;
  readonly email?: string;
  readonly passwordStdin?: true;
}

export async function addUser(
  { api, print, services }: ClientContext,
  name: string,
  options: AddUserOptions,
): Promise<void> {
  const password =
    options.passwordStdin === true
      ? await readPiped(services.stdin)
      : await askPassword(services, `Password for ${name} (12 characters or more): `);
  if (options.passwordStdin !== true) {
    const again = await askPassword(services, 'Once more: ');
    if (!again.equals(password)) throw usageFailure('The two passwords differ');
  }
  const request: UserRequest = {
    name,
    password: password.reveal(),
    role: options.role,
    ...(options.customer === undefined ? {} : { customer_id: options.customer }),
    ...(options.email === undefined ? {} : { email: options.email }),
  };
  const answer = await api.post<UserAnswer>('/api/v1/users', request);
  if (print.isJson) print.json(answer);
  else print.line(`User ${printable(answer.name)} (${answer.role}) is there.`);
}

export async function removeUser(
  { api, print, services }: ClientContext,
  wanted: string,
  { yes }: { readonly yes?: true },
): Promise<void> {
  const user = await findUser(api, wanted);
  await confirm(services, `This removes the user ${printable(user.name)}`, printable(user.name), yes);
  const answer = await api.delete<unknown>(`/api/v1/users/${encodeURIComponent(user.id)}`);
  if (print.isJson) print.json(answer);
  else print.line(`User ${printable(user.name)} is removed.`);
}
