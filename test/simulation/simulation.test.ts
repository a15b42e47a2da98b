// The simulator in CI: schedules of a fixed seed, without a violation, and each of them the same again.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { cases } from "../length.ts";
import { LOSSES } from "./losses.ts";
import { makeSchedule } from "./make/schedule.ts";
import { runSchedule } from "./run.ts";
import { readSums } from "./sum-files.ts";
import { NONE, sumOf } from "./totals.ts";
import { LOADER } from "../sources.ts";

const SCHEDULES = cases(60, 1_500);

describe("the simulator", () => {
  it("knows the losses that docs/failover.md names, and no others", () => {
    const page = readFileSync(new URL("../../docs/failover.md", import.meta.url), "utf8");
    const [, table = ""] = page.split("### When the count is not exact");
    const rows = [...table.matchAll(/^\| (.*?) \| /gm)].map(([, cell]) => cell).slice(2);
    assert.deepEqual(
      rows,
      LOSSES.map(({ when }) => when),
    );
  });

  it("plays a schedule in the same way again", async () => {
    for (const seed of ["same.1", "same.2", "same.3"]) {
      const first = await runSchedule(makeSchedule(seed));
      const again = await runSchedule(makeSchedule(seed));
      assert.ok(first.log.entries.length > 10);
      assert.equal(again.log.text(), first.log.text());
    }
  });

  it(`finds no violation in ${SCHEDULES} schedules`, () => {
    const main = fileURLToPath(new URL("main.ts", import.meta.url));
    const sums = join(mkdtempSync(join(tmpdir(), "tollgate-simulation-")), "sums");
    const args = ["--seed", "ci", "--schedules", String(SCHEDULES), "--processes", "2", "--sums", sums];
    const { stdout, stderr, status } = spawnSync(
      process.execPath,
      ["--conditions=tollgate-source", LOADER, main, ...args],
      {
        encoding: "utf8",
      },
    );
    assert.equal(status, 0, `${stdout}\n${stderr}`);
    assert.match(stdout, new RegExp(`${SCHEDULES} schedules, 0 with violations`));
    const totals = readSums(sums).map((line) => line.totals);
    assert.equal(totals.reduce(sumOf, NONE).schedules, SCHEDULES);
  });
});
