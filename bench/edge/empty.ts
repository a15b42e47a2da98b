// A Worker that does nothing, with a class of objects as Tollgate's has.

import { DurableObject } from "cloudflare:workers";

export class TollgateObject extends DurableObject {}

// biome-ignore lint/style/noDefaultExport: the runtime wants it
export default { fetch: () => new Response("up") };
