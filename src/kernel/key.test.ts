import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Dimension, PartitionKey } from "./call.ts";
import {
  borrowedKey,
  bucketKey,
  digest,
  isAnswerKey,
  isSettledKey,
  keyPart,
  onceKey,
  tagOf,
  valueOfPart,
  withTag,
} from "./key.ts";

const HUGE = "x".repeat(1_000_000);

function hashOf(value: string): string {
  return `#${createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 32)}`;
}

function zip(per: Dimension[], values: (string | null | undefined)[]): PartitionKey {
  return per.map((dimension, i) => [dimension, values[i] === undefined ? "" : values[i]]);
}

describe("valueOfPart", () => {
  it("is the original value, unless the part is a hash", () => {
    for (const value of ["s1", "a:b", "{s1}", "50%", "%3A", "#1", "\u0000\n", "é漢", "\ud800"]) {
      assert.equal(valueOfPart(keyPart(value)), value);
    }
    assert.equal(valueOfPart(keyPart("x".repeat(65))), null);
  });

  it("is the value of every part that is no hash", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 30 }), (value) => {
        const part = keyPart(value);
        assert.equal(valueOfPart(part), part.startsWith("#") ? null : value);
      }),
    );
  });
});

describe("isSettledKey", () => {
  it("recognises the answer for the end of a hold among any other keys", () => {
    assert.equal(isSettledKey(onceKey("rate", "s1", "settled", "h1")), true);
    assert.equal(isSettledKey(onceKey("rate", "s1", "once", "h1")), false);
    assert.equal(isSettledKey(onceKey("rate", "$settled:", "once", "$settled:")), false);
    assert.equal(isSettledKey(onceKey("rate", keyPart("}:$settled:"), "once", "}:$settled:")), false);
    const values: PartitionKey = [
      ["session", "}:$settled:"],
      ["tool", "$settled"],
    ];
    assert.equal(isSettledKey(bucketKey("rate", "session", "per-tool", values)), false);
  });
});

describe("isAnswerKey", () => {
  it("recognises each kept answer, and no bucket", () => {
    assert.equal(isAnswerKey(onceKey("rate", "s1", "once", "k1")), true);
    assert.equal(isAnswerKey(onceKey("rate", "s1", "settled", "h1")), true);
    assert.equal(isAnswerKey(onceKey("rate", "s1", "resumed", "h1/1")), true);
    assert.equal(isAnswerKey(bucketKey("rate", "session", "per-tool", [["session", "}:$once:"]])), false);
  });
});

describe("withTag", () => {
  it("is the key that the other value would have", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), (one, other, tool) => {
        const keyOf = (session: string) =>
          bucketKey("rate", "session", "a", [
            ["session", session],
            ["tool", tool],
          ]);
        assert.equal(withTag(keyOf(one), other), keyOf(other));
        const onceOf = (session: string) => onceKey("rate", keyPart(session), "once", tool);
        assert.equal(withTag(onceOf(one), other), onceOf(other));
      }),
    );
  });
});

describe("keyPart", () => {
  it("escapes the separators of keys, and hashes long parts", () => {
    const cases: [value: string, part: string][] = [
      ["web_search", "web_search"],
      ["aZ09_.-/@=+,;!~ ", "aZ09_.-/@=+,;!~ "],
      ["a:b", "a%3Ab"],
      ["{s1}", "%7Bs1%7D"],
      ["100%", "100%25"],
      ["#1", "%231"],
      ["a\nb\u0000", "a%0Ab%00"],
      ["\u007f\u0085", "%7F%85"],
      ["\ud7ff\ue000", "\ud7ff\ue000"],
      ["\ud800", "%uD800"],
      ["\udfff!\udbff", "%uDFFF!%uDBFF"],
      ["\ud83d\ude00", "\ud83d\ude00"],
      ["Zürich", "Zürich"],
      ["", ""],
      ["a".repeat(64), "a".repeat(64)],
      ["*".repeat(64), "*".repeat(64)],
      ["a".repeat(65), "#7db9df3798ef2e32cec1dd9d189bf06a"],
      ["é".repeat(32), "é".repeat(32)],
      [`${"é".repeat(32)}a`, hashOf(`${"é".repeat(32)}a`)],
      [":".repeat(21), "%3A".repeat(21)],
      [`a${":".repeat(21)}`, `a${"%3A".repeat(21)}`],
      [`ab${":".repeat(21)}`, hashOf(`ab${":".repeat(21)}`)],
      [HUGE, hashOf(HUGE)],
      ["\ud800".repeat(65), hashOf("\ud800".repeat(65))],
    ];
    for (const [value, part] of cases) assert.equal(keyPart(value), part, JSON.stringify(value).slice(0, 80));
  });
});

