import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { StepReply } from "../kernel/request.ts";
import { decodeState, validBeat, validReply } from "./check.ts";
import { StoreError } from "./error.ts";

const STEP = { allowed: true, used: 0, resetAfterMs: 0, retryAfterMs: 0 };
const GRANT = { id: "g1", units: 3, endsInMs: 40 };

/** What is wrong with a reply whose only step is this; `null` where it is valid. */
function faultOf(step: object): string | null {
  const reply = { allowed: true, nowMs: 0, steps: [{ ...STEP, ...step } as StepReply] };
  const found = validReply(reply);
  if (!StoreError.isInstance(found)) {
    assert.equal(found, reply);
    return null;
  }
  assert.deepEqual([found.code, found.transient], ["invalid-reply", false]);
  return found.message;
}

describe("a store's reply to a step", () => {
  it("may list grants, and say how a revoke found one", () => {
    for (const step of [
      { grants: [] },
      { granted: 3, grants: [GRANT, { ...GRANT, id: "g2" }] },
      { found: "live" },
      { found: "late" },
      { found: "unknown" },
    ]) {
      assert.equal(faultOf(step), null, JSON.stringify(step));
    }
  });

  it("names the fault of a grant, or of how a revoke found one", () => {
    const cases: [step: object, fault: string][] = [
      [{ grants: {} }, "steps[0].grants: expected a list"],
      [{ grants: [GRANT, null] }, "steps[0].grants[1].id: expected a text"],
      [{ grants: [{ ...GRANT, id: 1 }] }, "steps[0].grants[0].id: expected a text"],
      [{ grants: [{ ...GRANT, units: -1 }] }, "steps[0].grants[0].units: expected a whole number"],
      [{ grants: [GRANT, { ...GRANT, endsInMs: 0.5 }] }, "steps[0].grants[1].endsInMs: expected a whole number"],
      [{ found: "gone" }, 'steps[0].found: expected "live", "late" or "unknown"'],
      [{ retryAfterMs: Number.NaN, grants: [GRANT] }, "steps[0].retryAfterMs: expected a whole number"],
    ];
    for (const [step, fault] of cases) assert.ok(faultOf(step)?.includes(fault), `${fault}: ${faultOf(step)}`);
  });
});

describe("a store's answer to a beat", () => {
  const beat = { incarnation: "a", lost: "all", instances: 2, rank: 1, nowMs: 0 } as const;
  const [lives, leaves] = [{ livesMs: 1 }, { livesMs: 0 }];

  it("is passed on where it is valid", () => assert.equal(validBeat(beat, lives), beat));

  it("may count no instance when the last one leaves, and gives that one any rank", () => {
    const last = { ...beat, instances: 0, rank: 0 };
    assert.equal(validBeat(last, leaves), last);
    assert.throws(() => validBeat(last, lives), /instances: expected a whole number from 1/);
    const third = { ...beat, rank: 2 };
    assert.equal(validBeat(third, leaves), third);
  });

  const faults: [more: object, fault: string][] = [
    [{ rank: 2 }, "rank: expected a whole number from 0, below instances"],
    [{ incarnation: undefined }, "incarnation: expected a text"],
    [{ lost: "none" }, 'lost: expected "all" or "some"'],
  ];
  for (const [more, fault] of faults) {
    it(`names what is wrong: ${fault}`, () => {
      assert.throws(
        () => validBeat({ ...beat, ...more } as never, lives),
        (error) => StoreError.isInstance(error) && error.message.includes(fault),
      );
    });
  }
});

describe("a stored text that is damaged", () => {
  it("holds nothing from its end on", () => {
    assert.equal(decodeState("what", 1_000), null);
    assert.equal(decodeState("what", 1_000, 999), null);
    assert.equal(decodeState("what", 1_000, 1_000), undefined);
    assert.equal(decodeState("7", -1, 1_000), null);
  });
});
