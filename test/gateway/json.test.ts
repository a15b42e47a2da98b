// Finding and replacing parts of a JSON text: `JSON.parse` is the model.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { NotJsonError, scanObject, skipSpace, skipValue, stringAt } from "../../src/gateway/json/scan.ts";
import { addition, appending, type Change, removal, splice } from "../../src/gateway/json/splice.ts";

/** White space that JSON allows. */
const space = fc.stringMatching(/^[ \t\r\n]{0,2}$/);

/** A value as text, with white space at random places, and strings with escapes. */
const { value: written } = fc.letrec<{ value: string; list: string; object: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom("true", "false", "null", "1.0", "-0", "1e+5", "9007199254740993", '"\\u0061\\n\\ud83d"', '""'),
    fc.json({ maxDepth: 1 }),
    tie("list"),
    tie("object"),
  ),
  list: fc.array(fc.tuple(space, tie("value"), space), { maxLength: 3 }).map((items) => {
    return `[${items.map((item) => item.join("")).join(",")}]`;
  }),
  object: fc
    .uniqueArray(fc.tuple(space, fc.string().map(JSON.stringify), space, space, tie("value"), space), {
      maxLength: 4,
      selector: ([, key]) => key,
    })
    .map((members) => `{${members.map(([a, key, b, c, value, d]) => `${a}${key}${b}:${c}${value}${d}`).join(",")}}`),
}));

