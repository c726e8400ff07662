/**
 * The daemon's side of the keeper. `main.ts` is the keeper's own entry and is never imported.
 */
export { KeeperClient } from './client.ts';
export { KeeperError, type KeeperFailure } from './connection.ts';
export {
  endKeeper,
  type KeeperHello,
  type KeeperOptions,
  type StartedKeeper,
  startKeeper,
  UNREACHABLE_AFTER_MS,
} from './launch.ts';
