import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Step, StoreReply } from "../../kernel/request.ts";
import { Views } from "./views.ts";

const NOW_MS = Date.UTC(2030, 0, 1);
const limit = { algorithm: "budget", quota: 9, ttlMs: 60_000, ttlFrom: "last" } as const;

function seen(views: Views, bucket: string, used: number): void {
  const step: Step = { bucket, limit, event: { type: "read" } };
  const reply = { allowed: true, used, resetAfterMs: 60_000, retryAfterMs: 0 };
  views.learn({ mode: "peek", steps: [step] }, { allowed: true, nowMs: NOW_MS, steps: [reply] } as StoreReply);
}

describe("the buckets that were seen", () => {
  it("are kept once each, in their last form, also across a generation", () => {
    const views = new Views();
    for (const bucket of ["used", "reset"]) seen(views, bucket, 5);
    for (let i = 0; i < 25_000; i++) seen(views, `b${i}`, 1);
    seen(views, "used", 6);
    seen(views, "reset", 0);
    const live = [...views.live(NOW_MS)].filter(([bucket]) => bucket === "used" || bucket === "reset");
    assert.deepEqual(
      live.map(([bucket, { used }]) => [bucket, used]),
      [["used", 6]],
    );
  });
});
