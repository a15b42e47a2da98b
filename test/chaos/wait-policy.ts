// The policy of wait.test.ts: a row, and a bucket of each call's own that names it.

import type { PolicyInput } from "tollgate";

/** A call is served every so many ms. */
export const EVERY_MS = 25;

export const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "row", per: ["session"], algorithm: "token-bucket", window: "1s", quota: 1_000 / EVERY_MS, burst: 1 },
    { name: "each", per: ["session", "user"], quota: 10 },
  ],
};
