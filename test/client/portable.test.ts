// What a client, the service and the adapters for servers of other runtimes are made of runs without Node: all that they import,
// however deep, is there elsewhere.

import assert from "node:assert/strict";
import { posix } from "node:path";
import { it } from "node:test";
import { importsOf, sources } from "../sources.ts";

const NODE_ALONE = /\b(Buffer|setImmediate|require|__dirname)\b|\bprocess\./;
/** Where a word of Node's stands that is not reached, or asked for first. */
const KNOWN: Readonly<Record<string, string>> = {
  "src/clock.ts": "asks first whether setImmediate is there",
  "src/layers/batch.ts": "gathers by setImmediate: for the stores of Node",
  "src/limiter/listener.ts": "warns by process where there is one",
};

/** Those for a server of Node's, and those whose framework runs elsewhere, too. */
const ADAPTERS = sources("src/adapters/*.ts").map(({ path }) => path);

/** Packages that run anywhere. */
const PACKAGES = [
  "@noble/hashes",
  "cloudflare:workers",
  "hono",
  "langchain",
  "temporal-polyfill",
  "valibot",
  "yaml",
  "zod",
];

const ENTRIES = [
  "index",
  "client",
  "client/failover",
  "edge/edge",
  "service/handler",
  "session-id",
  "stores/memory",
  "stores/redis",
  "tool-rate-limiter",
];
const entries = [...ENTRIES.map((name) => `src/${name}.ts`), ...ADAPTERS];

for (const entry of entries) {
  it(`imports nothing of Node, however deep, in ${entry}`, () => {
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
    visit(entry);
    assert.ok(reached.size > 1);
    for (const name of packages) assert.ok(PACKAGES.includes(name), name);
  });
}
