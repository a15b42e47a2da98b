import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Renewals } from "./renewals.ts";

/** Renewals that end when the test says so. */
function renewals() {
  const ends: { resolve(): void; reject(error: Error): void }[] = [];
  const renew = () => new Promise<void>((resolve, reject) => ends.push({ resolve, reject }));
  return { ends, renewals: new Renewals(renew) };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("renewals of marks", () => {
  it("that are asked for while one is under way share one that begins after it", async () => {
    const { ends, renewals: all } = renewals();
    const first = all.run();
    const others = [all.run(), all.run()];
    assert.equal(ends.length, 1);
    ends[0]?.resolve();
    await first;
    await turn();
    assert.equal(ends.length, 2);
    ends[1]?.resolve();
    await Promise.all(others);
    await turn();
    const last = all.run();
    assert.equal(ends.length, 3);
    ends[2]?.resolve();
    await last;
  });

  it("fail where one shard is not renewed, and the next one begins nevertheless", async () => {
    const { ends, renewals: all } = renewals();
    const first = all.run();
    const second = all.run();
    ends[0]?.reject(new Error("no answer"));
    await assert.rejects(first, /no answer/);
    await turn();
    ends[1]?.resolve();
    await second;
  });
});
