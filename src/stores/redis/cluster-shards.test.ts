import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ClusterMaster, SlotRange } from "./cluster-nodes.ts";
import { readsCheck, shardsCheck } from "./cluster-shards.ts";
import { HASH_SLOTS } from "./hash-slot.ts";

const masterOf = (address: string, ...slots: SlotRange[]): ClusterMaster => {
  return { host: address, address, slots, isDown: false, replicas: [] };
};

const check = (...masters: ClusterMaster[]) => shardsCheck({ masters, missing: [], settings: {}, answers: [] });

/** Masters with even ranges, as redis-cli makes them. */
const even = (count: number) =>
  Array.from({ length: count }, (_, i) => {
    const [from, to] = [i, i + 1].map((each) => Math.round((each * HASH_SLOTS) / count)) as [number, number];
    return masterOf(`m${i}`, [from, to - 1]);
  });

describe("the shards of a cluster's masters", () => {
  it("are counted, the largest part first", () => {
    assert.deepEqual(check(...even(3)), {
      name: "shards",
      value: "64, by master: 22 (m1); 21 (m0, m2)",
      problem: null,
    });
  });

  it("are no problem where up to 32 masters have even ranges", () => {
    for (let count = 1; count <= 32; count++) assert.equal(check(...even(count)).problem, null, `${count} masters`);
  });

  it("are a problem where a master has none", () => {
    const { value, problem } = check(
      masterOf("a", [0, 8_191]),
      masterOf("b", [8_192, 16_382]),
      masterOf("c", [16_383, 16_383]),
    );
    assert.equal(value, "64, by master: 32 (a, b); 0 (c)");
    assert.match(problem ?? "", /^c: none of the 64 shards is there, /);
  });

  it("are a problem where a master has more than twice its part", () => {
    const [a, b, c] = [masterOf("a", [0, 11_007]), masterOf("b", [11_008, 14_335]), masterOf("c", [14_336, 16_383])];
    const { value, problem } = check(a, b, c);
    assert.equal(value, "64, by master: 43 (a); 13 (b); 8 (c)");
    assert.match(problem ?? "", /^a has 43 of 64 shards, more than twice its part among 3 masters/);
    assert.equal(check(masterOf("a", [0, 10_751]), masterOf("b", [10_752, 14_335]), c).problem, null);
  });

  it("are counted where they have a master that is up", () => {
    const [a, b] = [masterOf("a", [0, 8_191]), masterOf("b", [8_192, 16_383])];
    assert.equal(check(a, { ...b, isDown: true }).value, "32 of 64, by master: 32 (a)");
  });
});

describe("the reads of a cluster's masters", () => {
  it("are said by master, as far as they are known", () => {
    const [a, b, c] = [masterOf("a"), masterOf("b"), masterOf("c")];
    const answers = [
      { master: a, info: "", readMs: 0.2134 },
      { master: b, info: "", readMs: null },
      { master: c, info: "", readMs: 123.4 },
    ];
    assert.equal(readsCheck(answers).value, "0.21 ms (a); 120 ms (c)");
    assert.equal(readsCheck([]).value, "not known");
  });
});
