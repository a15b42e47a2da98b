import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { argsDigest } from "./args.ts";
import { MisuseError } from "./errors.ts";
import { digest } from "./key.ts";

const of = (args: unknown, ...volatile: string[]) => argsDigest(args, new Set(volatile));

describe("argsDigest", () => {
  it("is the same for arguments that say the same", () => {
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

  it("leaves out volatile fields of the outermost object alone", () => {
    assert.equal(of({ q: 1, id: 2 }, "id", "at"), of({ at: 3, q: 1 }, "id", "at"));
    assert.notEqual(of({ q: { id: 1 } }, "id"), of({ q: { id: 2 } }, "id"));
    assert.equal(of('{"q":1,"id":2}', "id"), of({ q: 1 }));
  });

  it("refuses what is no JSON", () => {
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    let deep: unknown = 1;
    for (let i = 0; i < 100_000; i++) deep = [deep];
    for (const args of [cycle, { n: 5n }, deep]) {
      assert.throws(
        () => of(args),
        (error) => MisuseError.isInstance(error) && error.code === "invalid-call",
      );
    }
  });
});
