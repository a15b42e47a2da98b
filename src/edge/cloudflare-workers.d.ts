// What this package uses of the module that every Worker has. Programs have its full types from Cloudflare's own packages.

declare module "cloudflare:workers" {
  import type { ObjectState } from "./runtime.ts";

  export abstract class DurableObject<Env = unknown> {
    protected ctx: ObjectState;
    protected env: Env;
    constructor(ctx: ObjectState, env: Env);
  }

  /** The bindings, also in the global scope. */
  export const env: unknown;
  export function waitUntil(promise: Promise<unknown>): void;
}
