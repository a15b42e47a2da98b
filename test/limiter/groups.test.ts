// Buckets per tool and group: only those that a call can charge.

import assert from "node:assert/strict";
import { it } from "node:test";
import { createLimiter, MisuseError } from "tollgate";
import { memoryStore } from "tollgate/stores/memory";

it("a tool without a group has no bucket per tool and group, neither in usage nor to be reset", async () => {
  const limiter = createLimiter({
    policy: {
      version: 1,
      tools: { a: { group: "g1" }, b: {}, c: { group: "g2" } },
      limits: [{ name: "l", per: ["session", "tool", "group"], onMissing: "skip", quota: 5 }],
    },
    store: memoryStore(),
  });
  const usages = await limiter.usage({ session: "s1" });
  assert.deepEqual(
    usages.map(({ dimensions }) => [dimensions.tool, dimensions.group]),
    [
      ["a", "g1"],
      ["c", "g2"],
    ],
  );
  assert.deepEqual(await limiter.usage({ session: "s1", tool: "b" }), []);
  await assert.rejects(limiter.reset({ limit: "l", session: "s1", tool: "b" }), (error) =>
    MisuseError.isInstance(error),
  );
  await limiter.close();
});
