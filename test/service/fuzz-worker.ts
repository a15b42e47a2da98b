// The service of the fuzzer, in a process of its own, so that its memory can be told. Its store's time runs
// 200 times as fast, so that what is kept for ten minutes ends while it runs.

import { auditFile } from "../../src/service/audit-file.ts";
import { createService } from "../../src/service/handler.ts";
import { listen, prometheusMetrics } from "../../src/service/node.ts";
import { memoryStore } from "../../src/stores/memory.ts";

const policy = `
version: 1
tools: { search: { group: T1 }, book: { group: T2, cost: { tokens: 3 } } }
limits:
  - { name: per-session, per: [session], onMissing: skip, quota: 50, resetAfterIdle: 1m, hold: { lease: 30s } }
  - { name: tokens, per: [session], onMissing: skip, unit: tokens, quota: 1000, resetAfterIdle: 1m, hold: { lease: 30s } }
  - { name: rate, per: [user], onMissing: skip, algorithm: token-bucket, quota: 1000, window: 1m, burst: 20, hold: { lease: 30s } }
  - { name: same-again, per: [session, turn, tool, args], onMissing: skip, quota: 5, resetAfterIdle: 1m, hold: { lease: 30s } }
  - { name: window, per: [tenant, group], onMissing: skip, algorithm: fixed-window, quota: 100, window: 1m, hold: { lease: 30s } }
  - { name: sliding, per: [agent], onMissing: skip, algorithm: sliding-window, quota: 100, window: 1m, hold: { lease: 30s } }
  - { name: own, per: [desk], onMissing: skip, quota: 100, resetAfterIdle: 1m, hold: { lease: 30s } }
  - { name: failing, per: [session, tool], onMissing: skip, algorithm: streak, of: errors, quota: 3, resetAfterIdle: 1m }
`;

const startedMs = Date.now();
const service = createService({
  policy,
  store: memoryStore({ maxBuckets: 200_000, clock: { nowMs: () => Math.floor(startedMs + performance.now() * 200) } }),
  keys: false,
  audit: auditFile("/dev/null"),
  metrics: prometheusMetrics(),
  bounds: { maxWaitMs: 5, maxBodyBytes: 200_000 },
});
const { port } = await listen(service, { port: 0, maxConnections: 1_000 });
process.on("message", () => {
  globalThis.gc?.();
  globalThis.gc?.();
  process.send?.({ heapBytes: process.memoryUsage().heapUsed });
});
process.send?.({ port });
