import assert from "node:assert/strict";
import { it } from "node:test";
import { compiledPolicy } from "../kernel/policy/parse.ts";
import { newHold } from "../limiter/hold-id.ts";
import type { Hold } from "../limiter.ts";
import { KnownHolds } from "./known-holds.ts";

it("knows a hold only with its own dimensions, and with its own arguments where a limit is per them", () => {
  const policy = compiledPolicy({ version: 1, limits: [{ name: "same", per: ["session", "args"], quota: 3 }] });
  const call = { tool: "search", session: "s1", args: { q: "tea" } };
  const hold = { id: newHold(policy, call, false).id } as Hold;
  const holds = new KnownHolds({ policy });
  holds.add(call, hold);
  assert.equal(holds.get(hold.id, call), hold);
  assert.equal(holds.get(hold.id, { ...call, session: "s2" }), undefined);
  assert.equal(holds.get(hold.id, { ...call, args: { q: "rum" } }), undefined);
});
