// What is bundled into the package has its license in THIRD-PARTY-LICENSES, and what users install is not bundled.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { bundlePackage } from "../scripts/package/bundle.ts";
import { buildConsole } from "../scripts/package/console.ts";
import { bundledFolders, LICENSES, licensesOf } from "../scripts/package/licenses.ts";
import { MANIFEST } from "../scripts/package/subpaths.ts";
import { ROOT } from "./sources.ts";

describe("the bundle", async () => {
  const { metafile } = await bundlePackage("dist");
  const console = await buildConsole();

  it("names each package that it contains, with its license", () => {
    const isCurrent = readFileSync(ROOT + LICENSES, "utf8") === licensesOf(metafile, console.metafile);
    assert.ok(isCurrent, `${LICENSES} is not current: run \`npm run build\``);
    assert.ok(MANIFEST.files.includes(LICENSES));
  });

  it("leaves out the packages that users install", () => {
    // prom-client needs the API of OpenTelemetry.
    const allowed = ["@opentelemetry/api"];
    const bundled = Object.keys(MANIFEST.peerDependencies).filter((name) => {
      return bundledFolders(metafile).has(`node_modules/${name}`);
    });
    assert.deepEqual(bundled, allowed);
  });
});
