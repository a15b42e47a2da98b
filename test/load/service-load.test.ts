// The load test of the service in its short form: exactly what the limits allow runs, whatever is killed meanwhile. Nothing is
// said of speed. And that its judge finds what is not exact.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { after, describe, it } from "node:test";
import { isWide } from "../length.ts";
import { ownServers } from "../servers.ts";
import { LOADER, ROOT } from "../sources.ts";
import { type Bucket, Ledger } from "./service/ledger.ts";
import type { summaryOf } from "./service/report.ts";

/** How many instances there are, in each part of the run. */
const INSTANCES = isWide ? [1, 2] : [2];

let child: ChildProcess | undefined;
after(() => child?.kill());

describe("instances of the service under load, some of them killed", ownServers, () => {
  it("admit exactly what the limits allow, and count what ran", async (context) => {
    const args = [
      "--conditions=tollgate-source",
      LOADER,
      `${ROOT}test/load/service-load.ts`,
      "--short",
      "--json",
      "--instances",
      INSTANCES.join(),
    ];
    const load = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    child = load;
    const ended = new Promise((resolve) => load.once("close", resolve));
    const [status, output, log] = await Promise.all([ended, text(load.stdout), text(load.stderr)]);
    assert.equal(status, 0, log);
    const summary: ReturnType<typeof summaryOf> = JSON.parse(output);
    context.diagnostic(`${summary.trace}, seed ${summary.seed}`);
    assert.equal(summary.isExact, true);
    assert.deepEqual(
      summary.runs.map(({ instances }) => instances),
      INSTANCES,
    );
    for (const { instances, offered, admitted, allowed, stored, deniedBy, disturbed, storm } of summary.runs) {
      context.diagnostic(`${instances}: ${admitted} of ${offered} ran, ${storm.replayed} answers were told again`);
      assert.deepEqual([admitted, stored], [allowed, allowed]);
      assert.ok(offered > 1_000 && admitted > offered * 0.25 && admitted < offered * 0.75, "about half is denied");
      assert.ok(Object.values(deniedBy).every((denied) => denied > 0));
      for (const { killed, started, ended } of [disturbed, storm]) {
        assert.deepEqual([killed, started, ended], instances === 1 ? [1, 1, 0] : [2, 3, 1]);
      }
      assert.ok(disturbed.resent.calls + storm.resent.calls > 0 && storm.doubled > 0);
    }
  });
});

describe("the judge of the load", () => {
  const quotas = { "tool-per-turn": 1, "tool-per-session": 2, "tenant-budget": 3 };
  const call = (session: string, turn: string) => ({ tenant: "t", session, turn, tool: "search" });

  /** What is wrong when so many calls of each turn are offered and run, and the store counts what ran and `more`. */
  function faultsOf(turns: readonly { session: string; turn: string; offered: number; ran: number }[], more = 0) {
    const ledger = new Ledger(quotas);
    const used = new Map<Bucket, number>();
    for (const { session, turn, offered, ran } of turns) {
      for (let i = 0; i < offered; i++) {
        const bucket = ledger.offer(call(session, turn));
        if (i < ran) ledger.run(bucket);
        for (let each: Bucket | null = bucket; each !== null; each = each.within) used.set(each, each.marks + more);
      }
    }
    return ledger.judge(used).faults.map((fault) => fault.replace(/ .*:/, ""));
  }

  it("finds nothing when the maximum ran", () => {
    assert.deepEqual(faultsOf([{ session: "a", turn: "1", offered: 5, ran: 1 }]), []);
  });

  it("finds one too many, one too few, and a different count of the store", () => {
    assert.deepEqual(faultsOf([{ session: "a", turn: "1", offered: 5, ran: 2 }]), [
      "tenant-budget 2 ran, 1 may",
      "tool-per-session 2 ran, 1 may",
      "tool-per-turn 2 ran, 1 may",
    ]);
    assert.equal(faultsOf([{ session: "a", turn: "1", offered: 5, ran: 0 }])[0], "tenant-budget 0 ran, 1 had to");
    const counted = faultsOf([{ session: "a", turn: "1", offered: 5, ran: 1 }], 1);
    assert.equal(counted[0], "tenant-budget 1 ran, the store counts 2");
    assert.equal(counted.length, 3);
  });

  it("checks how many calls of a tenant run, not which", () => {
    const turns = (...ran: number[]) =>
      ran.map((each, i) => ({ session: `s${i >> 1}`, turn: `${i % 2}`, offered: 1, ran: each }));
    assert.deepEqual(faultsOf(turns(1, 1, 1, 0)), []);
    assert.deepEqual(faultsOf(turns(0, 1, 1, 1)), []);
    assert.deepEqual(faultsOf(turns(0, 1, 1, 0)), ["tenant-budget 2 ran, 3 had to"]);
    assert.deepEqual(faultsOf(turns(1, 1, 1, 1)), ["tenant-budget 4 ran, 3 may"]);
  });

  it("finds a bucket that denied without being full", () => {
    const ledger = new Ledger(quotas);
    const bucket = ledger.offer(call("a", "1"));
    ledger.run(bucket);
    ledger.deny(bucket, ["tool-per-turn", "tool-per-session"]);
    const { faults } = ledger.judge(
      new Map([bucket, bucket.within, bucket.within?.within].map((each) => [each, 1]) as [Bucket, number][]),
    );
    assert.deepEqual(faults, ['tool-per-session ["a","search"]: it denied 1 calls with 1 of 2 used']);
  });
});
