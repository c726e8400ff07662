export * from './machine.ts';
export { canonicalText } from './shared/canonical.ts';
export { DueTimes } from './shared/due-times.ts';
