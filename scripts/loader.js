// Loaded before tests and scripts: how Node finds modules there. It deliberately reads none.
import { registerHooks } from "node:module";

// Node has no such module, so that `tollgate/edge` could not even be read. What it does is tested in workerd (test/edge).
const CLOUDFLARE_WORKERS = `data:text/javascript,${encodeURIComponent(`
  export class DurableObject { constructor(ctx, env) { this.ctx = ctx; this.env = env; } }
  export const env = {};
  export function waitUntil() {}
`)}`;

/** A program has hundreds of these, and half of its start is Node's search for a package.json above each. */
const SOURCE = /^\.\.?\/.*\.ts$/;

registerHooks({
  resolve(specifier, context, next) {
    if (SOURCE.test(specifier)) {
      return { url: new URL(specifier, context.parentURL).href, format: "module-typescript", shortCircuit: true };
    }
    return specifier === "cloudflare:workers"
      ? { url: CLOUDFLARE_WORKERS, shortCircuit: true }
      : next(specifier, context);
  },
});
