export * from './machine.ts';
export { canonicalJson, canonicalJsonDepthLimit, NotCanonical } from './shared/canonical.ts';
export { DueTimes } from './shared/due-times.ts';
