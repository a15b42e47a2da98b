import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ClusterMaster, SlotRange } from "./cluster-nodes.ts";
import { askMasters } from "./cluster-servers.ts";
import { slotOf } from "./hash-slot.ts";
import { slotTag } from "./slot-tag.ts";

const masterOf = (address: string, ...slots: SlotRange[]): ClusterMaster => {
  return { host: address, address, slots, isDown: false, replicas: [] };
};

describe("the masters of a cluster", () => {
  it("are each asked by a key of one of their shards, which the documented rights include", async () => {
    const masters = [masterOf("a", [0, 255]), masterOf("b", [256, 16_127]), masterOf("c", [16_128, 16_383])];
    const answers = await askMasters(masters, async (key) => key);
    const keys = answers.map(({ info = "" }) => info);
    for (const key of keys) assert.match(key, /^\{\d+\}:tollgate:1:\$setup$/);
    assert.deepEqual(
      keys.map((key) => Math.floor(slotOf(slotTag(key)) / 256)),
      [0, 1, 63],
    );
    for (const { readMs } of answers) assert.ok(Number(readMs) >= 0);
  });

  it("are not asked where they have no shard, or their slots cannot be read", async () => {
    const masters = [masterOf("a", [0, 16_383]), masterOf("b"), masterOf("c", [Number.NaN, Number.NaN])];
    const answers = await askMasters(masters, async () => "info");
    assert.deepEqual(
      answers.map(({ master, info }) => [master.address, info]),
      [["a", "info"]],
    );
  });

  it("answer without a time where a read is refused", async () => {
    const refusesReads = async (_: unknown, command: string) => {
      if (command === "EXISTS") throw new Error("NOPERM this user has no permissions");
      return "info";
    };
    const [answer] = await askMasters([masterOf("a", [0, 16_383])], refusesReads);
    assert.deepEqual([answer?.info, answer?.readMs], ["info", null]);
  });
});
