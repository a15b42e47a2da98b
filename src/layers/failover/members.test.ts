import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Beat } from "../../store/shared-store.ts";
import { Members } from "./members.ts";

const beat = (instances: number, rank: number): Beat => ({ instances, rank, nowMs: 0, incarnation: "m", lost: "some" });

describe("the rank of an instance", () => {
  it("is not that of a store which counts fewer instances than are known", () => {
    const members = new Members(undefined, false);
    members.learn(beat(1, 0));
    assert.deepEqual(members.place(), { instances: 1, rank: 0 });
    members.learn(beat(3, 1));
    // It has just lost its data, or some do not reach it: there, another instance may have this rank.
    members.learn(beat(2, 0));
    assert.deepEqual(members.place(), { instances: 3, rank: 1 });
    members.learn(beat(3, 2));
    assert.deepEqual(members.place(), { instances: 3, rank: 2 });
  });
});
