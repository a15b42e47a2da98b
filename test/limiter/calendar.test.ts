// Windows of a calendar, compared with what the runtime's own formatter says of local dates, instant by instant.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import { createLimiter, type LimitInput } from "tollgate";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { LOADER, ROOT } from "../sources.ts";
import { boundariesAt, loadDates } from "../../src/limiter/calendar.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const utc = (text: string) => Date.parse(text);

/** The local date at an instant, by another way than the code's. */
function localDate(timezone: string, atMs: number): string {
  return new Intl.DateTimeFormat("en-CA", { timeZone: timezone, dateStyle: "short" }).format(atMs);
}

/** Instants around which clocks change. */
const CHANGES: Record<string, string[]> = {
  "Europe/Berlin": ["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"],
  "America/New_York": ["2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"],
  "Australia/Lord_Howe": ["2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z"],
  "America/Santiago": ["2026-04-05T03:00:00Z", "2026-09-06T04:00:00Z"],
  "Africa/Cairo": ["2026-04-23T22:00:00Z", "2026-10-29T21:00:00Z"],
  "Asia/Beirut": ["2026-03-28T22:00:00Z", "2026-10-24T21:00:00Z"],
};

await loadDates();

describe("windows of a calendar", () => {
  for (const [timezone, changes] of Object.entries(CHANGES)) {
    it(`are local dates on both sides of the clock changes of ${timezone}`, () => {
      const window = { every: "day", timezone, anchorDay: 1 } as const;
      const lengths = new Set<number>();
      for (const change of changes) {
        for (let atMs = utc(change) - 3 * DAY; atMs < utc(change) + 3 * DAY; atMs += HOUR / 2) {
          const boundaries = boundariesAt(window, atMs);
          assert.ok(boundaries[0] <= atMs && atMs < boundaries[2]);
          for (const boundary of boundaries) {
            // The first instant of a date: one ms before was another one.
            assert.notEqual(localDate(timezone, boundary - 1), localDate(timezone, boundary));
          }
          const own = atMs < boundaries[1] ? boundaries.slice(0, 2) : boundaries.slice(1);
          const [start = 0, end = 0] = own;
          assert.equal(localDate(timezone, start), localDate(timezone, atMs));
          assert.equal(localDate(timezone, end - 1), localDate(timezone, atMs));
          lengths.add(end - start);
        }
      }
      assert.equal(lengths.size, 3, [...lengths].join());
    });
  }

  it("begin after a midnight that does not exist", () => {
    // In Beirut clocks went from 23:59:59 on to 01:00, in Cairo too.
    for (const [timezone, atMs] of [
      ["Asia/Beirut", utc("2026-03-28T22:00:00Z")],
      ["Africa/Cairo", utc("2026-04-23T22:00:00Z")],
    ] as const) {
      const window = { every: "day", timezone, anchorDay: 1 } as const;
      assert.ok(boundariesAt(window, atMs + 5 * HOUR).includes(atMs), timezone);
      const hour = new Intl.DateTimeFormat("en-GB", { timeZone: timezone, timeStyle: "short" }).format(atMs);
      assert.equal(hour, "01:00");
    }
  });

  it("begin on the anchor's day, or on the last of a month that has no such day", () => {
    const months = { every: "month", timezone: "UTC", anchorDay: 31 } as const;
    const starts: [at: string, start: string, end: string][] = [
      ["2026-01-30T12:00:00Z", "2025-12-31", "2026-01-31"],
      ["2026-01-31T00:00:00Z", "2026-01-31", "2026-02-28"],
      ["2026-02-27T23:59:59Z", "2026-01-31", "2026-02-28"],
      ["2026-02-28T00:00:00Z", "2026-02-28", "2026-03-31"],
      ["2028-02-28T12:00:00Z", "2028-01-31", "2028-02-29"],
      ["2028-02-29T00:00:00Z", "2028-02-29", "2028-03-31"],
      ["2026-04-30T00:00:00Z", "2026-04-30", "2026-05-31"],
    ];
    for (const [at, start, end] of starts) {
      const [a, b, c] = boundariesAt(months, utc(at));
      const own = utc(at) < b ? [a, b] : [b, c];
      assert.deepEqual(own, [utc(start), utc(end)], at);
    }
    const weeks = (anchorDay: number, at: string) =>
      boundariesAt({ every: "week", timezone: "UTC", anchorDay }, utc(at));
    assert.ok(weeks(1, "2026-11-22T12:00:00Z").includes(utc("2026-11-23")));
    assert.ok(weeks(7, "2026-11-22T12:00:00Z").includes(utc("2026-11-22")));
    assert.deepEqual(weeks(1, "2026-11-17T00:00:00Z"), [utc("2026-11-09"), utc("2026-11-16"), utc("2026-11-23")]);
  });
});

