// The typed policy where it counts: a typo in the policy does not compile, and its limiter has a name. Each refusal stands
// where the compiler must object: if it did not, the directive above it would be an error.

import assert from "node:assert/strict";
import { it } from "node:test";
import { type CallFor, createLimiter, definePolicy, type Limiter } from "tollgate";
import { memoryStore } from "tollgate/stores/memory";

const policy = definePolicy({
  version: 1,
  limits: [{ name: "per-workspace", per: ["session", "workspace"], quota: 2 }],
});

class Search {
  readonly limiter: Limiter<typeof policy>;
  constructor(limiter: Limiter<typeof policy>) {
    this.limiter = limiter;
  }
  async run(call: CallFor<typeof policy>): Promise<string> {
    const decision = await this.limiter.consume(call);
    return decision.allowed ? "found" : decision.deniedBy;
  }
}

it("has a limiter type that a field, a parameter and a call can name", async () => {
  const search = new Search(createLimiter({ policy, store: memoryStore() }));
  const call = { tool: "search", session: "s1", workspace: "w1" };
  assert.deepEqual(
    [await search.run(call), await search.run(call), await search.run(call)],
    ["found", "found", "per-workspace"],
  );
  // @ts-expect-error a typo in a dimension
  await assert.rejects(search.run({ tool: "search", session: "s1", worspace: "w1" }), { code: "invalid-call" });
});

it("does not compile with a typo, a missing word or a wrong duration", () => {
  const refused = { code: "invalid-policy" };
  // @ts-expect-error a typo
  assert.throws(() => definePolicy({ version: 1, limits: [{ name: "a", per: ["session"], qouta: 5 }] }), refused);
  assert.throws(
    // @ts-expect-error a window alone does not say which algorithm is meant
    () => definePolicy({ version: 1, limits: [{ name: "a", per: ["session"], quota: 5, window: "1h" }] }),
    refused,
  );
  assert.throws(
    () =>
      definePolicy({
        version: 1,
        // @ts-expect-error no duration
        limits: [{ name: "a", per: ["session"], quota: 5, algorithm: "fixed-window", window: "1 hour" }],
      }),
    refused,
  );
});

it("refuses a limiter of another policy", () => {
  const other = definePolicy({ version: 1, limits: [{ name: "per-user", per: ["user"], quota: 2 }] });
  // @ts-expect-error its calls have another dimension
  assert.ok(new Search(createLimiter({ policy: other, store: memoryStore() })));
});
