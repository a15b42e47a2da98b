// That a bundler leaves out what a module makes and a program does not use.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { build } from "esbuild";
import { withPureConstants } from "../../scripts/package/pure.ts";

/** What a program keeps of a module. */
async function keptOf(module: string, uses: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: `${module}\nconsole.log(${uses});`, loader: "ts" },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
  });
  return outputFiles[0]?.text ?? "";
}

describe("a constant of the package", () => {
  const made = [
    ["a call", "const made = structuredClone({});"],
    ["a call in an argument", "const made = Object.freeze(structuredClone({}));"],
    ["a spread", "const made = { ...globalThis };"],
    ["a property of another object", "const made: unknown = globalThis.crypto;"],
    ["a new object", "const first = 1,\n  made = new Proxy(globalThis, {});"],
  ] as const;
  for (const [what, module] of made) {
    it(`made with ${what} is left out where it is not used`, async () => {
      assert.match(await keptOf(module, "1"), /structuredClone|globalThis/);
      assert.equal(await keptOf(withPureConstants(module), "1"), "console.log(1);\n");
    });
  }

  it("is the same where it is used", async () => {
    const module = "const one = [...Object.keys({ a: 1 })], two = one.map(String); const three = () => two.join();";
    const log: unknown[] = [];
    new Function("console", await keptOf(withPureConstants(module), "three()"))({
      log: (text: string) => log.push(text),
    });
    assert.deepEqual(log, ["a"]);
  });

  it("that is only a value or a function stays as it is", () => {
    const module =
      'const one = "a";\nexport const two = [1, { three: () => one.length }];\nfunction four() {\n  return four();\n}\n';
    assert.equal(withPureConstants(module), module);
  });
});
