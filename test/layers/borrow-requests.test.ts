// Units that are borrowed ahead where a request, and all that it has asked, may end without notice.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter, type Limiter } from "tollgate";
import type { Store, StoreRequest } from "tollgate/store";
import { settled } from "./borrowing.ts";
import { inRequests } from "./in-requests.ts";
import { slowStore } from "./slow-store.ts";

const QUOTA = 10_000;
const CALL = { tool: "search", session: "s1" };
const HOT = {
  name: "hot",
  per: ["tool"],
  algorithm: "fixed-window",
  window: "1h",
  quota: QUOTA,
  borrow: "auto",
} as const;
const never = new Promise<never>(() => {});

const isLoan = ({ steps }: StoreRequest) =>
  steps[1]?.bucket.includes("$borrowed") === true && steps[1].event.type === "hold";
const isLook = ({ mode, steps }: StoreRequest) => mode === "peek" && steps.length === 2;

/** A limiter as in a Worker, and one as in a process, on a store that may leave requests of one kind without an answer. */
function limiters() {
  const { store, clock, asked } = slowStore();
  const state = { isSilent: (_: StoreRequest) => false };
  const silent: Store = {
    ...store,
    apply: (requests) =>
      requests.some(state.isSilent) ? store.apply(requests).then(() => never) : store.apply(requests),
  };
  const { layers, tick, kept } = inRequests();
  const per = { name: "per-session", per: ["session"], quota: 300 } as const;
  const make = (own: Store, ...more: (typeof per)[]) =>
    createLimiter({ policy: { version: 1, limits: [HOT, ...more] }, store: own, denyCacheMs: 0 }) as Limiter;
  return {
    limiter: make({ ...silent, layers }),
    both: () => make({ ...silent, layers }, per),
    other: make(store),
    clock,
    asked,
    state,
    tick,
    kept,
  };
}

async function admitted(limiter: Limiter, calls: number): Promise<number> {
  let count = 0;
  for (let i = 0; i < calls; i++) if ((await limiter.consume(CALL)).allowed) count++;
  return count;
}

const usedOf = async (limiter: Limiter) => (await limiter.usage({ tool: "search" }))[0]?.used ?? 0;

describe("units that are borrowed in a Worker", () => {
  it("decide most calls, and are returned by the ticks of a request", async () => {
    const { limiter, other, asked, tick } = limiters();
    assert.equal(await admitted(limiter, 2_000), 2_000);
    assert.ok(asked.times < 200, `${asked.times}`);
    await settled();
    assert.ok((await usedOf(other)) > 2_000);
    for (let i = 0; i < 3; i++) {
      tick();
      await settled();
    }
    assert.equal(await usedOf(other), 2_000);
    assert.equal(tick(), false, "nothing is left to do");
  });

  it("are not awaited while another request asks for them", async () => {
    const { limiter, other, state } = limiters();
    await admitted(limiter, 1_000);
    state.isSilent = isLoan;
    await admitted(limiter, 1_000);
    while ((await other.consume(CALL)).allowed);
    const denied = await limiter.consume({ ...CALL, cost: { calls: 1_000 } });
    assert.equal(denied.allowed, false);
  });

  it("are borrowed again ten seconds after a loan got no answer", async () => {
    const { limiter, asked, state, clock } = limiters();
    await admitted(limiter, 1_000);
    state.isSilent = isLoan;
    await admitted(limiter, 1_000);
    state.isSilent = () => false;
    const before = asked.times;
    assert.equal(await admitted(limiter, 100), 100);
    assert.equal(asked.times - before, 100, "each call asks by itself");
    clock.advance(10_000);
    await admitted(limiter, 100);
    const later = asked.times;
    assert.equal(await admitted(limiter, 500), 500);
    assert.ok(asked.times - later < 50, `${asked.times - later}`);
  });

  it("are counted by each denied call for itself until one has the answer", async () => {
    const { limiter, other, state, asked, clock } = limiters();
    await admitted(other, 9_000);
    await settled();
    while ((await limiter.consume(CALL)).allowed);
    clock.advance(1_000);
    state.isSilent = isLook;
    void limiter.consume(CALL);
    await settled();
    state.isSilent = () => false;
    const before = asked.requests.filter(isLook).length;
    assert.equal((await limiter.consume(CALL)).allowed, false);
    assert.equal((await limiter.consume(CALL)).allowed, false);
    assert.equal(asked.requests.filter(isLook).length - before, 1);
  });

  it("are put back when a caller is gone, because the runtime keeps its call", async () => {
    const { both, kept } = limiters();
    const limiter = both();
    await admitted(limiter, 100);
    await settled();
    const before = kept.length;
    void limiter.consume(CALL);
    assert.equal(kept.length - before >= 1, true);
  });

  it("are returned when the limiter closes, which waits for no other request", async () => {
    const { limiter, other, state } = limiters();
    await admitted(limiter, 1_000);
    await settled();
    const lent = (await usedOf(other)) - 1_000;
    assert.ok(lent > 0);
    state.isSilent = isLoan;
    await admitted(limiter, lent);
    await limiter.close({ withinMs: 0 });
  });
});

describe("a loan", () => {
  it("also covers the calls that are made until the next one arrives", async () => {
    const sizes: number[] = [];
    for (const tripMs of [0, 200]) {
      const { store, clock } = slowStore();
      const { layers } = inRequests();
      let largest = 0;
      const far: Store = {
        ...store,
        layers,
        async apply(requests) {
          const replies = await store.apply(requests);
          const loan = requests.find(isLoan);
          if (loan === undefined) return replies;
          clock.advance(tripMs);
          const [step] = loan.steps;
          if (step?.event.type === "charge") largest = Math.max(largest, step.event.cost);
          return replies;
        },
      };
      const policy = { version: 1, limits: [{ ...HOT, quota: 1_000_000 }] } as const;
      const limiter = createLimiter({ policy, store: far, denyCacheMs: 0 });
      for (let i = 0; i < 2_000; i++) {
        await limiter.consume({ tool: "search" });
        for (let turns = 0; turns < 3; turns++) await new Promise(setImmediate);
        clock.advance(1);
      }
      sizes.push(largest);
    }
    const [near = 0, distant = 0] = sizes;
    assert.ok(near >= 80 && near <= 120, `${near}`);
    assert.ok(distant >= 2 * near && distant <= 600, `${distant}`);
  });
});
