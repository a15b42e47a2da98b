// The service of the fuzzer, in a process of its own, so that its memory can be told. Its store's time runs
// 200 times as fast, so that what is kept for ten minutes ends while it runs.

import { auditFile } from "../../src/service/audit.ts";
import { createService } from "../../src/service/handler.ts";
import { listen } from "../../src/service/node.ts";
import { memoryStore } from "../../src/stores/memory.ts";

const policy = `
version: 1
tools: { search: { tier: T1 }, book: { tier: T2, cost: { tokens: 3 } } }
limits:
  - { name: per-session, per: [session], optional: true, quota: 50, ttl: 1m, hold: { lease: 30s } }
  - { name: tokens, per: [session], optional: true, unit: tokens, quota: 1000, ttl: 1m, hold: { lease: 30s } }
  - { name: rate, per: [user], optional: true, algorithm: token-bucket, quota: 1000, window: 1m, burst: 20, hold: { lease: 30s } }
  - { name: same-again, per: [session, turn, tool, args], optional: true, quota: 5, ttl: 1m, hold: { lease: 30s } }
  - { name: window, per: [tenant, tier], optional: true, algorithm: fixed-window, quota: 100, window: 1m, hold: { lease: 30s } }
  - { name: sliding, per: [agent], optional: true, algorithm: sliding-window, quota: 100, window: 1m, hold: { lease: 30s } }
  - { name: own, per: [desk], optional: true, quota: 100, ttl: 1m, hold: { lease: 30s } }
  - { name: failing, per: [session, tool], optional: true, algorithm: streak, of: errors, quota: 3, ttl: 1m }
`;

const startedMs = Date.now();
const service = createService({
  policy,
  store: memoryStore({ maxBuckets: 200_000, clock: { nowMs: () => Math.floor(startedMs + performance.now() * 200) } }),
  keys: false,
  audit: auditFile("/dev/null"),
  bounds: { maxWaitMs: 5, maxBodyBytes: 200_000 },
});
const { port } = await listen(service, { port: 0, maxConnections: 1_000 });
process.on("message", () => {
  globalThis.gc?.();
  globalThis.gc?.();
  process.send?.({ heapBytes: process.memoryUsage().heapUsed });
});
process.send?.({ port });
