import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { argsDigest, isWithinBounds, KnownArgs, MAX_CHARACTERS, MAX_DEPTH, MAX_VALUES, resultDigest } from "./args.ts";
import { MisuseError } from "./errors.ts";
import { digest } from "./key.ts";

const of = (args: unknown, ...volatile: string[]) => argsDigest(args, new Set(volatile));

describe("argsDigest", () => {
  it("is what known arguments say", () => {
    assert.equal(of(new KnownArgs("known"), "page"), "known");
  });

  it("is the same for equal arguments", () => {
    const same: [a: unknown, b: unknown][] = [
      [
        { q: "x", n: { a: 1, b: [1, 2] } },
        { n: { b: [1, 2], a: 1 }, q: "x" },
      ],
      [{ n: 1e3, z: -0 }, '{ "z": 0.0, "n": 1000.0 }'],
      [{ q: "x", at: undefined }, { q: "x" }],
      [undefined, {}],
      [null, "{}"],
      [[{ b: 1, a: 2 }], ' [{"a":2,"b":1}]'],
      [{ when: new Date(0) }, { when: "1970-01-01T00:00:00.000Z" }],
    ];
    for (const [a, b] of same) assert.equal(of(a), of(b), JSON.stringify(a));
    assert.match(of({}), /^[0-9a-f]{32}$/);
    // Processes of different versions share buckets.
    assert.equal(of({ b: { d: 1, c: 2 }, a: 3 }), digest('{"a":3,"b":{"c":2,"d":1}}'));
  });

  it("differs for all others", () => {
    const all = [{}, [], "", "x", 0, false, { a: 1 }, { a: "1" }, { a: [1, 2] }, { a: [2, 1] }, { "": 1 }, "{broken"];
    const reserved = JSON.parse('{"__proto__":1}');
    assert.equal(new Set([...all, reserved].map((args) => of(args))).size, all.length + 1);
  });

  it("refuses objects whose content JSON leaves out, because all of them would be the same", () => {
    const form = new FormData();
    form.set("q", "x");
    const opaque = [
      new URLSearchParams("q=x"),
      new Headers({ q: "x" }),
      form,
      new Blob(["x"]),
      new Uint8Array([1]).buffer,
      new DataView(new ArrayBuffer(1)),
      new Error("x"),
      /x/,
      Promise.resolve("x"),
      [1].values(),
    ];
    for (const value of opaque) {
      for (const args of [value, { deep: [value] }]) {
        assert.throws(() => of(args), {
          code: "invalid-call",
          message: /an object of the kind .+, whose content JSON/,
        });
      }
      assert.equal(resultDigest(value).outcome, resultDigest({}).outcome);
    }
    class Empty {}
    for (const value of [new Empty(), Object.create(null), new Map(), new Set(), new Date(0), new URL("http://x/")]) {
      assert.match(of({ value }), /^[0-9a-f]{32}$/);
    }
  });

  it("leaves out ignored fields only in the outermost object", () => {
    assert.equal(of({ q: 1, id: 2 }, "id", "at"), of({ at: 3, q: 1 }, "id", "at"));
    assert.notEqual(of({ q: { id: 1 } }, "id"), of({ q: { id: 2 } }, "id"));
    assert.equal(of('{"q":1,"id":2}', "id"), of({ q: 1 }));
  });

  it("encodes values that JSON lacks as the next best value", () => {
    const same: [a: unknown, b: unknown][] = [
      [{ n: 1n }, { n: 1 }],
      [{ n: -(2n ** 53n) + 1n }, { n: Number.MIN_SAFE_INTEGER }],
      [{ n: 2n ** 53n }, { n: "9007199254740992" }],
      [5n, 5],
      [() => 1, {}],
      [Symbol("x"), undefined],
      [
        { m: new Map([["a", 1n]]), s: new Set([1, 2]) },
        { m: [["a", 1]], s: [1, 2] },
      ],
      [{ f: () => 1, s: Symbol("x"), u: undefined, k: 1 }, { k: 1 }],
      [
        [() => 1, Symbol("x"), undefined],
        [null, null, null],
      ],
      [
        [Number.NaN, Number.POSITIVE_INFINITY],
        [null, null],
      ],
      [
        [Object(1), Object("x"), Object(true), Object(2n)],
        [1, "x", true, 2],
      ],
      [{ at: { toJSON: (key: string) => `said as ${key}` } }, { at: "said as at" }],
      [{ list: Object.assign(new Array(2), { 0: 1 }) }, { list: [1, null] }],
    ];
    for (const [a, b] of same) assert.equal(of(a), of(b), String(b));
    const different = [
      { m: new Map([["a", 1]]) },
      { m: new Map([["a", 2]]) },
      { m: new Map() },
      { m: new Set([1]) },
      { m: {} },
    ];
    assert.equal(new Set(different.map((args) => of(args))).size, different.length);
    assert.notEqual(of(2n ** 53n), of(2n ** 53n + 1n));
  });

  it("is what JSON.stringify writes, with sorted keys", () => {
    const sorted = (_: string, value: unknown) =>
      typeof value === "object" && value !== null && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
        : value;
    fc.assert(
      fc.property(fc.object({ key: fc.string({ minLength: 1 }).filter((key) => !/^\d+$/.test(key)) }), (args) => {
        assert.equal(of(args), digest(JSON.stringify(args, sorted)));
      }),
    );
  });

  it("throws only misuse and is stable, for any value", () => {
    const anything = fc.anything({
      withBigInt: true,
      withBoxedValues: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withNullPrototype: true,
      withObjectString: true,
      withSparseArray: true,
      withTypedArray: true,
    });
    fc.assert(
      fc.property(anything, (args) => {
        let hash: string;
        try {
          hash = of(args);
        } catch (error) {
          assert.ok(MisuseError.isInstance(error) && error.code === "invalid-call", String(error));
          return;
        }
        assert.match(hash, /^[0-9a-f]{32}$/);
        assert.equal(of(args), hash);
        assert.deepEqual(resultDigest(args), { outcome: hash, error: null });
      }),
    );
  });

  it("refuses a value beyond a bound, and names the bound", () => {
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    const nested = (depth: number) => {
      let value: unknown = 1;
      for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { value };
      return value;
    };
    const list = (length: number) => ({ list: new Array(length - 1).fill(1) });
    const cases: [args: unknown, got: string | null][] = [
      [nested(MAX_DEPTH), null],
      [nested(MAX_DEPTH + 1), `more than ${MAX_DEPTH} levels, or a cycle`],
      [nested(100_000), `more than ${MAX_DEPTH} levels, or a cycle`],
      [cycle, `more than ${MAX_DEPTH} levels, or a cycle`],
      [list(MAX_VALUES), null],
      [list(MAX_VALUES + 1), `more than ${MAX_VALUES} values`],
      [{ list: new Array(4_000_000_000) }, `more than ${MAX_VALUES} values`],
      [Object.fromEntries(Array.from({ length: MAX_VALUES + 1 }, (_, i) => [i, 1])), `more than ${MAX_VALUES} values`],
      [JSON.stringify(list(MAX_VALUES + 1)), `more than ${MAX_VALUES} values`],
      ["x".repeat(MAX_CHARACTERS), null],
      ["x".repeat(MAX_CHARACTERS + 1), `more than ${MAX_CHARACTERS} characters`],
      ["[".repeat(MAX_CHARACTERS + 1), `more than ${MAX_CHARACTERS} characters`],
      [["x".repeat(MAX_CHARACTERS), "y"], `more than ${MAX_CHARACTERS} characters`],
    ];
    for (const [args, got] of cases) {
      assert.equal(isWithinBounds(args), got === null, String(got));
      if (got === null) assert.match(of(args), /^[0-9a-f]{32}$/);
      else
        assert.throws(
          () => of(args),
          (error) => MisuseError.isInstance(error) && error.faults[0]?.got === got,
        );
    }
  });

  it("reads each inner value once, and only what it hashes", () => {
    let reads = 0;
    const counting = new Proxy(
      { a: 1, b: [1] },
      {
        get(target, key, receiver) {
          reads++;
          return Reflect.get(target, key, receiver);
        },
      },
    );
    of(counting);
    // The two fields, and whether it has a toJSON.
    assert.equal(reads, 3);
    const long = new Proxy(new Array(1_000_000).fill(1), {
      get(target, key, receiver) {
        reads++;
        return Reflect.get(target, key, receiver);
      },
    });
    reads = 0;
    resultDigest(long);
    assert.ok(reads <= MAX_VALUES + 2, String(reads));
  });

  it("is misuse where a value throws when it is read", () => {
    for (const args of HOSTILE) {
      assert.equal(isWithinBounds(args), false);
      assert.throws(
        () => of(args),
        (error) => MisuseError.isInstance(error) && error.code === "invalid-call" && error.faults[0]?.path === "args",
      );
    }
  });
});

