// A fault under load, on any store that instances share: no call hangs or fails, and afterwards the store has counted each unit that
// was admitted, and no other.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { areBack, type Instance, isStrict, Load, median, type Seen, until, wasAway } from "./outage.ts";

/** What users are promised, in ms. */
export const FIRST_DECISION_MS = 300;
const MEDIAN_AWAY_MS = 1;
const BACK_MS = 2_000;
const GIVE_UP_MS = 20_000;
/** A timer of 2 ms that is later than this was held up. */
const STALL_MS = 15;

const CALLERS = 8;
const SESSIONS = ["a", "b", "c"];

export interface Fault {
  /** Begins it. What it returns ends it, and resolves when the servers work again. */
  begin(): Promise<() => unknown> | (() => unknown);
  readonly awayMs: number;
  /** How long the load runs before it. */
  readonly afterMs: number;
  /** How soon after its end all instances are back; 2 s where it is absent. */
  readonly backMs?: number;
  /** Whether some servers stay: a call that also asks one of them takes as long as that does. */
  readonly isPartial?: boolean;
  /** Whether the servers may lose what they had acknowledged: then what was in flight may be counted twice. */
  readonly mayLose?: boolean;
}

/** @param instances of a policy with one limit per session, and perhaps `per-tool`, of which none is used up */
export async function playFault(test: TestContext, instances: readonly Instance[], fault: Fault): Promise<void> {
  const load = new Load(instances, CALLERS, SESSIONS);
  await sleep(fault.afterMs);
  const stalls = new Stalls();
  const faultMs = performance.now();
  const end = await fault.begin();
  await sleep(fault.awayMs);
  await end();
  const healedMs = performance.now();
  const backMs = await until(GIVE_UP_MS, () => areBack(instances));
  await sleep(300);
  await load.stop();
  stalls.stop();
  // A command that its client forgot is missed only now.
  await until(GIVE_UP_MS, () => areBack(instances));

  const { away, during, first } = timesOf(load, instances, faultMs);
  const slowest = Math.max(...during.map(durationOf));
  const slow = during.filter((call) => durationOf(call) > FIRST_DECISION_MS);
  const unexplained = slow.filter((call) => durationOf(call) - stalls.within(call) > FIRST_DECISION_MS);
  test.diagnostic(
    `first decision ${first.toFixed(0)} ms, slowest ${slowest.toFixed(0)} ms, ${slow.length} of ${during.length} over ` +
      `${FIRST_DECISION_MS} ms (${unexplained.length} not because this process stood still, ${stalls.longestMs.toFixed(0)} ms at most), ` +
      `median away ${median(away).toFixed(3)} ms of ${away.length}, back ${backMs.toFixed(0)} ms after ${(healedMs - faultMs).toFixed(0)}`,
  );
  assert.deepEqual(load.errors, []);
  assert.ok(areBack(instances), "an instance did not come back");
  if (isStrict) {
    assert.ok(slowest <= FIRST_DECISION_MS, `a decision took ${slowest} ms`);
    if (fault.isPartial !== true)
      assert.ok(median(away) < MEDIAN_AWAY_MS, `the median while away was ${median(away)} ms`);
    assert.ok(backMs <= (fault.backMs ?? BACK_MS), `back after ${backMs} ms`);
  }
  await assertCounted(test, load, instances, fault.mayLose === true ? instances.length * CALLERS : 0);
}

const durationOf = ({ startMs, endMs }: Seen) => endMs - startMs;

function timesOf(load: Load, instances: readonly Instance[], faultMs: number) {
  const after = load.seen.filter(({ startMs }) => startMs >= faultMs);
  // Those that the store decided had only waited for its return.
  const away = after.filter(({ instance, startMs, decision }) => {
    return decision.degraded !== null && wasAway(instances[instance] as Instance, startMs);
  });
  const during = load.seen.filter(({ endMs }) => endMs >= faultMs);
  return { away: away.map(durationOf), during, first: Math.min(...after.map(({ endMs }) => endMs)) - faultMs };
}

/** When this process stood still: then no call can be answered in time. */
class Stalls {
  longestMs = 0;
  readonly #found: { readonly fromMs: number; readonly toMs: number }[] = [];
  readonly #ticker: ReturnType<typeof setInterval>;
  #lastMs = performance.now();

  constructor() {
    this.#ticker = setInterval(() => {
      const nowMs = performance.now();
      this.longestMs = Math.max(this.longestMs, nowMs - this.#lastMs);
      if (nowMs - this.#lastMs > STALL_MS) this.#found.push({ fromMs: this.#lastMs, toMs: nowMs });
      this.#lastMs = nowMs;
    }, 2);
  }

  /** Of how much of a call's time it did. */
  within({ startMs, endMs }: Seen): number {
    const overlaps = this.#found.map(({ fromMs, toMs }) => Math.min(endMs, toMs) - Math.max(startMs, fromMs));
    return overlaps.filter((ms) => ms > 0).reduce((sum, ms) => sum + ms, 0);
  }

  stop(): void {
    clearInterval(this.#ticker);
  }
}

/** @param most so many more may be counted than were admitted */
async function assertCounted(test: TestContext, load: Load, instances: readonly Instance[], most: number) {
  const [{ limiter }] = instances as [Instance];
  const excesses: number[] = [];
  const check = (what: string, used: number, admitted: number) => {
    excesses.push(used - admitted);
    assert.ok(used >= admitted && used <= admitted + most, `${what}: ${used} counted, ${admitted} admitted`);
  };
  for (const session of SESSIONS) {
    check(session, (await limiter.usage({ session }))[0]?.used ?? 0, load.admitted(session));
  }
  const perTool = (await limiter.usage({ tool: "search" })).find(({ limit }) => limit === "per-tool");
  if (perTool !== undefined) check("per-tool", perTool.used, load.seen.length);
  if (most > 0) test.diagnostic(`counted more than admitted: ${excesses.join(", ")}`);
}

/** Runs something that leaves nothing open, and no promise that is rejected without anything that hears it. */
export async function leavesNothing(test: TestContext, run: () => Promise<void>): Promise<void> {
  const resources = process.getActiveResourcesInfo().length;
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  process.on("unhandledRejection", note);
  test.after(() => process.off("unhandledRejection", note));
  await run();
  assert.deepEqual(unhandled, []);
  await until(2_000, () => process.getActiveResourcesInfo().length <= resources);
  const left = process.getActiveResourcesInfo();
  assert.ok(left.length <= resources, `left open: ${left.join(", ")}`);
}
