/** Every REST body, answer and query of the manager, as TypeBox schemas and types of the same name. */
export * from './administration.ts';
export * from './agents.ts';
export * from './containers.ts';
export * from './deployments.ts';
export * from './fleet.ts';
export * from './health.ts';
export * from './problem.ts';
export * from './sign-in.ts';
