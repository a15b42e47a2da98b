import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  CALL_WORDS,
  type Call,
  checkCall,
  checkDimensions,
  DIMENSIONS,
  type Dimensions,
  dimensionsOf,
  dimensionValue,
  MAX_NAME_LENGTH,
  MAX_TOOL_LENGTH,
  mergeDimensions,
} from "./call.ts";
import { type MisuseCode, MisuseError } from "./errors.ts";

function refuses(run: () => unknown, code: MisuseCode, path: string, got: string): void {
  assert.throws(run, (error) => {
    assert.ok(MisuseError.isInstance(error));
    assert.deepEqual([error.code, error.faults.map((fault) => [fault.path, fault.got])], [code, [[path, got]]]);
    return true;
  });
}

const WORDS: ReadonlySet<string> = new Set([...DIMENSIONS, ...CALL_WORDS]);

const NO_OBJECTS: [value: unknown, got: string][] = [
  [["x"], '["x"]'],
  [undefined, "nothing"],
  [null, "null"],
  [5, "5"],
  ["search", '"search"'],
  [() => {}, "a function"],
];

describe("checkCall", () => {
  it("accepts every key of a call", () => {
    const all: Call = { tenant: "a", user: 1, session: "s", turn: "t", agent: "x", tool: "search" };
    checkCall({ ...all, toolCallId: "call_1", args: {}, cost: { tokens: 5 }, idempotencyKey: "k" }, WORDS);
    checkCall({ tool: 5 }, WORDS);
  });

  it("refuses a value that is no call", () => {
    for (const [value, got] of NO_OBJECTS) refuses(() => checkCall(value as Call, WORDS), "invalid-call", "call", got);
    for (const call of [{}, { tool: undefined }, { tool: null }]) {
      refuses(() => checkCall(call as never, WORDS), "missing-dimension", "tool", "nothing");
    }
    const keys: [call: object, got: string][] = [
      [{ tool: "x", sesion: "s" }, '"sesion"'],
      [{ tool: "x", group: "T1" }, '"group"'],
      [JSON.parse('{"tool":"x","__proto__":{}}'), '"__proto__"'],
      [Object.create({ tool: "x", toString: 1 }), '"toString"'],
    ];
    for (const [call, got] of keys) refuses(() => checkCall(call as Call, WORDS), "invalid-call", "call", got);
    const ids: [id: unknown, got: string][] = [
      ["", '""'],
      [5, "5"],
      [null, "null"],
    ];
    for (const [idempotencyKey, got] of ids) {
      refuses(() => checkCall({ tool: "x", idempotencyKey } as Call, WORDS), "invalid-call", "idempotencyKey", got);
    }
  });
});

describe("mergeDimensions", () => {
  it("keeps bound dimensions when a call has them as undefined", () => {
    const own = { tool: "x", user: undefined, session: null as never, turn: 0 };
    assert.deepEqual(mergeDimensions({ user: "u", session: "s", turn: "t" }, own, "call"), {
      tool: "x",
      user: "u",
      session: "s",
      turn: 0,
    });
    for (const [value, got] of NO_OBJECTS) {
      refuses(() => mergeDimensions({}, value as Dimensions, "call"), "invalid-call", "call", got);
    }
  });
});

describe("checkDimensions", () => {
  it("accepts dimensions and nothing else", () => {
    checkDimensions({}, new Set(DIMENSIONS));
    checkDimensions(Object.fromEntries(DIMENSIONS.map((dimension) => [dimension, "x"])), new Set(DIMENSIONS));
    for (const [value, got] of NO_OBJECTS) {
      refuses(() => checkDimensions(value as Dimensions, new Set(DIMENSIONS)), "invalid-call", "dimensions", got);
    }
    for (const key of ["toolCallId", "args", "cost"]) {
      refuses(() => checkDimensions({ [key]: "x" }, new Set(DIMENSIONS)), "invalid-call", "dimensions", `"${key}"`);
    }
  });
});

describe("dimensionValue", () => {
  it("takes strings as they are and safe integers as their decimal strings", () => {
    const cases: [value: unknown, text: string][] = [
      ["s1", "s1"],
      ["__proto__", "__proto__"],
      [" ", " "],
      ["07", "07"],
      [7, "7"],
      [0, "0"],
      [-0, "0"],
      [-7, "-7"],
      [Number.MAX_SAFE_INTEGER, "9007199254740991"],
    ];
    for (const [value, text] of cases) assert.equal(dimensionValue("session", value), text);
  });

  it("refuses everything else", () => {
    const cases: [value: unknown, got: string][] = [
      ["", '""'],
      [undefined, "nothing"],
      [null, "null"],
      [true, "true"],
      [1.5, "1.5"],
      [Number.NaN, "NaN"],
      [Number.MAX_SAFE_INTEGER + 1, "9007199254740992"],
      [7n, "7n"],
      [["s1"], '["s1"]'],
      [new String("s1"), '"s1"'],
      [Object.create(null), "{}"],
    ];
    for (const [value, got] of cases) refuses(() => dimensionValue("turn", value), "invalid-dimension", "turn", got);
  });

  it("refuses a text that is too long, and does not repeat it", () => {
    for (const [dimension, longest] of [
      ["tool", MAX_TOOL_LENGTH],
      ["session", MAX_NAME_LENGTH],
    ] as const) {
      assert.equal(dimensionValue(dimension, "x".repeat(longest)).length, longest);
      const got = `one of ${longest + 1} characters`;
      refuses(() => dimensionValue(dimension, "x".repeat(longest + 1)), "invalid-dimension", dimension, got);
    }
  });
});

describe("dimensionsOf", () => {
  it("has only the dimensions of a call, as texts, sorted by name", () => {
    const call = {
      tool: "x",
      session: 7,
      args: {},
      toolCallId: "i",
      cost: {},
      idempotencyKey: "k",
      plan: "pro",
      user: undefined,
    };
    const pairs = [
      ["plan", "pro"],
      ["session", "7"],
      ["tool", "x"],
    ];
    assert.deepEqual(dimensionsOf(call as Call), pairs);
    assert.deepEqual(dimensionsOf({ plan: "pro", session: "7", tool: "x", turn: null } as unknown as Call), pairs);
    refuses(() => dimensionsOf({ tool: "x", user: {} } as unknown as Call), "invalid-dimension", "user", "{}");
  });
});
