// Tollgate on Cloudflare: limits in Durable Objects.

export { TollgateObject } from "./object.ts";
export type { ObjectNamespace } from "./runtime.ts";
export { type DurableObjectStoreOptions, durableObjectStore } from "./store.ts";
