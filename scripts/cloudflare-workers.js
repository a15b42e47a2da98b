// Loaded before tests and scripts: Node has no module cloudflare:workers, so that `tollgate/edge` could not even be read. This
// stands in for it. What it does is tested in workerd (test/edge).
import { registerHooks } from "node:module";

const NAME = "cloudflare:workers";
const SOURCE = `
  export class DurableObject { constructor(ctx, env) { this.ctx = ctx; this.env = env; } }
  export const env = {};
  export function waitUntil() {}
`;

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === NAME ? { url: NAME, shortCircuit: true } : next(specifier, context),
  load: (url, context, next) =>
    url === NAME ? { format: "module", source: SOURCE, shortCircuit: true } : next(url, context),
});
