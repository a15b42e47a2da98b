// What users get: names, subpaths, the schema file. Drift between two artefacts fails here.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { policySchemaJson, policyTestSchemaJson } from "../scripts/schema.ts";
import { VERSION } from "../src/version.ts";
import { ROOT, sources } from "./sources.ts";

const manifest = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8"));
type Target = { "tollgate-source": string; types: string; default: string };
const subpaths = (Object.entries(manifest.exports) as [string, Target | string][]).filter(
  (entry): entry is [string, Target] => typeof entry[1] === "object",
);

describe("the package", () => {
  it("knows its own version", () => assert.equal(VERSION, manifest.version));

  it("builds each subpath from the source that it names", () => {
    for (const [subpath, target] of subpaths) {
      const source = target["tollgate-source"];
      assert.ok(existsSync(ROOT + source), `${subpath}: ${source}`);
      const built = source.replace("./src/", "./dist/").replace(/\.ts$/, "");
      assert.deepEqual([target.types, target.default], [`${built}.d.ts`, `${built}.js`]);
    }
  });

  it("has every store and every adapter as a subpath", () => {
    const files = sources("src/{stores,adapters}/*.ts").map(({ path }) =>
      path.replace("src", ".").replace(/\.ts$/, ""),
    );
    assert.deepEqual(
      files.filter((subpath) => !(subpath in manifest.exports)),
      // What adapters share.
      ["./adapters/guard", "./adapters/http", "./adapters/model-calls"],
    );
  });

  it("ships the schemas that policies and their tests are checked by", () => {
    assert.equal(readFileSync(`${ROOT}policy.schema.json`, "utf8"), policySchemaJson(), "run `npm run schema`");
    assert.equal(
      readFileSync(`${ROOT}policy-test.schema.json`, "utf8"),
      policyTestSchemaJson(),
      "run `npm run schema`",
    );
    for (const file of ["policy.schema.json", "policy-test.schema.json"])
      assert.ok(manifest.files.includes(file), file);
  });

  it("pulls no driver in at its root", async () => {
    const { moduleGraph } = await loadedBy("tollgate");
    assert.deepEqual(
      moduleGraph.filter((url) => /sqlite|stores\//.test(url)),
      [],
    );
  });

  it("has the service's packages loaded by the service alone", async () => {
    const packages = /node_modules\/(hono|@hono|pino|prom-client)\//;
    const loaded = await Promise.all(
      subpaths.map(async ([subpath]) => {
        const { moduleGraph } = await loadedBy(subpath.replace(".", "tollgate"));
        return moduleGraph.some((url) => packages.test(url)) ? [subpath] : [];
      }),
    );
    assert.deepEqual(loaded.flat(), ["./service", "./service/node"]);
  });
});

/** The modules that an import loads, in a process of its own. */
async function loadedBy(specifier: string): Promise<{ moduleGraph: string[] }> {
  const { spawnSync } = await import("node:child_process");
  const script = `
    import { registerHooks } from "node:module";
    const loaded = [];
    registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });
    await import("${specifier}");
    console.log(JSON.stringify(loaded));
  `;
  const args = ["--conditions=tollgate-source", "--input-type=module", "--eval", script];
  const { stdout } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: "utf8" });
  return { moduleGraph: JSON.parse(stdout) };
}
