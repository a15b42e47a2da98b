import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as v from "valibot";
import { mapOf, objectOf, readBy, type Schema, unionByKey, variantOf, wholeNumber, wordOf } from "./schema-kinds.ts";

function faultsOf(schema: Schema, input: unknown): string[] {
  const read = readBy(schema, input);
  if ("value" in read) return [];
  return read.faults.map(({ keys, expected, unknown }) => [...keys, expected, ...unknown].join(" | "));
}

const whole = wholeNumber("a whole number");

describe("an object", () => {
  const entries = { a: whole, b: v.optional(whole), never: v.optional(v.never("no never")) };

  it("has all of its keys, and reports each that is wrong or too many", () => {
    const closed = objectOf("an object", entries, "refuse");
    assert.deepEqual(readBy(closed, { a: 1 }), { value: { a: 1 } });
    assert.deepEqual(readBy(closed, { a: 1, b: undefined }), { value: { a: 1, b: undefined } });
    for (const other of [null, [], "text", 5]) assert.deepEqual(faultsOf(closed, other), ["an object"]);
    const hostile = JSON.parse('{ "b": 1.5, "constructor": 1, "__proto__": 2, "never": 3 }');
    assert.deepEqual(faultsOf(closed, hostile), [
      "a | a whole number",
      "b | a whole number",
      "never | no never",
      "only a, b | constructor | __proto__",
    ]);
  });

  it("leaves other keys out, or checks them", () => {
    assert.deepEqual(readBy(objectOf("an object", entries, "ignore"), { a: 1, c: 2 }), { value: { a: 1 } });
    const others = objectOf("an object", entries, whole);
    assert.deepEqual(readBy(others, { a: 1, constructor: 2 }), { value: { a: 1, constructor: 2 } });
    assert.deepEqual(faultsOf(others, { a: 1, prototype: "x" }), ["prototype | a whole number"]);
    assert.deepEqual(faultsOf(others, JSON.parse('{ "a": 1, "__proto__": 2 }')), ["__proto__ | another name"]);
  });
});

describe("a map", () => {
  const map = mapOf("numbers by name", v.pipe(v.string(), v.maxLength(11, "a short name")), whole);

  it("loses no key", () => {
    const entries = { constructor: 1, prototype: 2, toString: 3 };
    assert.deepEqual(readBy(map, entries), { value: entries });
    assert.deepEqual(faultsOf(map, JSON.parse('{ "__proto__": 1, "x": "y" }')), [
      "__proto__ | another name",
      "x | a whole number",
    ]);
  });

  it("distinguishes a wrong name from a wrong value", () => {
    const read = readBy(map, { "a long name!": 1, b: "x" });
    assert.deepEqual("faults" in read && read.faults.map(({ keys, isKey }) => [...keys, isKey]), [
      ["a long name!", true],
      ["b", false],
    ]);
  });

  it("is no list, and no object of a class", () => {
    for (const other of [[], new Map(), new Date(0)]) assert.deepEqual(faultsOf(map, other), ["numbers by name"]);
    assert.deepEqual(readBy(map, Object.assign(Object.create(null), { a: 1 })), { value: { a: 1 } });
  });

  it("takes time in proportion to its faults", () => {
    const wrong = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [i, "x"]));
    assert.equal(faultsOf(map, wrong(100_000)).length, 100_000);
  });
});

describe("a choice", () => {
  const kindIs = <Word extends string>(word: Word) => wordOf(word, [word]);
  const one = objectOf("one", { kind: kindIs("one"), a: whole }, "refuse");
  const two = objectOf("two", { kind: kindIs("two"), b: whole }, "refuse");

  it("depends on the value of a key", () => {
    const variant = variantOf("an object", "kind", "one or two", [one, two]);
    assert.deepEqual(readBy(variant, { kind: "two", b: 1 }), { value: { kind: "two", b: 1 } });
    assert.deepEqual(faultsOf(variant, { kind: "one", b: 1 }), ["a | a whole number", "only kind, a | b"]);
    assert.deepEqual(faultsOf(variant, { kind: "three" }), ["kind | one or two"]);
    assert.deepEqual(faultsOf(variant, {}), ["kind | one or two"]);
    assert.deepEqual(faultsOf(variant, []), ["an object"]);
  });

  it("depends on a key that no other has", () => {
    const union = unionByKey("either a or b", { a: objectOf("a", { a: whole }, "refuse"), b: two });
    assert.deepEqual(readBy(union, { a: 1 }), { value: { a: 1 } });
    assert.deepEqual(faultsOf(union, { a: "x" }), ["a | a whole number"]);
    for (const other of [{}, { a: 1, b: 1 }, [], null]) assert.deepEqual(faultsOf(union, other), ["either a or b"]);
  });

  it("reports a key too many of the one kind that fits, and what all expect where none fits", () => {
    const union = v.union([wordOf("a word", ["x"]), objectOf("an object", { a: whole }, "refuse")], "x or { a }");
    assert.deepEqual(faultsOf(union, { a: 1, b: 2 }), ["only a | b"]);
    assert.deepEqual(faultsOf(union, { a: 1.5 }), ["x or { a }"]);
    const read = readBy(wordOf("x or y", ["x", "y"]), "z");
    assert.deepEqual("faults" in read && read.faults[0]?.choices, ["x", "y"]);
  });
});
