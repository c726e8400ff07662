/**
 * When to start an agent again that ended unasked. The first time at once; then 1 s, 2 s, 4 s … up to a minute, each varied by
 * up to a fifth so that agents of one cause do not march in step. An agent that stayed up a minute starts with a clean sheet.
 */
export const RESTART_BACKOFF_FIRST_MS = 1_000;
export const RESTART_BACKOFF_MAX_MS = 60_000;
/** Up this long, an agent's earlier failures are forgotten, ms. */
export const RESTART_RESET_AFTER_MS = 60_000;
/** From this many failures in a row on it is called crash-looping. */
export const CRASH_LOOP_FAILURES = 3;

/** Wait before the next start after `failures` failures in a row (1 = the first), ms. `fraction` in [0, 1). */
export function restartDelayMs(failures: number, fraction: number): number {
  if (failures <= 1) return 0;
  const base = Math.min(RESTART_BACKOFF_MAX_MS, RESTART_BACKOFF_FIRST_MS * 2 ** Math.min(20, failures - 2));
  return Math.round(base * (0.8 + 0.4 * fraction));
}
