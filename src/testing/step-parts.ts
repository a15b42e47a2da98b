// Steps that several files of cases are written with.

import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { Step } from "../kernel/request.ts";
import { WINDOW_MS } from "./cases.ts";

export const MARKS = ["00000000000000aa", "bb00000000000000", "0123456789abcdef"] as const;

export const [A, B, C] = MARKS;

export const elapsed = { algorithm: "elapsed", quota: 50, ttlMs: 100 } as const satisfies LimitSpec;

export const streak = { algorithm: "streak", quota: 2, ttlMs: 100 } as const satisfies LimitSpec;

export const window: LimitSpec = { algorithm: "fixed-window", quota: 2, windowMs: WINDOW_MS, align: "first-use" };

export const report = (bucket: string, limit: LimitSpec, outcome: string | null): Step => ({
  bucket,
  limit,
  event: { type: "report", outcome },
});