describe("a limit by the calendar", () => {
  const limit: LimitInput = {
    name: "daily",
    per: ["user"],
    algorithm: "fixed-window",
    window: "day",
    timezone: "Asia/Beirut",
    quota: 2,
  };
  const call = { tool: "x", user: "u1" };

  for (const [how, aheadMs] of [
    ["right", 0],
    ["a day ahead", DAY],
    ["a day behind", -DAY],
    ["a year behind", -365 * DAY],
  ] as const) {
    it(`follows the store's time, when this machine's clock is ${how}`, async () => {
      const clock = fakeClock(Date.now() + aheadMs);
      const limiter = createLimiter({ policy: { version: 1, limits: [limit] }, store: memoryStore({ clock }) });
      for (let day = 0; day < 3; day++) {
        for (const allowed of [true, true, false]) {
          const decision = await limiter.consume(call);
          assert.equal(decision.allowed, allowed);
          if (allowed) continue;
          const dayOf = (ms: number) => localDate("Asia/Beirut", clock.nowMs() + ms);
          const wait = decision.retryAfterMs ?? 0;
          assert.equal(dayOf(wait - 1), dayOf(0));
          assert.notEqual(dayOf(wait), dayOf(0));
          clock.advance(wait);
        }
      }
      const held = await limiter.reserve({ ...call, user: "u2" });
      assert.ok(held.allowed);
      clock.advance(3 * DAY);
      assert.equal((await limiter.usage({ user: "u2" }))[0]?.used, 0, "it was charged on the day of its end");
      assert.equal((await held.hold.settle()).status, "unknown-hold");
      await limiter.close();
    });
  }
});

describe("what computes dates", () => {
  /** What a program prints that makes two calls under a policy, where an import of the package fails. */
  const printed = (limit: object) => {
    const script = `
      import { registerHooks } from "node:module";
      let imports = 0;
      delete globalThis.Temporal;
      registerHooks({
        resolve(name, context, next) {
          if (name !== "temporal-polyfill") return next(name, context);
          imports++;
          throw new Error("it is not there");
        },
      });
      const { createLimiter } = await import("tollgate");
      const { memoryStore } = await import("tollgate/stores/memory");
      const policy = { version: 1, limits: [${JSON.stringify({ name: "daily", per: ["user"], quota: 1, ...limit })}] };
      const limiter = createLimiter({ policy, store: memoryStore() });
      const call = () => limiter.consume({ tool: "x", user: "u" }).then(({ allowed }) => allowed, String);
      console.log(JSON.stringify([await call(), await call(), imports]));
    `;
    const args = ["--conditions=tollgate-source", LOADER, "--input-type=module", "--eval", script];
    return JSON.parse(spawnSync(process.execPath, args, { cwd: ROOT, encoding: "utf8" }).stdout);
  };

  it("is not loaded for a policy without calendars", () => {
    assert.deepEqual(printed({ algorithm: "fixed-window", window: "1d" }), [true, false, 0]);
  });

  it("is named by an error where neither the runtime nor the package has it", () => {
    const error =
      'MisuseError: limits.daily: expected a runtime with Temporal, or the package "temporal-polyfill", for windows of a ' +
      "calendar, got Error: it is not there";
    assert.deepEqual(printed({ window: "day" }), [error, error, 1]);
  });
});
