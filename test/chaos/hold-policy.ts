// What the processes of hold.test.ts and the test itself share.

import type { Call, PolicyInput } from "tollgate";

export const LEASE_MS = 600;
export const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "charged", per: ["session"], unit: "tokens", quota: 1_000, hold: { lease: `${LEASE_MS}ms` } },
    {
      name: "refunded",
      per: ["session"],
      unit: "credits",
      quota: 1_000,
      hold: { lease: `${LEASE_MS}ms`, onExpiry: "refund" },
    },
    { name: "at-once", per: ["session"], algorithm: "concurrency", quota: 1, hold: { lease: `${LEASE_MS}ms` } },
  ],
};
export const callOf = (session: string): Call => ({
  tool: "model",
  session,
  cost: { tokens: 400, credits: 300 },
  idempotencyKey: `${session}-key`,
});
