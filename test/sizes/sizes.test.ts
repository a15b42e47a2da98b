// What users' programs weigh with Tollgate in them, for each platform, and whether they run there.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { bundleProgram, installPackage, PLATFORMS } from "../../scripts/package/size.ts";
import { SIZE_PROGRAMS } from "../../scripts/package/size-programs.ts";
import { temporaryFolder } from "../temporary.ts";
import { startBackend } from "./backend.ts";
import { RUNNERS } from "./platforms.ts";

const HANDLER = "the service's handler";
const WORKER = "the Worker";
/** What cannot run on a platform, with the reason. */
const NOT_ON: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  node: { [WORKER]: "it runs on Cloudflare alone" },
  browser: { [WORKER]: "it runs on Cloudflare alone", [HANDLER]: "a service is not for browsers" },
  workerd: {},
};

describe("a bundle", async () => {
  const folder = temporaryFolder();
  await installPackage(folder);
  const backend = await startBackend();
  after(() => backend[Symbol.asyncDispose]());

  for (const platform of PLATFORMS) {
    const run = RUNNERS[platform](folder);
    for (const { name, source, maxKB } of SIZE_PROGRAMS) {
      if (NOT_ON[platform]?.[name] !== undefined) continue;
      it(`of ${name} runs in ${platform}, and has at most ${maxKB} kB compressed`, async () => {
        const bundled = await bundleProgram(source, folder, platform);
        const allowed = await run(bundled, name.replaceAll(/\W/g, "-"), backend.url);
        // A list of another context has another prototype.
        assert.deepEqual([...(allowed as boolean[])], [true, false]);
        const kB = bundled.start.gzipBytes / 1_000;
        assert.ok(kB <= maxKB, `${kB} kB`);
      });
    }
  }

  it("that became smaller lowers what it may weigh", async () => {
    for (const { name, source, maxKB, targetKB } of SIZE_PROGRAMS) {
      const { start } = await bundleProgram(source, folder, "node");
      const kB = start.gzipBytes / 1_000;
      assert.ok(maxKB <= Math.max(targetKB, kB + 3), `${name}: it has ${kB} kB now; lower maxKB in size-programs.ts`);
    }
  });
});
