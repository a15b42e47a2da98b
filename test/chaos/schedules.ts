// Random faults, one schedule after the other, on the same instances: after each the store has counted every unit that was
// admitted, and no other.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { PolicyInput } from "tollgate";
import { areBack, type Instance, randomOf, until } from "./outage.ts";

/**
 * Limits of all that may hold while the store is away; each tool is under one, and under the one for all. That one's window
 * lies by the clock: one of an hour may end within a test.
 */
export const schedulePolicy: PolicyInput = {
  version: 1,
  limits: [
    { name: "all", per: ["session"], quota: 1_000_000, algorithm: "fixed-window", window: "365d" },
    { name: "shared", per: ["session"], when: { tool: ["shared"] }, quota: 60 },
    { name: "local", per: ["session"], when: { tool: ["local"] }, quota: 90, onStoreError: "local" },
    { name: "denied", per: ["session"], when: { tool: ["denied"] }, quota: 1_000, onStoreError: "deny" },
    {
      name: "allowed",
      per: ["session"],
      when: { tool: ["allowed"] },
      quota: 50,
      algorithm: "sliding-window",
      window: "1h",
      onStoreError: "allow",
    },
    { name: "tokens", per: ["session"], when: { tool: ["model"] }, unit: "tokens", quota: 100_000 },
  ],
};

const TOOLS = ["shared", "local", "denied", "allowed", "model"];
const CALLERS = 4;

/** What was admitted in one schedule, by limit. */
type Admitted = Map<string, number>;

/**
 * Plays schedules.
 *
 * @param disturb something else that may happen to the server, by its own means
 */
export async function playSchedules(
  test: TestContext,
  instances: readonly Instance[],
  count: number,
  seed: number,
  disturb: () => unknown,
): Promise<void> {
  const random = randomOf(seed);
  const sum = { calls: 0, admitted: 0, degraded: 0, outages: 0 };
  for (let schedule = 0; schedule < count; schedule++) {
    const what = `seed ${seed}, schedule ${schedule}`;
    const session = `s${seed}-${schedule}`;
    const admitted: Admitted = new Map();
    const outages = instances.reduce((all, { events }) => all + events.length, 0);
    const load = new MixedLoad(instances, session, admitted, random);
    await sleep(30 + random() * 60);
    for (let fault = 0, faults = 1 + Math.floor(random() * 3); fault < faults; fault++) {
      beginFault(instances, random, disturb);
      await sleep(20 + random() * 200);
      if (random() < 0.5) await Promise.all(instances.map(({ proxy }) => proxy.heal()));
    }
    await Promise.all(instances.map(({ proxy }) => proxy.heal()));
    await sleep(random() * 100);
    await load.stop();
    const backMs = await until(10_000, () => areBack(instances));
    assert.ok(areBack(instances), `${what}: not back after ${backMs} ms`);
    assert.deepEqual(load.errors, [], what);
    const [{ limiter }] = instances as [Instance];
    const usages = (await limiter.usage({ session })).map(({ limit, used }) => [limit, used] as const);
    const wanted = usages.map(([limit]) => [limit, admitted.get(limit) ?? 0] as const);
    assert.deepEqual(usages, wanted, what);
    sum.calls += load.calls;
    sum.degraded += load.degraded;
    sum.admitted += admitted.get("all") ?? 0;
    sum.outages += instances.reduce((all, { events }) => all + events.length, 0) - outages;
  }
  test.diagnostic(
    `${count} schedules: ${sum.calls} calls, ${sum.admitted} admitted, ${sum.degraded} decided without the store, ${sum.outages / 2} outages`,
  );
  assert.ok(sum.degraded > 0 && sum.admitted > 0);
}

function beginFault(instances: readonly Instance[], random: () => number, disturb: () => unknown): void {
  const chosen = instances.filter(() => random() < 0.6);
  const kind = Math.floor(random() * 7);
  for (const { proxy } of chosen) {
    if (kind === 0) proxy.refuse();
    if (kind === 1) proxy.blackHole("both");
    // Half of the faults lose the answer, and not the request.
    if (kind === 2 || kind === 3) proxy.blackHole("replies");
    if (kind === 4) proxy.resetInReply(1 + Math.floor(random() * 2));
    if (kind === 5) proxy.delay(20 + random() * 200);
  }
  if (kind === 6) disturb();
}

/** Callers that consume, and that reserve and settle. */
class MixedLoad {
  calls = 0;
  degraded = 0;
  readonly errors: unknown[] = [];
  #isOver = false;
  readonly #callers: Promise<void>[];

  constructor(instances: readonly Instance[], session: string, admitted: Admitted, random: () => number) {
    this.#callers = instances.flatMap(({ limiter }) =>
      Array.from({ length: CALLERS }, async (_, caller) => {
        for (let turn = caller; !this.#isOver; turn++) {
          const tool = TOOLS[turn % TOOLS.length] ?? "";
          try {
            if (tool === "model") await this.#reserve(limiter, session, admitted, random);
            else await this.#consume(limiter, session, tool, admitted);
          } catch (error) {
            this.errors.push(error);
          }
          await sleep(random() * 4);
        }
      }),
    );
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#callers);
  }

  async #consume(limiter: Instance["limiter"], session: string, tool: string, admitted: Admitted) {
    const { allowed, degraded } = await limiter.consume({ tool, session });
    this.#count(admitted, degraded !== null, allowed ? { all: 1, [tool]: 1 } : {});
  }

  async #reserve(limiter: Instance["limiter"], session: string, admitted: Admitted, random: () => number) {
    const estimate = 1 + Math.floor(random() * 50);
    const held = await limiter.reserve({ tool: "model", session, cost: { tokens: estimate } });
    this.#count(admitted, held.degraded !== null, held.allowed ? { all: 1 } : {});
    if (!held.allowed) return;
    await sleep(random() * 30);
    const actual = Math.floor(random() * 80);
    await held.hold.settle({ tokens: actual });
    admitted.set("tokens", (admitted.get("tokens") ?? 0) + actual);
  }

  #count(admitted: Admitted, isDegraded: boolean, units: Record<string, number>): void {
    this.calls++;
    if (isDegraded) this.degraded++;
    for (const [limit, cost] of Object.entries(units)) admitted.set(limit, (admitted.get(limit) ?? 0) + cost);
  }
}
