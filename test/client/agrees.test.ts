// The client and a limiter in the process are asked the same, at the same times: they answer the same.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type Call,
  createLimiter,
  type Hold,
  type Limiter,
  type LimiterEvent,
  MisuseError,
  type PolicyInput,
} from "tollgate";
import { createRemoteLimiter } from "tollgate/client";
import { memoryStore } from "tollgate/stores/memory";
import { type FakeClock, fakeClock } from "tollgate/testing";
import { cases } from "../length.ts";
import { randomOf, seedOf } from "../chaos/outage.ts";
import { served } from "../service/served.ts";

const POLICY: PolicyInput = {
  version: 1,
  tools: { book: { group: "T2", cost: { tokens: 30 } } },
  limits: [
    { name: "session", per: ["session"], quota: 40, resetAfterIdle: "10m" },
    { name: "rate", per: ["user"], onMissing: "skip", algorithm: "token-bucket", quota: 6, window: "1m", burst: 3 },
    { name: "tokens", per: ["session"], unit: "tokens", algorithm: "sliding-window", window: "2m", quota: 300 },
    {
      name: "at-once",
      per: ["user"],
      onMissing: "skip",
      when: { tool: ["book"] },
      algorithm: "concurrency",
      quota: 2,
      hold: { lease: "1m" },
    },
    { name: "same", per: ["session", "tool", "args"], when: { tool: ["search"] }, quota: 4 },
    { name: "failing", per: ["session", "tool"], algorithm: "streak", of: "errors", quota: 3, resetAfterIdle: "1h" },
    { name: "shadow", per: ["tenant"], onMissing: "skip", quota: 5, mode: "shadow" },
  ],
};
const STEPS = cases(400, 3_000);

/** A limiter, its holds by number, and what it said. */
interface Side {
  readonly limiter: Limiter;
  readonly holds: Hold[];
  readonly told: unknown[];
}

type Act = (side: Side) => Promise<unknown>;

/** What a limiter came to, without what is its own: the names of holds. */
async function outcomeOf(act: Act, side: Side): Promise<unknown> {
  try {
    return await act(side);
  } catch (error) {
    if (!MisuseError.isInstance(error)) throw error;
    return { code: error.code, path: error.faults[0]?.path };
  }
}

function actOf(random: () => number): { readonly name: string; readonly act: Act } {
  const pick = <Value>(...values: Value[]) => values[Math.floor(random() * values.length)] as Value;
  const call: Call = {
    tool: pick("search", "book", "think"),
    session: pick("s1", "s2"),
    ...(random() < 0.5 ? { user: pick("u1", "u2") } : {}),
    ...(random() < 0.2 ? { tenant: "acme" } : {}),
    ...(random() < 0.3 ? { args: { q: pick(1, 2) } } : {}),
    ...(random() < 0.4 ? { cost: { tokens: Math.floor(random() * 80) } } : {}),
    ...(random() < 0.1 ? { idempotencyKey: pick("k1", "k2", "k3") } : {}),
    ...(random() < 0.03 ? { cost: { stones: 1 } } : {}),
    ...(random() < 0.03 ? { session: undefined } : {}),
  };
  const which = Math.floor(random() * 1_000);
  // Those that were made last: what has ended is found again seldom enough.
  const held = ({ holds }: Side) => holds.at(-1 - (which % 3));
  const cost = { tokens: Math.floor(random() * 100) };
  const limit = pick("session", "tokens", "none");
  const granted = pick({ id: "g", units: 1 }, { id: "g", units: 2 }, { id: `g${which}`, units: 1 + (which % 5) });
  const acts: Record<string, Act> = {
    consume: ({ limiter }) => limiter.consume(call),
    record: ({ limiter }) => limiter.record(call),
    peek: ({ limiter }) => limiter.peek(call),
    reserve: async ({ limiter, holds }) => {
      const reserved = await limiter.reserve(call, { leaseMs: 60_000 });
      if (!reserved.allowed) return reserved;
      const { hold, ...decision } = reserved;
      holds.push(hold);
      return decision;
    },
    settle: async (side) => held(side)?.settle(cost),
    release: async (side) => held(side)?.release(),
    extend: async (side) => held(side)?.extend({ leaseMs: 90_000 }),
    run: async ({ limiter, told }) => {
      const fails = which % 3 === 0;
      return limiter
        .run(call, ({ addUsage }) => {
          told.push("ran");
          if (which % 2 === 0) addUsage(cost);
          if (which % 5 === 0) addUsage({ tokens: which % 10 === 0 ? Number.NaN : -1, stones: 2 });
          if (fails) throw new RangeError("broken");
          return which;
        })
        .catch((error) => (error instanceof RangeError ? "threw" : Promise.reject(error)));
    },
    report: ({ limiter }) => limiter.reportOutcome(call, which % 2 === 0 ? { error: true } : { result: 1 }),
    usage: ({ limiter }) => limiter.usage({ session: "s1", user: "u1", args: { q: 1 } }),
    reset: ({ limiter }) => limiter.for({ session: "s1" }).reset({ limit }, { reason: "a test" }),
    revoke: ({ limiter }) => limiter.revoke({ limit: "session", session: "s2" }, `g${which}`),
    grant: ({ limiter }) => limiter.grant({ limit: "session", session: "s2" }, { ...granted, durationMs: 30_000 }),
  };
  const name = pick("consume", "consume", "consume", "run", "run", "reserve", "settle", ...Object.keys(acts));
  return { name, act: acts[name] as Act };
}

