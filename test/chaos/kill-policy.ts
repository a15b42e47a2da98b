// What the processes of kill.test.ts and the test itself share.

import type { PolicyInput } from "tollgate";

export const CALLERS = 8;
export const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "session", per: ["session"], quota: 1_000_000_000 },
    { name: "tool", per: ["session", "tool"], quota: 1_000_000_000 },
  ],
};
