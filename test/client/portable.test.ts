// What a client is made of runs without Node: all that it imports, however deep, is there elsewhere.

import assert from "node:assert/strict";
import { posix } from "node:path";
import { describe, it } from "node:test";
import { importsOf, sources } from "../sources.ts";

const NODE_ALONE = /\b(Buffer|setImmediate|require|__dirname)\b|\bprocess\./;
/** Where a word of Node's stands that is not reached, or asked for first. */
const KNOWN: Readonly<Record<string, string>> = {
  "src/clock.ts": "within: for the stores of Node",
  "src/layers/batch.ts": "gathers by setImmediate: for the stores of Node",
  "src/layers/breath.ts": "waits by setImmediate: before the stores of Node",
  "src/limiter/shared.ts": "warns by process where there is one",
};

describe("a client", () => {
  it("imports nothing of Node, however deep", () => {
    const files = new Map(sources("src/**/*.ts").map((file) => [file.path, file]));
    const reached = new Set<string>();
    const packages = new Set<string>();
    const visit = (path: string) => {
      if (reached.has(path)) return;
      reached.add(path);
      const file = files.get(path) ?? assert.fail(path);
      for (const specifier of importsOf(file)) {
        if (specifier.startsWith(".")) visit(posix.join(posix.dirname(path), specifier));
        else
          packages.add(
            specifier
              .split("/")
              .slice(0, specifier.startsWith("@") ? 2 : 1)
              .join("/"),
          );
      }
      const code = file.text.replace(/\/\*[\s\S]*?\*\/|\/\/.*|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`/g, "");
      assert.ok(path in KNOWN || !NODE_ALONE.test(code), `${path}: ${NODE_ALONE.exec(code)?.[0]}`);
    };
    visit("src/client.ts");
    assert.ok(reached.size > 20);
    assert.deepEqual([...packages].sort(), ["@noble/hashes", "temporal-polyfill", "zod"]);
  });
});