const thrower = () => {
  throw new Error("not for reading");
};
const revoked = Proxy.revocable({}, {});
revoked.revoke();
const hostileError = new Proxy(new Error("x"), { get: thrower, getPrototypeOf: thrower });
const HOSTILE: readonly unknown[] = [
  Object.defineProperty({}, "secret", { enumerable: true, get: thrower }),
  { inner: { toJSON: thrower } },
  { inner: Object.defineProperty({}, "toJSON", { get: thrower }) },
  [new Proxy({}, { ownKeys: thrower })],
  new Proxy({}, { getPrototypeOf: thrower }),
  { revoked: revoked.proxy },
  {
    toJSON() {
      throw hostileError;
    },
  },
  {
    toJSON() {
      throw undefined;
    },
  },
];

describe("resultDigest", () => {
  it("gives all unreadable results one outcome, with the reason", () => {
    const digests = HOSTILE.map((result) => resultDigest(result));
    assert.deepEqual([...new Set(digests.map(({ outcome }) => outcome))], ["unreadable"]);
    assert.ok(digests.every(({ error }) => error !== null));
  });

  it("cuts off what exceeds a bound", () => {
    const cycle: Record<string, unknown> = { n: 1 };
    cycle.self = cycle;
    const wide: unknown[] = [];
    for (let i = 0; i < 50; i++) wide.push(wide);
    const long = "x".repeat(MAX_CHARACTERS);
    const many = new Array(MAX_VALUES + 5).fill(1);
    const keys = Object.fromEntries(many.map((_, i) => [`k${i}`, i]));
    const outcomes = [
      cycle,
      { ...cycle, n: 2 },
      wide,
      long,
      `${long}x`,
      `${long}xx`,
      many,
      [...many, 1],
      keys,
      { ...keys, z: 1 },
    ].map((result) => resultDigest(result));
    assert.ok(outcomes.every(({ error, outcome }) => error === null && /^[0-9a-f]{32}$/.test(outcome)));
    assert.equal(new Set(outcomes.map(({ outcome }) => outcome)).size, outcomes.length);
    // What differs behind the bound alone does not.
    assert.deepEqual(resultDigest(`${long}x`), resultDigest(`${long}y`));
  });

  it("treats an absent value as an empty object", () => {
    assert.deepEqual(resultDigest(undefined), { outcome: of({}), error: null });
    assert.deepEqual(resultDigest(null), resultDigest({}));
  });
});