/** Whether the scanner reads a text as one value. */
function isRead(text: string): boolean {
  const bytes = Buffer.from(text);
  try {
    return skipSpace(bytes, skipValue(bytes, skipSpace(bytes, 0))) === bytes.length;
  } catch (error) {
    assert.ok(error instanceof NotJsonError);
    return false;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The members of an object, as text. */
function membersOf(bytes: Buffer): [key: string, from: number, to: number][] {
  const members: [string, number, number][] = [];
  scanObject(bytes, skipSpace(bytes, 0), (key, from) => {
    const to = skipValue(bytes, from);
    members.push([key, from, to]);
    return to;
  });
  return members;
}

const object = written.filter((text) => text.trimStart().startsWith("{"));
const parsed = (bytes: Buffer) => JSON.parse(bytes.toString());

describe("the scanner", () => {
  it("reads every JSON text to its end", () => {
    fc.assert(fc.property(written, space, (text, end) => isRead(text + end)));
  });

  it("agrees with JSON.parse about texts with one character changed", () => {
    const character = fc.constantFrom(...'{}[]:,"\\ \n\t\u0000/0123456789-+.eEtrufalsn\u00e9\ufeff\u2028');
    const change = fc.tuple(fc.nat(), fc.nat(1), character);
    fc.assert(
      fc.property(written, change, (text, [at, removed, added]) => {
        const place = at % (text.length + 1);
        const other = text.slice(0, place) + added + text.slice(place + removed);
        assert.equal(isRead(other), isJson(other), other);
      }),
      { numRuns: 1_000 },
    );
  });

  it("agrees with JSON.parse about texts that are easily got wrong", () => {
    const texts = [
      "",
      " ",
      "01",
      "-",
      "1.",
      ".5",
      "1e",
      "1e+",
      "+1",
      "tru",
      "nulll",
      "[1,]",
      "[,1]",
      "{,}",
      '{"a":1,}',
    ];
    texts.push('{"a"}', "{a:1}", "[", "[[]", "]", '"', '"\\"', '"\\x41"', '"\\u00g0"', '"\\u12', '"\t"', "'a'", "NaN");
    texts.push("\ufeff{}", "{} {}", "// a", "[1 2]", '{"a":1 "b":2}', "{]", "[}", '"\u2028"', "-0", "1E-2", "[[],{}]");
    for (const text of texts) assert.equal(isRead(text), isJson(text), text);
  });

  it("finds the members that JSON.parse finds", () => {
    fc.assert(
      fc.property(object, (text) => {
        const bytes = Buffer.from(text);
        const members = membersOf(bytes).map(([key, from, to]) => [key, parsed(bytes.subarray(from, to))]);
        const model = new Map(Object.entries(parsed(bytes)));
        assert.deepEqual(new Map(members as [string, unknown][]), model);
      }),
    );
  });

  it("decodes the escapes of a key", () => {
    const bytes = Buffer.from('"\\u006da\\/\\"\u00e9"');
    assert.equal(stringAt(bytes, 0, bytes.length), 'ma/"\u00e9');
  });

  it("refuses a text that is too deep, and reads one that is as deep as it may be", () => {
    assert.ok(isRead("[".repeat(10_000) + "]".repeat(10_000)));
    assert.ok(!isRead("[".repeat(10_001) + "]".repeat(10_001)));
  });
});

describe("a splice", () => {
  it("equals the object with other values, and leaves all other bytes", () => {
    fc.assert(
      fc.property(object, fc.json(), fc.nat(), (text, value, which) => {
        const bytes = Buffer.from(text);
        const members = membersOf(bytes);
        fc.pre(members.length > 0);
        const [key, from, to] = members[which % members.length] as [string, number, number];
        const changed = splice(bytes, [{ at: { from, to }, text: value }]);
        assert.deepEqual(membersOf(changed), shifted(members, from, Buffer.byteLength(value) - (to - from)));
        const model = parsed(bytes);
        setOwn(model, key, JSON.parse(value));
        assert.deepEqual(parsed(changed), model);
        assert.deepEqual(changed.subarray(0, from), bytes.subarray(0, from));
        assert.deepEqual(changed.subarray(changed.length - (bytes.length - to)), bytes.subarray(to));
      }),
    );
  });

  it("removes any member, and its comma", () => {
    const plain = fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), fc.jsonValue({ maxDepth: 1 }), { minKeys: 1 });
    const indent = fc.constantFrom("", " ", "\t");
    fc.assert(
      fc.property(plain, indent, fc.nat(), (value, indented, which) => {
        const bytes = Buffer.from(JSON.stringify(value, null, indented));
        const members = membersOf(bytes);
        const [key, from, to] = members[which % members.length] as [string, number, number];
        const { [key]: _removed, ...rest } = parsed(bytes);
        assert.deepEqual(parsed(splice(bytes, [removal(bytes, { from, to })])), rest);
      }),
    );
  });

  it("removes a member whose key is written with escapes", () => {
    const bytes = Buffer.from('{"a":"\\"", "\\u0062" : "b"}');
    const [, [, from, to] = ["", 0, 0]] = membersOf(bytes);
    assert.deepEqual(parsed(splice(bytes, [removal(bytes, { from, to })])), { a: '"' });
  });

  it("adds a member to any object", () => {
    fc.assert(
      fc.property(object, (text) => {
        const bytes = Buffer.from(text);
        const [, own = undefined] = Object.entries(parsed(bytes)).find(([key]) => key === "new") ?? [];
        const change = addition(bytes, { from: 0, to: bytes.length }, "new", "[1]");
        assert.deepEqual(parsed(splice(bytes, [change])), { ...parsed(bytes), new: own ?? [1] });
      }),
    );
  });

  it("appends to any list", () => {
    for (const text of ["[]", "[ ]", "[1]", "[1, [] ]"]) {
      const bytes = Buffer.from(text);
      const change = appending(bytes, { from: 0, to: bytes.length }, '"last"');
      assert.deepEqual(parsed(splice(bytes, [change])), [...JSON.parse(text), "last"]);
    }
  });

  it("makes several changes, counts bytes, and returns the same buffer for none", () => {
    const bytes = Buffer.from('{"\u00e9":1,"b":2}');
    const at = (text: string, value: string): Change => {
      const from = bytes.indexOf(text);
      return { at: { from, to: from + text.length }, text: value };
    };
    assert.equal(splice(bytes, [at("1", '"\u20ac"'), at("2", "3")]).toString(), '{"\u00e9":"\u20ac","b":3}');
    assert.equal(splice(bytes, []), bytes);
  });

  it("refuses spans that overlap, or are not in order", () => {
    const bytes = Buffer.from("[1,2]");
    const change = (from: number, to: number) => ({ at: { from, to }, text: "" });
    assert.throws(() => splice(bytes, [change(1, 3), change(2, 4)]), RangeError);
    assert.throws(() => splice(bytes, [change(3, 4), change(1, 2)]), RangeError);
    assert.throws(() => splice(bytes, [change(4, 6)]), RangeError);
  });
});

/** Members after some bytes were added at the value that begins at `place`. */
function shifted(members: [string, number, number][], place: number, added: number): [string, number, number][] {
  return members.map(([key, from, to]) => [key, from > place ? from + added : from, to > place ? to + added : to]);
}

/** Sets a key of any name. */
function setOwn(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}
