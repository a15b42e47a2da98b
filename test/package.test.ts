// What users get: names, subpaths, the schema file. Drift between two artefacts fails here.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { policySchemaJson, policyTestSchemaJson } from "../scripts/schema.ts";
import { VERSION } from "../src/version.ts";
import { LOADER, ROOT, sources } from "./sources.ts";

const manifest = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8"));
type Target = { "tollgate-source": string; types: string; default: string };
const subpaths = (Object.entries(manifest.exports) as [string, Target | string][]).filter(
  (entry): entry is [string, Target] => typeof entry[1] === "object",
);

const imports = importsByModule();

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

  it("ships the schemas of policies and their tests", () => {
    assert.equal(readFileSync(`${ROOT}policy.schema.json`, "utf8"), policySchemaJson(), "run `npm run schema`");
    assert.equal(
      readFileSync(`${ROOT}policy-test.schema.json`, "utf8"),
      policyTestSchemaJson(),
      "run `npm run schema`",
    );
    for (const file of ["policy.schema.json", "policy-test.schema.json"])
      assert.ok(manifest.files.includes(file), file);
  });

  it("finds the files of commands from the folder of chunks, too", () => {
    const relative = sources("src/cli/**/*.ts").flatMap(({ path, text }) =>
      [...text.matchAll(/new URL\(["`]([^"`]+)["`], import\.meta\.url/g)].map(([, url = ""]) => `${path} ${url}`),
    );
    assert.ok(relative.length > 5);
    assert.deepEqual(
      relative.filter((each) => !each.includes(" ../")),
      [],
    );
  });

  it("imports no driver at its root", () => {
    assert.deepEqual(
      loadedBy(".").filter((url) => /sqlite|stores\//.test(url)),
      [],
    );
  });

  it("loads the service's packages only in the service", () => {
    const packages = /node_modules\/(hono|@hono|pino|prom-client)\//;
    const loaded = subpaths.filter(([subpath]) => loadedBy(subpath).some((url) => packages.test(url)));
    assert.deepEqual(
      loaded.map(([subpath]) => subpath),
      // `tollgate/edge` has the service as a Worker. It leaves a Worker that has only the store when it is bundled.
      ["./edge", "./service", "./service/node"],
    );
  });
});

/** What each module imports, in a process that imports every subpath. The subpaths are in it under their own names. */
function importsByModule(): Map<string, string[]> {
  const script = `
    import { registerHooks } from "node:module";
    const imports = [];
    registerHooks({
      resolve(specifier, context, next) {
        const resolved = next(specifier, context);
        imports.push([specifier, resolved.url], [context.parentURL, resolved.url]);
        return resolved;
      },
    });
    for (const name of ${JSON.stringify(subpaths.map(([subpath]) => nameOf(subpath)))}) await import(name);
    console.log(JSON.stringify(imports));
  `;
  const args = ["--conditions=tollgate-source", LOADER, "--input-type=module", "--eval", script];
  const { stdout } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: "utf8", maxBuffer: 64_000_000 });
  const modules = new Map<string, string[]>();
  for (const [from, to] of JSON.parse(stdout) as [string, string][]) {
    modules.set(from, [...(modules.get(from) ?? []), to]);
  }
  return modules;
}

function nameOf(subpath: string): string {
  return subpath.replace(".", "tollgate");
}

/** The modules that an import of a subpath loads. */
function loadedBy(subpath: string): string[] {
  const loaded = new Set(imports.get(nameOf(subpath)));
  assert.ok(loaded.size > 0, `${subpath} was not imported`);
  for (const url of loaded) for (const each of imports.get(url) ?? []) loaded.add(each);
  return [...loaded];
}
