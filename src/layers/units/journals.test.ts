import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { StoreError } from "../../store/error.ts";
import type { Journal } from "../failover/options.ts";
import { UnitJournals } from "./journals.ts";

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

describe("the journal of several units", () => {
  it("gives each unit the entries of its own, and closes once", () => {
    const { journal, kept, closed } = journalOf([
      ["unit 3 batch/a/1", "x"],
      ["unit 60 batch/a/1", "y"],
      ["unit 3 request/1", "z"],
    ]);
    const journals = new UnitJournals(journal, 64);
    assert.deepEqual(journals.units, [3, 60]);
    const [third, last, other] = [3, 60, 5].map((unit) => journals.of(unit)) as [Journal, Journal, Journal];
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
    assert.deepEqual([kept.get("unit 3 batch/a/1"), kept.get("unit 5 batch/b/1")], [null, "w"]);
    for (const each of [third, last, other]) each.close();
    assert.equal(closed(), 0);
    journals.close();
    assert.equal(closed(), 1);
  });

  for (const key of ["batch/a/1", "unit 64 batch/a/1", "unit x batch/a/1"]) {
    it(`is refused with an entry of no unit: ${key}`, () => {
      const isRefused = (error: unknown) =>
        StoreError.isInstance(error) && error.code === "invalid-reply" && /without units/.test(error.message);
      assert.throws(() => new UnitJournals(journalOf([[key, "x"]]).journal, 64), isRefused);
    });
  }
});
