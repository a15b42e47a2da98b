// Tollgate on Cloudflare: limits in Durable Objects.

export { TollgateObject } from "./object.ts";
export { ownObjectStore } from "./own-store.ts";
export type { ObjectNamespace, ObjectStorage } from "./runtime.ts";
export { type DurableObjectStoreOptions, durableObjectStore } from "./store.ts";
export { type ThinkGuard, type ThinkToolCall, thinkGuard } from "./think.ts";
export { type TollgateWorker, type TollgateWorkerOptions, tollgateWorker } from "./worker.ts";
