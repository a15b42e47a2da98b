// The Lua sources of the Redis store, and what they share with TypeScript.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { faultsIn } from "../../scripts/lua/check.ts";
import { namesOf } from "../../scripts/lua/names.ts";
import { FOLDER, textOf } from "../../scripts/lua/sources.ts";
import { generatedFiles } from "../../scripts/lua.ts";
import { decodeState } from "../../src/kernel/encoding/state.ts";
import { namesEntry, type StepEvent } from "../../src/kernel/request.ts";
import { BOUNDS, EVENTS } from "../../src/stores/redis/wire.ts";

describe("what `npm run lua` makes", () => {
  for (const [file, text] of generatedFiles()) {
    it(`${file} is up to date`, () => {
      assert.equal(readFileSync(join(FOLDER, file), "utf8"), text, "run `npm run lua`");
    });
  }
});

describe("the Lua sources", () => {
  it("keep the rules of scripts/lua/check.ts", () => assert.deepEqual(faultsIn(), []));

  const RETURN = "return is_mark and incarnation or nil";
  const original = textOf("mark.lua", new Map());
  const changed = (from: string | RegExp, to: string) => faultsIn(new Map([["mark.lua", original.replace(from, to)]]));
  const cases: [name: string, faults: string[], expected: RegExp][] = [
    [
      "a name of another file that the head does not list",
      changed(RETURN, "return values"),
      /mark\.lua: its head must end with\n-- Uses keys: values\n/,
    ],
    ["a listed name that is not used", changed(/\n\n/, "\n-- Uses keys: values\n\n"), /must list no uses/],
    ["a name that is declared nowhere", changed(RETURN, "return nothing"), /nothing is declared nowhere/],
    ["a mirrored function that does not exist", changed("decodeMark", "decodeNothing"), /mirrors decodeNothing/],
    ["a mirrored function that is in another file", changed("decodeMark", "decideBatch"), /src\/store\/batch.ts does/],
    ["a long function", changed(RETURN, "\n  return nil".repeat(60)), /at most 60/],
    ["a long file", changed(RETURN, `${RETURN}${"\n-- long".repeat(300)}`), /at most 300/],
    ["no head", changed(/^--.*\n/gm, ""), /what it is for/],
  ];
  for (const [name, faults, expected] of cases) {
    it(`may not have ${name}`, () => assert.match(faults.join("\n"), expected));
  }

  it("may not come near the locals and upvalues that Lua allows", () => {
    const locals = Array.from({ length: 161 }, (_, i) => `local l${i} = ${i}`).join("\n");
    const uses = Array.from({ length: 56 }, (_, i) => `l${i}`).join(", ");
    const text = `${original}\n${locals}\nlocal function many()\n  return ${uses}\nend\nlocal x = many()\n`;
    const faults = faultsIn(new Map([["mark.lua", text]])).join("\n");
    assert.match(faults, /locals; Lua allows 200/);
    assert.match(faults, /many uses 56 locals from outside; Lua allows 60/);
  });
});

describe("names in Lua", () => {
  const globalsOf = (text: string) =>
    namesOf(text).uses.flatMap(({ token, declaration }) => (declaration === null ? [token.text] : []));
  for (const [text, globals] of [
    ["local a = b.c + d:e() -- f", ["b", "d"]],
    ["do local a = 1 end return a", ["a"]],
    ["local t = { a = b, [c] = d, function(e) return e end }", ["b", "c", "d"]],
    ["for i, v in ipairs(list) do use(i, v) end return i", ["ipairs", "list", "use", "i"]],
    ["if a then local b = 1 elseif b then c = b else d = b end", ["a", "b", "c", "b", "d", "b"]],
    ["local function f(a) return f(a, g) end", ["g"]],
    ["repeat local a = 1 until b", ["b"]],
    ['local s = "a -- b" .. c', ["c"]],
  ] as const) {
    it(`are distinguished in ${text}`, () => assert.deepEqual(globalsOf(text), globals));
  }
});

describe("the bounds and codes on the wire", () => {
  it("have the longest id that the kernel accepts", () => {
    for (const [length, isTaken] of [
      [BOUNDS.maxIdLength, true],
      [BOUNDS.maxIdLength + 1, false],
    ] as const) {
      const id = "x".repeat(length);
      for (const text of [`m1 ${id} all`, `o1 ${id} . 5 1 `, `h1 c ${id},1,5,r`, `k1 ${id} 1`]) {
        assert.equal(decodeState(text, 10) !== null, isTaken, text);
      }
    }
  });

  it("mark events with a hold or a grant by their codes", () => {
    for (const [name, code] of Object.entries(EVENTS)) {
      assert.equal(code <= EVENTS.grant, namesEntry(name as StepEvent["type"]), name);
    }
  });
});
