// The thread of a log in a SQLite file is a file of its own in the package, which the code of other files has to find.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { it } from "node:test";
import { bundlePackage } from "../../scripts/package/bundle.ts";
import { temporaryFolder } from "../temporary.ts";

const PROGRAM = `
  import { createLimiter } from "./index.js";
  import { sqliteLog } from "./log/sqlite.js";
  import { memoryStore } from "./stores/memory.js";
  const log = sqliteLog("decisions.db");
  const policy = { version: 1, limits: [{ name: "calls", per: ["session"], quota: 1 }] };
  const limiter = createLimiter({ policy, store: memoryStore(), log });
  const { id } = await limiter.consume({ tool: "search", session: "s1" });
  await log.flush();
  console.log((await log.storage.read.entry(id, null)).tool);
  await limiter.close();
`;

it("a log in a SQLite file works as it is packed", async () => {
  const folder = temporaryFolder();
  const { outputFiles } = await bundlePackage(folder);
  for (const { path, contents } of outputFiles) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, contents);
  }
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(join(folder, "program.js"), PROGRAM);
  const { stdout, stderr } = spawnSync(process.execPath, ["program.js"], {
    cwd: folder,
    encoding: "utf8",
    timeout: 20_000,
  });
  assert.equal(stdout, "search\n", stderr);
});
