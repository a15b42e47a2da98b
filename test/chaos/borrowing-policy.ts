// What the processes of borrowing.test.ts and the test itself share.

import type { PolicyInput } from "tollgate";

export const QUOTA = 20_000;
export const CALL = { tool: "search" };
export const POLICY: PolicyInput = {
  version: 1,
  limits: [
    {
      name: "global",
      per: ["tool"],
      algorithm: "fixed-window",
      window: "1h",
      align: "first-use",
      borrow: "auto",
      quota: QUOTA,
    },
  ],
};
