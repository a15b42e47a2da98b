import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { slotOf } from "./hash-slot.ts";
import { slotTag } from "./slot-tag.ts";
import { countsInstances, SHARDS, shardOf, shardPlaces } from "./shards.ts";

describe("the shards of a cluster", () => {
  it("are found by the tag alone, whatever keys came before", () => {
    // Before any other test: no key has been asked yet.
    assert.equal(shardOf("{s1}:a"), Math.floor(slotOf("s1") / 256));
    const piece = fc.constantFrom("{", "}", "s1", "s2", ":", "rate:1:");
    const keys = fc.array(
      fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join("")),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(keys, (all) => {
        for (const key of all) assert.equal(shardOf(key), Math.floor(slotOf(slotTag(key)) / 256), key);
      }),
    );
  });

  it("are made of the slots that Redis Cluster computes", () => {
    // The first is the check value of CRC-16/XMODEM; CLUSTER KEYSLOT has answered the others.
    const tags = ["123456789", "", "a", "s1", "{}a", "ü", "user=é"];
    assert.deepEqual(tags.map(slotOf), [0x31c3, 0, 15_495, 15_224, 10_875, 9_552, 796]);
  });

  it("have tags of their own, whose slots lie in their ranges", () => {
    const places = shardPlaces();
    assert.equal(places.length, SHARDS);
    assert.equal(new Set(places.map(({ prefix }) => prefix)).size, SHARDS);
    for (const [shard, { prefix, slot }] of places.entries()) {
      assert.match(prefix, /^\{\d+\}:$/);
      assert.deepEqual([slotOf(prefix.slice(1, -2)), Math.floor(slot / 256)], [slot, shard]);
    }
  });

  it("have all keys of one tag together, and share tags evenly", () => {
    assert.equal(shardOf("rate:1:{s1}:per-session"), shardOf("rate:1:{s1}:per-tool:search"));
    const counts = new Array<number>(SHARDS).fill(0);
    for (let i = 0; i < 64_000; i++) {
      const shard = shardOf(`rate:1:{session-${i}}:a`);
      counts[shard] = (counts[shard] ?? 0) + 1;
    }
    assert.ok(Math.min(...counts) > 800 && Math.max(...counts) < 1_200, counts.join());
  });

  it("count instances in three of them, one for each third of the slots", () => {
    const homes = Array.from({ length: SHARDS }, (_, shard) => shard).filter(countsInstances);
    assert.deepEqual(homes, [0, 21, 42]);
  });
});
