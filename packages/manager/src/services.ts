/**
 * What the routes work with. Made once by `main.ts`; nothing here is global.
 */
import type { Logger } from '@muster/runtime';
import type { AttemptLimiter } from './auth/attempt-limiter.ts';
import type { Passwords } from './auth/passwords.ts';
import type { Tokens } from './auth/tokens.ts';
import type { ManagerSettings } from './config.ts';
import type { Discovery } from './discovery.ts';
import type { Engine } from './engine.ts';
import type { EventRing } from './events/event-ring.ts';
import type { MessageHub } from './events/message-hub.ts';
import type { ManagerIdentity } from './identity.ts';
import type { LinkServer } from './links/link-server.ts';
import type { Measures } from './measures.ts';

export interface Services {
  readonly settings: ManagerSettings;
  readonly version: string;
  readonly log: Logger;
  readonly measures: Measures;
  readonly engine: Engine;
  readonly links: LinkServer;
  readonly events: EventRing;
  readonly hub: MessageHub;
  readonly discovery: Discovery;
  readonly identity: ManagerIdentity;
  readonly tokens: Tokens;
  readonly passwords: Passwords;
  readonly signInLimiter: AttemptLimiter;
  readonly joinLimiter: AttemptLimiter;
  /** SHA-256 of the private CA's certificate, hex, for join tokens; null: none. */
  readonly caHash: string | null;
}
