export * from './agent-protocol.ts';
export * from './agent-type.ts';
export * from './errors.ts';
export * from './join.ts';
export * from './keeper-protocol.ts';
export * from './link.ts';
export * from './rest/index.ts';
export * from './vocabulary.ts';