describe("bucketKey", () => {
  it("is as documented", () => {
    const cases: [partition: Dimension, limit: string, values: PartitionKey, key: string][] = [
      [
        "session",
        "tool-per-session",
        [
          ["session", "s1"],
          ["tool", "web_search"],
        ],
        "rate:1:{s1}:tool-per-session:web_search",
      ],
      [
        "session",
        "per-turn",
        [
          ["turn", "t1"],
          ["session", "s1"],
          ["tool", "x"],
        ],
        "rate:1:{s1}:per-turn:t1:x",
      ],
      ["session", "per-tenant", [["tenant", "acme"]], "rate:1:{tenant=acme}:per-tenant"],
      [
        "session",
        "per-tool",
        [
          ["tenant", "acme"],
          ["tool", "x"],
        ],
        "rate:1:{tenant=acme}:per-tool:x",
      ],
      [
        "tool",
        "per-tool",
        [
          ["tenant", "acme"],
          ["tool", "x"],
        ],
        "rate:1:{x}:per-tool:acme",
      ],
      ["session", "all", [], "rate:1:{all}:all"],
      [
        "session",
        "same",
        [
          ["session", "a"],
          ["tool", "a"],
        ],
        "rate:1:{a}:same:a",
      ],
      [
        "session",
        "hostile",
        [
          ["session", "}:a{"],
          ["tool", "#:%"],
        ],
        "rate:1:{%7D%3Aa%7B}:hostile:%23%3A%25",
      ],
      [
        "session",
        "shared",
        [
          ["session", "%none"],
          ["tenant", null],
        ],
        "rate:1:{%25none}:shared:%none",
      ],
      [
        "session",
        "shared",
        [
          ["session", null],
          ["tenant", "%none"],
        ],
        "rate:1:{%none}:shared:%25none",
      ],
      ["session", "shared", [["tenant", null]], "rate:1:{tenant=%none}:shared"],
    ];
    for (const [partition, limit, values, key] of cases) assert.equal(bucketKey("rate", partition, limit, values), key);
    assert.equal(bucketKey("my", "session", "l", [["session", "s"]]), "my:1:{s}:l");
  });

  it("never gives two partition keys of one limit the same key", () => {
    const pieces = fc.constantFrom(
      ":",
      "{",
      "}",
      "%",
      "#",
      "%3A",
      "%25",
      "%uD800",
      "\n",
      "\ud800",
      "\udc00",
      "a",
      "0",
      "é",
      "none",
    );
    const few = fc.array(pieces, { maxLength: 3 }).map((parts) => parts.join(""));
    const long = fc.tuple(few, fc.constantFrom(60, 63, 64, 65, 200)).map(([text, count]) => text + "a".repeat(count));
    // What looks like the part of another value is the value most likely to meet it.
    const values = fc.oneof(few, long, fc.oneof(few, long).map(keyPart), fc.constantFrom("%none", null));
    const pers: Dimension[][] = [
      ["session", "tool"],
      ["turn", "session"],
      ["tenant", "tool"],
      ["tenant", "user", "tool"],
    ];
    const counts = { equal: 0, different: 0 };
    type Values = (string | null | undefined)[];
    const compare = (per: Dimension[], left: Values, right: Values) => {
      const keyOf = (given: Values) => bucketKey("rate", "session", "l", zip(per, given));
      const equal = per.every((_, i) => left[i] === right[i]);
      assert.equal(keyOf(left) === keyOf(right), equal);
      counts[equal ? "equal" : "different"]++;
    };
    const threeValues = fc.tuple(values, values, values);
    const property = fc.property(fc.constantFrom(...pers), threeValues, threeValues, (per, left, right) => {
      const [a, b, c] = left;
      compare(per, left, right);
      compare(per, left, [a, b, right[2]]);
      compare(per, left, [a, right[1], c]);
      // The same characters, with the borders between the values elsewhere.
      compare(per, [`${a}:${b}`, c, ""], [a, `${b}:${c}`, ""]);
      compare(per, left, [`${a}:${b}`, c, ""]);
    });
    fc.assert(property, { seed: 20_251_121, numRuns: 2_000 });
    assert.ok(counts.equal > 500 && counts.different > 5_000, JSON.stringify(counts));
  });

  it("gives different values different parts, at most 64 bytes long, without the key's separators", () => {
    const parts = new Map<string, string>();
    const check = (value: string) => {
      const part = keyPart(value);
      assert.ok(Buffer.byteLength(part) <= 64);
      assert.match(part, /^(#[0-9a-f]{32}|[^:{}#\p{Cc}\p{Cs}]*)$/u);
      assert.equal(parts.get(part) ?? value, value);
      parts.set(part, value);
    };
    const few = fc.string({ unit: fc.constantFrom(..."%:#{}uD803A25\n\ud800\udc00"), maxLength: 4 });
    const values = fc.oneof(
      few,
      fc.string({ unit: "binary", maxLength: 80 }),
      fc.string({ minLength: 50, maxLength: 90 }),
    );
    fc.assert(fc.property(values, check), { seed: 20_251_121, numRuns: 3_000 });
    for (const value of [HUGE, `${HUGE}x`, keyPart(HUGE), "#7db9df3798ef2e32cec1dd9d189bf06a"]) check(value);
    assert.ok(parts.size > 1_500, String(parts.size));
  });
});

describe("onceKey", () => {
  it("lies beside the buckets of its tag, where no limit's name can be", () => {
    assert.equal(onceKey("rate", "s1", "once", "a b:c"), "rate:1:{s1}:$once:a b%3Ac");
    assert.equal(onceKey("rate", "tenant=acme", "settled", HUGE), `rate:1:{tenant=acme}:$settled:${hashOf(HUGE)}`);
  });

  it("takes the tag of any bucket's key", () => {
    const cases: [values: PartitionKey, tag: string][] = [
      [[["session", "}:a{"]], "%7D%3Aa%7B"],
      [[["tenant", "acme"]], "tenant=acme"],
      [[], "l"],
    ];
    for (const [values, tag] of cases) assert.equal(tagOf(bucketKey("rate", "session", "l", values)), tag);
  });
});

describe("borrowedKey", () => {
  it("lies beside its bucket, one for each, where no limit's name can be", () => {
    const cases: [values: PartitionKey, key: string][] = [
      [[["tool", "search"]], "rate:1:{tool=search}:$borrowed:l"],
      [
        [
          ["session", "}:a{"],
          ["tool", "x:y"],
        ],
        "rate:1:{%7D%3Aa%7B}:$borrowed:l:x%3Ay",
      ],
      [[], "rate:1:{l}:$borrowed:l"],
    ];
    for (const [values, key] of cases) assert.equal(borrowedKey(bucketKey("rate", "session", "l", values)), key);
  });
});

describe("digest", () => {
  it("is 128 bits of the SHA-256 of a value as JSON", () => {
    assert.equal(`#${digest(HUGE)}`, hashOf(HUGE));
    assert.notEqual(digest("1"), digest(1));
  });
});
