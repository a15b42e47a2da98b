import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Denied } from "./decision.ts";
import { LimitExceededError } from "./decision.ts";
import { checkOptionKeys, checkWhole, formatFault, formatGot, hasMarker, MisuseError } from "./errors.ts";

const FAULT = { path: "limits[2].window", expected: "a duration such as 30s", got: '"soon"' };
const DENIED = { allowed: false, message: "Denied: enough.", deniedBy: "per-turn", retryAfterMs: 4_000 } as Denied;

describe("MisuseError", () => {
  it("has the path, what was expected and what was found", () => {
    const one = new MisuseError("invalid-option", FAULT);
    assert.equal(one.name, "MisuseError");
    assert.equal(one.code, "invalid-option");
    assert.deepEqual(one.faults, [FAULT]);
    assert.equal(one.message, 'limits[2].window: expected a duration such as 30s, got "soon"');
    assert.ok(one instanceof TypeError);
    const two = new MisuseError("invalid-policy", [FAULT, { ...FAULT, at: "policy.yaml:3:12" }]);
    assert.equal(two.faults.length, 2);
    assert.equal(two.message, `${formatFault(FAULT)}\npolicy.yaml:3:12: ${formatFault(FAULT)}`);
  });
});

describe("LimitExceededError", () => {
  it("has the decision and its message", () => {
    const error = new LimitExceededError(DENIED);
    assert.equal(error.name, "LimitExceededError");
    assert.equal(error.decision, DENIED);
    assert.equal(error.message, "Denied: enough.");
    assert.deepEqual([error.limit, error.retryAfterMs], ["per-turn", 4_000]);
  });
});

describe("markers", () => {
  it("distinguish the errors, also those of another installed copy", () => {
    const misuse = [new MisuseError("invalid-call", FAULT), { [Symbol.for("tollgate.error.misuse")]: true }];
    const exceeded = [new LimitExceededError(DENIED), { [Symbol.for("tollgate.error.limit-exceeded")]: true }];
    const neither = [null, undefined, 5, "MisuseError", new Error("no"), new TypeError("no"), {}, () => {}];
    for (const value of [...misuse, ...exceeded, ...neither]) {
      assert.equal(MisuseError.isInstance(value), misuse.includes(value as never));
      assert.equal(LimitExceededError.isInstance(value), exceeded.includes(value as never));
    }
  });

  it("are not shown and are not own keys", () => {
    assert.deepEqual(Object.keys(new MisuseError("invalid-call", FAULT)), ["name", "code", "faults"]);
    assert.equal(hasMarker(Object.create({ [Symbol.for("x")]: 1 }), Symbol.for("x")), true);
  });
});

describe("formatGot", () => {
  it("shows every kind of value", () => {
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    const cases: [value: unknown, text: string][] = [
      [undefined, "nothing"],
      [null, "null"],
      [true, "true"],
      [-1.5, "-1.5"],
      [Number.NaN, "NaN"],
      [Number.NEGATIVE_INFINITY, "-Infinity"],
      [12n, "12n"],
      [Symbol("x"), "Symbol(x)"],
      [() => 5, "a function"],
      [class {}, "a function"],
      ["", '""'],
      ['a "b"\n', '"a \\"b\\"\\n"'],
      ["\ud800", '"\\ud800"'],
      [{ a: [1, null] }, '{"a":[1,null]}'],
      [{ toJSON: () => undefined }, "object"],
      [cycle, "an object that cannot be shown"],
      [{ big: 1n }, "an object that cannot be shown"],
      [new Proxy({}, { ownKeys: () => assert.fail("no") }), "an object that cannot be shown"],
    ];
    for (const [value, text] of cases) assert.equal(formatGot(value), text);
  });

  it("takes at most 60 characters", () => {
    assert.equal(formatGot("a".repeat(58)), `"${"a".repeat(58)}"`);
    assert.equal(formatGot("a".repeat(59)), `"${"a".repeat(58)}…`);
    assert.equal(formatGot("a".repeat(1_000_000)), `"${"a".repeat(58)}…`);
    assert.equal(formatGot(Array(29).fill(1)), `[${Array(29).fill(1)}]`);
    assert.equal(formatGot(10n ** 100n), `1${"0".repeat(58)}…`);
    assert.equal(formatGot(Symbol("a".repeat(90))), `Symbol(${"a".repeat(52)}…`);
    const property = fc.property(fc.anything({ withBigInt: true, withNullPrototype: true }), (value) => {
      assert.ok(formatGot(value).length <= 60);
    });
    fc.assert(property, { seed: 20_251_121, numRuns: 300 });
  });
});

describe("checkOptionKeys", () => {
  it("refuses a value that is no object, and unknown keys", () => {
    checkOptionKeys({}, ["a"]);
    checkOptionKeys({ a: 1 }, ["a"]);
    for (const [options, message] of [
      [null, "options: expected an object, got null"],
      [5, "options: expected an object, got 5"],
      [{ a: 1, b: 2 }, 'options: expected only a, got "b"'],
    ]) {
      assert.throws(() => checkOptionKeys(options, ["a"]), { code: "invalid-option", message });
    }
  });
});

describe("checkWhole", () => {
  it("refuses a number that is not whole or out of range", () => {
    for (const value of [1, 5, 10]) checkWhole("a", value, 1, 10);
    for (const value of [0, 11, 1.5, "5", Number.NaN, null]) {
      const message = `a: expected a whole number from 1 to 10, got ${formatGot(value)}`;
      assert.throws(() => checkWhole("a", value, 1, 10), { code: "invalid-option", message });
    }
  });
});