function side(make: (told: unknown[]) => Limiter): Side {
  const told: unknown[] = [];
  return { limiter: make(told), holds: [], told };
}

/** What is told, but for the names of holds. */
const listeners = (told: unknown[]) => ({
  onDecision: (decision: unknown, call: Call) => told.push({ decision, call }),
  onEvent: (event: LimiterEvent) => {
    if (!("holdId" in event)) return told.push(event);
    // The service emits it, because it has the store.
    if (event.type === "hold.unknown") return;
    const { holdId: _, ...rest } = event;
    if (!("error" in rest)) return told.push(rest);
    const { type, call, error } = rest;
    return told.push({ type, call, code: MisuseError.isInstance(error) ? error.code : error });
  },
});

describe("a client and a limiter in the process", () => {
  const MIXED = {
    ...POLICY,
    tools: { ...POLICY.tools, search: { onError: "refund" } },
    limits: POLICY.limits.map((limit) => (limit.name === "session" ? { ...limit, onError: "charge" } : limit)),
  } as PolicyInput;
  for (const [onError, policy] of [
    ["charge", POLICY],
    ["refund", { ...POLICY, onError: "refund" }],
    ["refund of one tool in some limits", MIXED],
  ] as const) {
    it(`answer the same to ${STEPS} random acts, on error ${onError}`, async (test) => {
      const random = randomOf(seedOf(`agrees on ${onError}`));
      const clocks: FakeClock[] = [];
      const newStore = () => {
        const clock = fakeClock(Date.UTC(2030, 0, 1));
        clocks.push(clock);
        return memoryStore({ clock });
      };
      const server = await served({ policy, store: newStore() });
      const away = side((told) => createRemoteLimiter({ url: server.url, deadlineMs: 60_000, ...listeners(told) }));
      const here = side((told) => createLimiter({ policy, store: newStore(), ...listeners(told) }));
      const seen: Record<string, number> = {};
      for (let step = 0; step < STEPS; step++) {
        for (const clock of clocks) clock.advance(step % 7 === 0 ? 1_500 : 100);
        const { name, act } = actOf(random);
        const found = await outcomeOf(act, away);
        assert.deepEqual(found, await outcomeOf(act, here), `step ${step}: ${name}`);
        const kind =
          typeof found === "object" && found !== null && "allowed" in found
            ? found.allowed
            : "code" in Object(found)
              ? "misuse"
              : "done";
        const tally = `${name} ${kind}`;
        seen[tally] = (seen[tally] ?? 0) + 1;
      }
      assert.deepEqual(away.told, here.told);
      assert.ok(seen["grant done"] && seen["grant misuse"], "grants whose id is free, and those whose id is taken");
      test.diagnostic(
        Object.entries(seen)
          .map(([name, count]) => `${name} ${count}`)
          .sort()
          .join(", "),
      );
      await away.limiter.close();
      await here.limiter.close();
    });
  }
});
