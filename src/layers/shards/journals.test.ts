import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { StoreError } from "../../store/error.ts";
import type { Journal } from "../failover/options.ts";
import { ShardJournals } from "./journals.ts";

function journalOf(entries: readonly [key: string, text: string][]) {
  const kept = new Map<string, string | null>(entries);
  let closed = 0;
  const journal: Journal = {
    entries: () => entries,
    write(changes) {
      for (const [key, text] of changes) kept.set(key, text);
    },
    close() {
      closed++;
    },
  };
  return { journal, kept, closed: () => closed };
}

describe("the journal of several shards", () => {
  it("gives each shard the entries of its own, and closes once", () => {
    const { journal, kept, closed } = journalOf([
      ["shard 3 batch/a/1", "x"],
      ["shard 60 batch/a/1", "y"],
      ["shard 3 request/1", "z"],
    ]);
    const journals = new ShardJournals(journal, 64);
    assert.deepEqual(journals.shards, [3, 60]);
    const [third, last, other] = [3, 60, 5].map((shard) => journals.of(shard)) as [Journal, Journal, Journal];
    assert.deepEqual(
      [third, last, other].map((each) => [...each.entries()]),
      [
        [
          ["batch/a/1", "x"],
          ["request/1", "z"],
        ],
        [["batch/a/1", "y"]],
        [],
      ],
    );
    third.write(new Map([["batch/a/1", null]]));
    other.write(new Map([["batch/b/1", "w"]]));
    assert.deepEqual([kept.get("shard 3 batch/a/1"), kept.get("shard 5 batch/b/1")], [null, "w"]);
    for (const each of [third, last, other]) each.close();
    assert.equal(closed(), 0);
    journals.close();
    assert.equal(closed(), 1);
  });

  for (const key of ["batch/a/1", "shard 64 batch/a/1", "shard x batch/a/1"]) {
    it(`is refused with an entry of no shard: ${key}`, () => {
      const isRefused = (error: unknown) =>
        StoreError.isInstance(error) && error.code === "invalid-reply" && /without shards/.test(error.message);
      assert.throws(() => new ShardJournals(journalOf([[key, "x"]]).journal, 64), isRefused);
    });
  }
});
