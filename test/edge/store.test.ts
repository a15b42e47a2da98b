// The Durable Object store keeps the store contract and equals the kernel, inside real workerd.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { storeCases } from "tollgate/testing";
import { cases } from "../length.ts";
import type { createTallies } from "../properties/schedule.ts";
import { scenarios } from "./scenarios.ts";
import { startWorker } from "./workerd.ts";

const SCHEDULES = Number(process.env.TOLLGATE_SCHEDULES ?? cases(50, 500));
const SEED = Number(process.env.TOLLGATE_SEED ?? 20_261_121);

const worker = await startWorker();

/** Cases that run side by side in the Worker: the first test waits for all. */
function testAll(route: string, names: readonly string[]): void {
  let failures: Promise<Record<string, string>> | undefined;
  for (const name of names) {
    it(name, async () => {
      failures ??= worker.ask(route);
      const failure = (await failures)[name];
      if (failure !== undefined) assert.fail(failure);
    });
  }
}

describe("Durable Objects keep the store contract", () => {
  testAll(
    "cases",
    storeCases.map(({ name }) => name),
  );
});

describe("a store of Durable Objects", () => {
  testAll("scenarios", Object.keys(scenarios));
});

describe("Durable Objects and the kernel", () => {
  const agree = (schedules: number, isRow: boolean) => {
    return worker.ask<ReturnType<typeof createTallies>>("agree", { schedules, seed: SEED, isRow });
  };

  it(`agree on ${SCHEDULES} schedules at given times`, async () => {
    const tallies = await agree(SCHEDULES, false);
    for (const algorithm of ["budget", "fixed-window", "sliding-window", "token-bucket", "concurrency"] as const) {
      const { asked, denials, holds, live, late, charged, refunded, replays } = tallies[algorithm];
      const what = `${algorithm}: ${JSON.stringify(tallies[algorithm])}`;
      assert.ok(denials >= 0.25 * asked && Math.min(holds, live, late, charged, refunded, replays) > 0, what);
    }
  });

  it(`agree on ${SCHEDULES / 5} schedules of calls that wait`, async () => {
    const tallies = await agree(SCHEDULES / 5, true);
    assert.ok(tallies["token-bucket"].places >= SCHEDULES / 10, `${tallies["token-bucket"].places} places`);
  });
});
