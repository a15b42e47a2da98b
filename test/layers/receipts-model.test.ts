// Whether a unit is lost or counted twice in any state that a few batches, and a sender that dies, can come to.

import { describe, it, type TestContext } from "node:test";
import { wideRunOnly } from "../length.ts";
import { type Bounds, explore } from "./receipts-model.ts";

/** So many that the store denies nothing. */
const MANY = 100;

const wordsOf = ({ batches, underWay, alone, deaths, repeats, quota }: Bounds) =>
  `${batches} batches of 2 calls (${underWay} at once), admitted alone ${alone}, deaths ${deaths}, repeats ${repeats}, quota ${quota}`;

const explored = (bounds: Bounds) => (context: TestContext) => {
  const { states, ends } = explore(bounds);
  context.diagnostic(`${states} states, ${ends} ends`);
};

describe("receipts and journal lose no unit and double none, in all states within", () => {
  for (const bounds of [
    { batches: 3, underWay: 2, alone: 0, deaths: 0, repeats: 1, quota: MANY },
    { batches: 3, underWay: 2, alone: 0, deaths: 1, repeats: 0, quota: MANY },
    { batches: 2, underWay: 2, alone: 1, deaths: 1, repeats: 2, quota: MANY },
    { batches: 1, underWay: 1, alone: 2, deaths: 2, repeats: 2, quota: MANY },
  ]) {
    // The largest of them takes a third of the time of all.
    it(wordsOf(bounds), bounds.batches === 2 ? wideRunOnly : {}, explored(bounds));
  }

  // So few that the store denies some.
  for (const quota of [2, 3]) {
    const bounds = { batches: 2, underWay: 2, alone: 1, deaths: 1, repeats: 1, quota };
    it(wordsOf(bounds), quota === 3 ? wideRunOnly : {}, explored(bounds));
  }
});
