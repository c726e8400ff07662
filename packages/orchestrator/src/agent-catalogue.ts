/**
 * The agent types this machine can run, and how each is started.
 *
 * A type is found by name and version: an order for a version that is not installed here is refused, never run with
 * another. Entries are resolved as modules of this installation, so no path comes from outside.
 */
import { fileURLToPath } from 'node:url';
import { agentTypes, validateConfig } from '@muster/agents/catalogue';
import type { AgentTypeRecipe, FieldError } from '@muster/contract';

export interface AgentTypeSource {
  readonly recipes: readonly AgentTypeRecipe[];
  /** Everything wrong with a configuration; empty: it will run. */
  validate(type: string, config: unknown): readonly FieldError[];
}

export const builtInTypes: AgentTypeSource = { recipes: agentTypes, validate: validateConfig };

export type FoundType =
  | { readonly ok: true; readonly recipe: AgentTypeRecipe; readonly entryPath: string }
  | { readonly ok: false; readonly message: string };

export class AgentCatalogue {
  readonly #source: AgentTypeSource;

  constructor(source: AgentTypeSource = builtInTypes) {
    this.#source = source;
  }

  get recipes(): readonly AgentTypeRecipe[] {
    return this.#source.recipes;
  }
  validate(type: string, config: unknown): readonly FieldError[] {
    return this.#source.validate(type, config);
  }
  /** The recipe of that name in the version installed here. */
  recipeOf(type: string): AgentTypeRecipe | undefined {
    return this.#source.recipes.find((recipe) => recipe.type === type);
  }

  /** What to run for a type and version, or why this machine cannot. */
  find(type: string, version: string): FoundType {
    const named = this.#source.recipes.filter((recipe) => recipe.type === type);
    if (named.length === 0) {
      const known = this.#source.recipes.map((recipe) => recipe.type).join(', ');
      return {
        ok: false,
        message: `This machine does not know the agent type ${type.slice(0, 128)}; it knows ${known}.`,
      };
    }
    const recipe = named.find((each) => each.version === version);
    if (recipe === undefined) {
      const versions = named.map((each) => each.version).join(', ');
      return {
        ok: false,
        message: `This machine has ${type} in version ${versions}, not ${version.slice(0, 128)}: upgrade the orchestrator.`,
      };
    }
    try {
      return { ok: true, recipe, entryPath: fileURLToPath(import.meta.resolve(recipe.run.entry)) };
    } catch {
      return { ok: false, message: `The program of ${type} ${version} is not part of this installation.` };
    }
  }
}
