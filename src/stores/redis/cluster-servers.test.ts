import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ClusterMaster, SlotRange } from "./cluster-nodes.ts";
import { askMasters } from "./cluster-servers.ts";
import { hashSlot } from "./hash-slot.ts";

const masterOf = (address: string, ...slots: SlotRange[]): ClusterMaster => {
  return { host: address, address, slots, isDown: false, replicas: [] };
};

describe("the masters of a cluster", () => {
  it("are each asked by a key in one of their slots", async () => {
    const masters = [masterOf("a", [0, 0]), masterOf("b", [1, 16_382]), masterOf("c", [16_383, 16_383])];
    const answers = await askMasters(masters, async (key) => hashSlot(key ?? ""));
    const [a, b, c] = answers.map(({ info }) => Number(info));
    assert.deepEqual([a, c], [0, 16_383]);
    assert.ok(b !== undefined && b >= 1 && b <= 16_382);
  });

  it("are not asked where another one has all of their slots, or these cannot be read", async () => {
    const masters = [masterOf("a", [0, 16_383]), masterOf("b", [7, 9]), masterOf("c", [Number.NaN, Number.NaN])];
    const answers = await askMasters(masters, async () => "info");
    assert.deepEqual(
      answers.map(({ info, error }) => info ?? (error as Error).message),
      ["info", "no slot is known that it alone has", "no slot is known that it alone has"],
    );
  });
});
