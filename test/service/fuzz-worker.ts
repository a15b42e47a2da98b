// The service of the fuzzer, in a process of its own, so that its memory can be told. Its buckets end soon.

import { auditFile } from "../../src/service/audit.ts";
import { createService } from "../../src/service/handler.ts";
import { listen } from "../../src/service/node.ts";
import { memoryStore } from "../../src/stores/memory.ts";

const policy = `
version: 1
tools: { search: { tier: T1 }, book: { tier: T2, cost: { tokens: 3 } } }
limits:
  - { name: per-session, per: [session], optional: true, quota: 50, ttl: 1s, hold: { lease: 1s } }
  - { name: tokens, per: [session], optional: true, unit: tokens, quota: 1000, ttl: 1s, hold: { lease: 1s } }
  - { name: rate, per: [user], optional: true, algorithm: gcra, quota: 1000, window: 1s, burst: 20, hold: { lease: 1s } }
  - { name: same-again, per: [session, turn, tool, args], optional: true, quota: 5, ttl: 1s, hold: { lease: 1s } }
  - { name: window, per: [tenant, tier], optional: true, algorithm: fixed-window, quota: 100, window: 1s, hold: { lease: 1s } }
  - { name: sliding, per: [agent], optional: true, algorithm: sliding-window, quota: 100, window: 1s, hold: { lease: 1s } }
  - { name: own, per: [desk], optional: true, quota: 100, ttl: 1s, hold: { lease: 1s } }
  - { name: failing, per: [session, tool], optional: true, algorithm: streak, of: errors, quota: 3, ttl: 1s }
`;

const service = createService({
  policy,
  store: memoryStore({ maxBuckets: 200_000 }),
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
