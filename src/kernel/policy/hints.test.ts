import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { MisuseError } from "../errors.ts";
import { hintedFaults } from "./fault-hints.ts";
import { definePolicy, readPolicy } from "./parse.ts";

const WINDOWED =
  '"algorithm: sliding-window" (at most the quota in any 1h), "algorithm: fixed-window" (counts from zero every 1h) or "algorithm: token-bucket" (a steady rate with bursts)';
const EXAMPLE = "{ name: per-session, per: [session], quota: 50 }";

function hintsOf(input: unknown): Record<string, string | undefined> {
  const result = readPolicy(input, hintedFaults);
  return "policy" in result ? {} : Object.fromEntries(result.faults.map(({ path, hint }) => [path, hint]));
}

type Case = [given: unknown, path: string, hint: string | undefined];

function check(cases: readonly Case[], policyOf: (given: never) => unknown, prefix: string): void {
  for (const [given, path, hint] of cases) {
    assert.deepEqual(hintsOf(policyOf(given as never)), { [prefix + path]: hint }, JSON.stringify(given));
  }
}

const limitOf = (limit: object) => ({ version: 1, limits: [{ name: "a", per: ["session"], ...limit }] });
const policyOf = (rest: object) => ({ ...limitOf({ quota: 5 }), ...rest });
const toolOf = (tool: unknown) => policyOf({ tools: { search: tool } });

describe("hints", () => {
  it("say how quotas by plan, amounts and a quota of the call are written", () => {
    const dollars = { unit: "usd_micros" };
    check(
      [
        [{ quota: 5, plans: { pro: 500, free: "1k" } }, "plans", "Write quotas: { plan: { pro: 500, free: 1k } }."],
        [{ quota: 5, plan: { a: 1, b: 2, c: 3, d: 4 } }, "plan", "Write quotas: { plan: { a: 1, b: 2, c: 3, … } }."],
        [{ quota: 5, tools: { search: 1 } }, "tools", "Write quotas: { tool: { search: 1 } }."],
        [{ quota: 5, plans: ["pro", "free"] }, "plans", "Write when: { plan: [pro, free] }."],
        [{ quota: 5, plan: "pro" }, "plan", "Write when: { plan: pro }."],
        [{ ...dollars, quota: "$1", "0": null }, "0", "A comma ends a value. Write $1000."],
        [{ quota: 10, "50": null }, "50", "A comma ends a value. Write 10050."],
        [{ quota: "9k", "0": null }, "0", "A comma ends a value: write the amount without it."],
        [
          { quota: 5, quotas: { plan: { pro: 1, "0": null } } },
          "quotas.plan.0",
          "A comma ends a value: write the amount without it.",
        ],
        [{ ...dollars, quota: "$1k" }, "quota", "Write $1000."],
        [{ ...dollars, quota: "1.5M USD" }, "quota", "Write $1500000."],
        [{ quota: { from: "call", defualt: 5, max: 9 } }, "quota", 'Did you mean "default" instead of "defualt"?'],
        [{ quota: { form: "call", default: 5, max: 9 } }, "quota", 'Did you mean "from" instead of "form"?'],
        [{ algorithm: "elapsed", quota: "1.5h" }, "quota", "Write 90m."],
      ],
      limitOf,
      "limits[0].",
    );
  });

  it("say which algorithms have a window", () => {
    const fixed = { algorithm: "fixed-window", quota: 5 };
    check(
      [
        [{ quota: 5, window: "1h" }, "window", `A window needs an algorithm. Add ${WINDOWED}.`],
        [
          { quota: 5, period: "1h" },
          "period",
          `Write "window" instead of "period". A window needs an algorithm. Add ${WINDOWED}.`,
        ],
        [{ quota: 5, windw: "1h" }, "windw", `Did you mean "window"? A window needs an algorithm. Add ${WINDOWED}.`],
        [
          { quota: 5, window: 60 },
          "window",
          `A window needs an algorithm. Add ${WINDOWED.replaceAll("1h", "window")}.`,
        ],
        [
          { algorithm: "concurrency", quota: 5, window: "1h" },
          "window",
          `The algorithm "concurrency" has no window. Remove it, or use ${WINDOWED}.`,
        ],
        [{ quota: "5/h" }, "quota", `Write "quota: 5, window: 1h" with ${WINDOWED}.`],
        [fixed, "window", "Add the window that the quota is for, such as window: 1h."],
        [{ quota: 5, burst: 9 }, "window", "Add the window that the quota is for, such as window: 1h."],
        [
          { ...fixed, algorithm: "sliding-window", window: "day" },
          "window",
          "Write 1d, or leave the algorithm out for a day of the calendar.",
        ],
        [
          { ...fixed, algorithm: "token-bucket", window: "month" },
          "window",
          "Write 30d, or leave the algorithm out for a month of the calendar.",
        ],
        [{ ...fixed, window: "1 month" }, "window", "Write month for a month of the calendar, or 30d."],
        [{ ...fixed, window: "daily" }, "window", "Write day for a day of the calendar, or 1d."],
        [{ quota: 5, window: "daily" }, "window", 'Write "window: day" for a day of the calendar.'],
        [
          { quota: 5, window: "1d" },
          "window",
          `Write "window: day" for a day of the calendar, or add ${WINDOWED.replaceAll("1h", "1d")}.`,
        ],
        [{ quota: "25/day" }, "quota", 'Write "quota: 25, window: day".'],
        [
          { ...fixed, algorithm: "token-bucket", window: "monthly" },
          "window",
          'Write 30d, or "window: month" without an algorithm for a month of the calendar.',
        ],
      ],
      limitOf,
      "limits[0].",
    );
  });

  it("suggest a key of a limit", () => {
    check(
      [
        [{ qouta: 5 }, "qouta", 'Did you mean "quota"?'],
        [{ quota: 5, onstoreerror: "allow" }, "onstoreerror", 'Did you mean "onStoreError"?'],
        [{ limit: 5 }, "limit", 'Write "quota" instead of "limit".'],
        [{ max: 5 }, "max", 'Write "quota" instead of "max".'],
        [{ rpm: 60 }, "rpm", 'Write "algorithm: token-bucket, quota: 60, window: 1m" instead of "rpm".'],
        [{ rps: "many" }, "rps", 'Write "algorithm: token-bucket, quota: 60, window: 1s" instead of "rps".'],
        [{ tpm: 9 }, "tpm", 'Write "algorithm: token-bucket, unit: tokens, quota: 9, window: 1m" instead of "tpm".'],
        [
          { per_minute: 9 },
          "per_minute",
          'Write "algorithm: token-bucket, quota: 9, window: 1m" instead of "per_minute".',
        ],
        [{ rate: "9/min" }, "rate", 'Write "algorithm: token-bucket, quota: 9, window: 1m" instead of "rate".'],
        [
          { quota: 5, window: "day", burst: 9 },
          "burst",
          '"burst" is for token-bucket. Add "algorithm: token-bucket", or remove "burst".',
        ],
        [
          { quota: 5, maxBurst: 9 },
          "maxBurst",
          'Write "burst" instead of "maxBurst". "burst" is for token-bucket. Add "algorithm: token-bucket", or remove "burst".',
        ],
        [
          { quota: 5, window: "day", resetAfterIdle: "1h" },
          "resetAfterIdle",
          '"resetAfterIdle" is for budget, elapsed and streak, and this limit is fixed-window. Remove it, or change the algorithm.',
        ],
        [
          { algorithm: "sliding-window", window: "1h", quota: 5, burst: 9 },
          "burst",
          '"burst" is for token-bucket, and this limit is sliding-window. Remove it, or change the algorithm.',
        ],
        [
          { algorithm: "token-bucket", window: "1h", quota: 5, resetAfterIdle: "1h" },
          "resetAfterIdle",
          '"resetAfterIdle" is for budget, elapsed and streak, and this limit is token-bucket. Remove it, or change the algorithm.',
        ],
        [{ quota: 5, dry_run: true }, "dry_run", 'Write "mode: shadow" instead of "dry_run".'],
        [
          { maxConcurrent: 5, quota: 1 },
          "maxConcurrent",
          'Write "algorithm: concurrency" and "quota" instead of "maxConcurrent".',
        ],
        [{ quota: 5, comment: "x" }, "comment", 'Write "description" instead of "comment".'],
        [{ quota: 5, tool: "x" }, "tool", 'Write "when: { tool: [x] }" instead of "tool".'],
        [{ quota: 5, only: {} }, "only", 'Write "when" instead of "only".'],
        [{ quota: 5, default: 1 }, "default", 'Write "quota" for all values that "quotas" does not name.'],
        [{ "quota:5": null }, "quota:5", 'Put a space after the colon: "quota: 5".'],
        [{ quota: 5, colour: 1 }, "colour", undefined],
        [{ quota: 5, ["x".repeat(101)]: 1 }, "x".repeat(101), undefined],
      ].map(
        ([given, key, hint]): Case => [given, /^\w+$/.test(String(key)) ? `.${key}` : `["${key}"]`, hint as string],
      ),
      limitOf,
      "limits[0]",
    );
  });

  it("suggest a key of another part", () => {
    check(
      [
        [{ Limits: [] }, "Limits", 'Did you mean "limits"?'],
        [{ rules: [] }, "rules", 'Write "limits" instead of "rules".'],
        [{ max_hold: "1h" }, "max_hold", 'Did you mean "maxHold"?'],
        [{ quota: 5 }, "quota", 'Write "quota" in a limit, which is an entry of "limits".'],
        [{ colour: 5 }, "colour", undefined],
        [{ tools: { search: { price: 5 } } }, "tools.search.price", 'Write "cost" instead of "price".'],
        [{ tools: { search: { gruop: "T1" } } }, "tools.search.gruop", 'Did you mean "group"?'],
        [
          { tools: { search: { rpm: 5 } } },
          "tools.search.rpm",
          'Write it in a limit of its own, with "when: { tool: search }".',
        ],
        [{ tools: { search: { colour: 5 } } }, "tools.search.colour", undefined],
        [
          { tools: { search: { mode: "warn" } } },
          "tools.search.mode",
          "Write it in a limit that is per tool: quotas: { tool: { search: 5 } }.",
        ],
        [{ defaults: { quota: 5 } }, "defaults.quota", 'Write "quota" in each limit.'],
        [{ defaults: { onMising: "skip" } }, "defaults.onMising", 'Did you mean "onMissing"?'],
        [{ defaults: { colour: 5 } }, "defaults.colour", undefined],
        [{ defaults: { hold: { timeout: "5m" } } }, "defaults.hold.timeout", 'Write "lease" instead of "timeout".'],
        [{ defaults: { notice: { messge: "x" } } }, "defaults.notice.messge", 'Did you mean "message"?'],
      ],
      policyOf,
      "",
    );
    check(
      [
        [{ quota: 5, hold: { timeout: "5m" } }, "hold.timeout", 'Write "lease" instead of "timeout".'],
        [{ quota: 5, notice: { threshold: 0.5 } }, "notice.threshold", 'Write "at" instead of "threshold".'],
        [
          { quota: 5, algorithm: "concurrency", hold: { onExpiry: "refund" } },
          "hold.onExpiry",
          "Remove it: a unit in use is always free again in the end.",
        ],
        [
          { quota: 5, overrides: [{ when: {}, quota: 1, limit: 5 }] },
          "overrides[0].limit",
          'Write "quota" instead of "limit".',
        ],
      ],
      limitOf,
      "limits[0].",
    );
  });

  it("suggest Tollgate's word for a value", () => {
    const called = (key: string, name: string, more = "") =>
      `It is called "${name}" here: write ${key}: ${name}${more}.`;
    const window = ", with quota and window";
    check(
      [
        [{ algorithm: "leaky" }, "algorithm", called("algorithm", "token-bucket", window)],
        [{ algorithm: "gcra" }, "algorithm", "Write algorithm: token-bucket."],
        [{ algorithm: "tokenbucket" }, "algorithm", 'Did you mean "token-bucket"?'],
        [{ algorithm: "leaky-bucket" }, "algorithm", called("algorithm", "token-bucket", window)],
        [{ algorithm: "rolling" }, "algorithm", called("algorithm", "sliding-window", window)],
        [{ algorithm: "fixed" }, "algorithm", called("algorithm", "fixed-window", window)],
        [{ algorithm: "quota" }, "algorithm", "Write algorithm: budget."],
        [{ algorithm: "counter" }, "algorithm", called("algorithm", "budget")],
        [{ algorithm: "semaphore" }, "algorithm", called("algorithm", "concurrency")],
        [{ algorithm: "timeout" }, "algorithm", called("algorithm", "elapsed", ", with a duration as quota")],
        [{ algorithm: "loop" }, "algorithm", called("algorithm", "streak", ", with of and quota")],
        [{ algorithm: "sliding_window" }, "algorithm", 'Did you mean "sliding-window"?'],
        [{ algorithm: "token-buket" }, "algorithm", 'Did you mean "token-bucket"?'],
        [{ algorithm: "quicksort" }, "algorithm", undefined],
        [{ quota: 5, mode: "Shadow" }, "mode", 'Did you mean "shadow"?'],
        [{ quota: 5, mode: "dry-run" }, "mode", called("mode", "shadow")],
        [{ quota: 5, mode: "off" }, "mode", undefined],
        [{ quota: 5, onStoreError: "fail-open" }, "onStoreError", called("onStoreError", "allow")],
        [{ quota: 5, onStoreError: "alow" }, "onStoreError", 'Did you mean "allow"?'],
        [{ quota: 5, hold: { onExpiry: "release" } }, "hold.onExpiry", called("onExpiry", "refund")],
        [{ quota: 5, algorithm: "streak", of: "failures" }, "of", called("of", "errors")],
        [{ quota: 5, mode: "soft" }, "mode", called("mode", "warn")],
        [{ quota: 5, onMissing: "ignore" }, "onMissing", called("onMissing", "skip")],
        [{ quota: 5, onMissing: true }, "onMissing", called("onMissing", "skip")],
        [{ quota: 5, onMissing: "maybe" }, "onMissing", undefined],
        [{ quota: 5, notice: 0.8 }, "notice", "Write notice: { at: 0.8 }."],
        [{ quota: 5, notice: null }, "notice", undefined],
        [{ quota: 5, notice: { at: 80 } }, "notice.at", "It is a share of the quota: write 0.8."],
        [{ quota: 5, notice: { at: "80%" } }, "notice.at", "It is a share of the quota: write 0.8."],
        [{ quota: 5, notice: { at: "0.8" } }, "notice.at", "Write 0.8 without quotes."],
        [{ quota: 5, notice: { at: 0 } }, "notice.at", "Write never."],
        [{ quota: 5, notice: { at: "often" } }, "notice.at", undefined],
        [{ quota: 5, notice: { message: "{uesd}" } }, "notice.message", "Did you mean {used}?"],
        [{ quota: 5, message: "{limits}" }, "message", "Did you mean {limit}?"],
        [{ quota: 5, message: "{tool}" }, "message", undefined],
        [{ quota: 5, message: "{" }, "message", undefined],
      ],
      limitOf,
      "limits[0].",
    );
  });

  it("say how names, dimensions and lists are written", () => {
    const whose = "per: [session], [user] or [tenant]";
    const QUOTES = 'A value that begins with ! or * needs quotes, as in "!delete_*".';
    const asked = (...each: string[]) =>
      `Name the dimension that has these values: ${each.map((one) => `quotas: { ${one} }`).join(", or ")}.`;
    check(
      [
        [{ name: "Per Session" }, "name", 'Write "per-session".'],
        [{ name: "tool_per_turn" }, "name", 'Write "tool-per-turn".'],
        [{ name: "*" }, "name", undefined],
        [{ name: 5 }, "name", undefined],
        [{ name: undefined }, "name", "Give each limit a name, such as tool-per-session."],
        [{ per: "session" }, "per", "Write a list: per: [session]."],
        [{ per: "session, tool" }, "per", "Write a list: per: [session, tool]."],
        [{ per: { session: 1 } }, "per", "Write a list: per: [session]."],
        [{ per: "" }, "per", undefined],
        [{ per: 5 }, "per", undefined],
        [{ per: undefined }, "per", `Say whose quota it is: ${whose}, or [] for one quota for all calls.`],
        [{ per: ["Session"] }, "per[0]", 'Write "session".'],
        [{ per: ["orgId"] }, "per[0]", 'Write "org_id".'],
        [{ per: ["cost"] }, "per[0]", '"cost" has another meaning in a call. Use another name.'],
        [{ per: [5] }, "per[0]", `Write the name of a dimension, as in ${whose}.`],
        [{ per: ["x".repeat(40)] }, "per[0]", undefined],
        [{ per: ["x".repeat(101)] }, "per[0]", undefined],
        [{ distinct: "Usr" }, "distinct", 'Did you mean "user"?'],
        [{ when: "*_x" }, "when", 'Name the dimension: when: { tool: ["*_x"] }.'],
        [{ when: ["a", "b"] }, "when", "Name the dimension: when: { tool: [a, b] }."],
        [{ when: 5 }, "when", "Say for which calls: when: { plan: pro }."],
        [{ when: { plan: true } }, "when.plan", 'Write "true", with quotes.'],
        [{ quotas: [] }, "quotas", "Write an object: quotas: { tool: { search: 5 } }."],
        [{ quotas: { pro: 5 } }, "quotas", asked("plan: { pro: 5 }", "session: { pro: 5 }")],
        [{ per: ["user"], quotas: { gold: "$5" } }, "quotas", asked("plan: { gold: $5 }", "user: { gold: $5 }")],
        [
          { per: ["user", "tool"], quotas: { pro: 5, free: 1 } },
          "quotas",
          asked("plan: { pro: 5, free: 1 }", "tool: { pro: 5, free: 1 }"),
        ],
        [{ per: ["user", "tool"], quotas: { search: 5 } }, "quotas", "Write quotas: { tool: { search: 5 } }."],
        [
          { per: ["user"], quotas: { a: 1, b: 2, c: 3, d: 4 } },
          "quotas",
          asked("plan: { a: 1, b: 2, c: 3, … }", "user: { a: 1, b: 2, c: 3, … }"),
        ],
        [{ per: ["workspace"], quotas: { w1: 5 } }, "quotas", "Write quotas: { workspace: { w1: 5 } }."],
        [
          { per: [], quotas: { pro: 5 } },
          "quotas.pro",
          "Name the dimension that has these values: quotas: { plan: { pro: 5 } }.",
        ],
        [
          { per: [], quotas: { search: null } },
          "quotas.search",
          "Name the dimension that has these values: quotas: { tool: { search: … } }.",
        ],
        [
          { per: ["workspace"], quotas: { w1: [5] } },
          "quotas.w1",
          "Name the dimension that has these values: quotas: { workspace: { w1: … } }.",
        ],
        [{ quotas: { plan: "pro" } }, "quotas.plan", "Write the quota of each value: quotas: { plan: { pro: 500 } }."],
        [{ when: { tool: "" } }, "when.tool", QUOTES],
        [{ when: { tool: ["a", ""] } }, "when.tool[1]", QUOTES],
        [{ overrides: { plan: 5 } }, "overrides", "Write a list: overrides: [{ when: { plan: pro }, quota: 500 }]."],
        [{ overrides: 5 }, "overrides", undefined],
        [{ overrides: [{ quota: 5 }] }, "overrides[0].when", "Say for which calls: when: { plan: pro }."],
        [{ overrides: [{ quota: 5, when: { orgId: 5 } }] }, "overrides[0].when.orgId", 'Write "org_id".'],
        [
          { overrides: [{ quota: 5, when: { ["X".repeat(101)]: 5 } }] },
          `overrides[0].when.${"X".repeat(101)}`,
          undefined,
        ],
        [{ overrides: [{ quota: 5, when: { beta: true } }] }, "overrides[0].when.beta", 'Write "true", with quotes.'],
        [{ overrides: [{ quota: 5, when: { constructor: 1.5 } }] }, "overrides[0].when.constructor", undefined],
        [{ quotas: { tool: { "": 5 } } }, 'quotas.tool[""]', undefined],
        [{ unit: "USD" }, "unit", 'Write "usd".'],
        [{ unit: "5" }, "unit", undefined],
        [{ unit: 5 }, "unit", undefined],
        [{ algorithm: "fixed-window", window: "day", timezone: "Berlin" }, "timezone", 'Did you mean "Europe/Berlin"?'],
        [
          { algorithm: "fixed-window", window: "day", timezone: "Europe/Berln" },
          "timezone",
          'Did you mean "Europe/Berlin"?',
        ],
        [{ algorithm: "fixed-window", window: "day", timezone: "Nowhere" }, "timezone", undefined],
        [
          { algorithm: "fixed-window", window: "1h", timezone: "UTC" },
          "timezone",
          "Remove it: a window of a fixed length is the same in every zone.",
        ],
      ],
      (limit: object) => limitOf({ quota: 5, ...limit }),
      "limits[0].",
    );
  });

  it("say how quotas and costs are written", () => {
    const money = (quota: string, unit = "usd_micros") => `For money write "unit: ${unit}, quota: ${quota}".`;
    const tokenBucket = { algorithm: "token-bucket", window: "1024ms", burst: 2 ** 41 };
    check(
      [
        [{ quota: 2.5 }, "quota", `Units are whole. ${money("$2.50")}`],
        [{ quota: 0.1, unit: "eur" }, "quota", `Units are whole. ${money("100k", "eur_micros")}`],
        [{ quota: 2.5, unit: "dollars" }, "quota", `Units are whole. ${money("$2.50")}`],
        [{ quota: 2.5, unit: "usd_micros" }, "quota", "Units are whole: write $2.50."],
        [{ quota: 2.5, unit: "tokens" }, "quota", "Units are whole. Write 3, or count in a smaller unit."],
        [
          { quota: 0.5, algorithm: "token-bucket", window: "1s" },
          "quota",
          `Units are whole. For less than 1 in a window use a longer window. ${money("$0.50")}`,
        ],
        [{ quota: "$2.50" }, "quota", 'Write "unit: usd_micros, quota: $2.50".'],
        [{ quota: "$2.50", unit: "tokens" }, "quota", 'Write "unit: usd_micros, quota: $2.50".'],
        [{ quota: "€2.50" }, "quota", 'Write "unit: eur_micros, quota: 2500k".'],
        [{ quota: "$1,000", unit: "usd_micros" }, "quota", "Write $1000."],
        [{ quota: "500.00 USD", unit: "usd_micros" }, "quota", "Write $500."],
        [{ quota: "$0.0000001", unit: "usd_micros" }, "quota", "Write at most six decimals."],
        [{ quota: "200K" }, "quota", "Write 200k."],
        [{ quota: "1.5M" }, "quota", "Write 1500k."],
        [{ quota: "1e6" }, "quota", "Write 1M."],
        [{ quota: "1,000" }, "quota", "Write 1000."],
        [{ quota: "1_00" }, "quota", undefined],
        [{ quota: "5" }, "quota", "Write 5 without quotes."],
        [{ quota: "5K" }, "quota", "Write 5k."],
        [{ quota: "1e3" }, "quota", "Write 1k."],
        [{ quota: "-1" }, "quota", "Write 0 to deny every call, or unlimited to count calls and deny none."],
        [{ quota: "2.5" }, "quota", `Units are whole. ${money("$2.50")}`],
        [{ quota: -1 }, "quota", "Write 0 to deny every call, or unlimited to count calls and deny none."],
        [{ quota: null }, "quota", "Write a number."],
        [{ quota: [5] }, "quota", undefined],
        [{ quota: "x".repeat(101) }, "quota", undefined],
        [{}, "quota", "Add one, such as quota: 50."],
        [{ quota: "infinite" }, "quota", "Write unlimited."],
        [{ quota: "lots" }, "quota", undefined],
        [{ quota: Number.POSITIVE_INFINITY }, "quota", "Write unlimited, or count in a larger unit."],
        [
          { quota: "1 hour" },
          "quota",
          'A duration is the quota of "algorithm: elapsed". A quota for each 1h has window: 1h.',
        ],
        [{ quota: 5, quotas: { tool: { a: "5K" } } }, "quotas.tool.a", "Write 5k."],
        [{ quota: 5, overrides: [{ when: {}, quota: "5K" }] }, "overrides[0].quota", "Write 5k."],
        [{ ...tokenBucket, quota: 1 }, "quota", "Use a rounder quota, a shorter window or a smaller burst."],
        [{ algorithm: "concurrency", quota: 1_001 }, "quota", "Use a smaller number."],
        [{ algorithm: "token-bucket", window: "1s", quota: 1, burst: 0 }, "burst", "Write 1 or more."],
        [{ algorithm: "token-bucket", window: "1s", quota: 1, burst: "5K" }, "burst", "Write 5k."],
        [{ algorithm: "elapsed", quota: 30 }, "quota", "Add a unit of time: 30s for seconds, or 30ms."],
      ],
      (limit: object) => limitOf("quotas" in limit ? { ...limit, per: ["tool"] } : limit),
      "limits[0].",
    );
    check(
      [
        [{ cost: 5 }, ".cost", "Name the unit: cost: { calls: 5 }."],
        [{ cost: "x" }, ".cost", undefined],
        [{ cost: { usd: 0.05 } }, ".cost.usd", "Units are whole: write usd_micros: $0.05."],
        [{ cost: { usd_micros: 0.05 } }, ".cost.usd_micros", "Units are whole: write usd_micros: $0.05."],
        [{ cost: { tokens: 0.5 } }, ".cost.tokens", "Units are whole: write 1, or count in a smaller unit."],
        [{ cost: { tokens: -5 } }, ".cost.tokens", "Write 0 or more."],
        [{ cost: { tokens: "5" } }, ".cost.tokens", "Write 5 without quotes."],
        [{ cost: { constructor: "5" } }, ".cost.constructor", "Write 5 without quotes."],
        [{ cost: { Tokens: 5 } }, ".cost.Tokens", 'Write "tokens".'],
        [null, "", "Write search: {} for a tool without settings."],
        [5, "", "Write it in a limit that is per tool, quotas: { tool: { search: 5 } }, and here search: {}."],
        [{ ignoreArgs: "id" }, ".ignoreArgs", "Write a list: ignoreArgs: [id]."],
      ],
      toolOf,
      "tools.search",
    );
  });

  it("say how durations are written", () => {
    const fixed = (window: unknown) => limitOf({ algorithm: "fixed-window", quota: 5, window });
    check(
      [
        [60, "window", "Add a unit of time: 60s for seconds, or 60ms."],
        ["60", "window", "Add a unit of time: 60s for seconds, or 60ms."],
        [0.5, "window", "Write a whole number above 0 and a unit, such as 30s."],
        [null, "window", "Write a whole number and a unit, such as 30s, 5m or 1h."],
        ["1 minute", "window", "Write 1m."],
        ["1hour", "window", "Write 1h."],
        ["2 weeks", "window", "Write 14d."],
        ["1.5h", "window", "Write 90m."],
        ["PT1H", "window", "Write 1h."],
        ["soon", "window", undefined],
        ["40000d", "window", undefined],
      ],
      fixed,
      "limits[0].",
    );
    check(
      [
        [{ resetAfterIdle: "1 day" }, "resetAfterIdle", "Write 1d."],
        [{ resetAfterIdle: false }, "resetAfterIdle", "Write never."],
        [{ resetAfter: "14 days" }, "resetAfter", "Write 14d."],
        [{ resetAfter: "1d", resetAfterIdle: "1h" }, "resetAfter", "Remove one of them: a scope has one life."],
        [{ hold: "5 minutes" }, "hold", "Write hold: { lease: 5m }."],
        [{ hold: "long" }, "hold", "Write hold: { lease: 2m }."],
        [{ hold: 5 }, "hold", undefined],
        [{ borrow: true }, "borrow", 'Write "borrow: auto".'],
        [{ borrow: "no" }, "borrow", "Remove it: each call asks the store then."],
        [{ borrow: "auto", mode: "warn" }, "borrow", 'Remove it, or the "mode".'],
        [{ borrow: "auto", distinct: "turn" }, "borrow", undefined],
        [{ algorithm: "concurrency", hold: { lease: "1 minute" } }, "hold.lease", "Write 1m."],
      ],
      (limit: object) => limitOf({ quota: 5, ...limit }),
      "limits[0].",
    );
    assert.deepEqual(hintsOf(policyOf({ maxHold: "1 hour" })), { maxHold: "Write 1h." });
  });

  it("say how a policy begins", () => {
    const loads = "A file is read by loadPolicy(path), a text in YAML or JSON by parsePolicy(text).";
    const cases: [input: unknown, hints: Record<string, string | undefined>][] = [
      [null, { policy: 'It is empty. Begin with "version: 1" and "limits:".' }],
      [undefined, { policy: 'It is empty. Begin with "version: 1" and "limits:".' }],
      [[], { policy: 'Write "version: 1" and "limits:" above the list.' }],
      ["policy.yaml", { policy: loads }],
      [5, { policy: undefined }],
      [{ version: 1 }, { limits: `Add at least one limit: limits: [${EXAMPLE}].` }],
      [{ version: 1, limits: [] }, { limits: `Add at least one limit: limits: [${EXAMPLE}].` }],
      [{ version: 1, limits: [5] }, { "limits[0]": `Write an object: ${EXAMPLE}.` }],
      [{ version: 1, limits: "x" }, { limits: undefined }],
      [{ version: 1, limits: { name: "a" } }, { limits: 'Write "- " before the limit: limits are a list.' }],
      [
        { version: 1, limits: { a: {} } },
        { limits: 'Limits are a list, in the order in which they are judged. Write "- name: a" for each.' },
      ],
      [
        { version: 1, limits: {} },
        { limits: 'Limits are a list, in the order in which they are judged. Write "- name: a" for each.' },
      ],
      [policyOf({ version: undefined }), { version: 'Add "version: 1".' }],
      [policyOf({ version: "1" }), { version: "Write 1 without quotes." }],
      [policyOf({ version: 2 }), { version: 'Write "version: 1".' }],
      [policyOf({ partition: "sesion" }), { partition: 'Did you mean "session"?' }],
      [policyOf({ tools: 5 }), { tools: "Write an object with a key for each tool: tools: { search: {} }." }],
      [
        policyOf({ tools: ["book"] }),
        { tools: "Tools are an object with a key for each tool, not a list. Write tools: { book: {} }." },
      ],
    ];
    for (const [input, hints] of cases) assert.deepEqual(hintsOf(input), hints, JSON.stringify(input));
  });

  it("are left out by definePolicy, which names the known keys and the command that has hints", () => {
    const thrown = (policy: unknown) => {
      try {
        definePolicy(policy as never);
      } catch (error) {
        if (MisuseError.isInstance(error)) return error.faults;
      }
      return assert.fail();
    };
    const hint = 'For a policy in a file, "tollgate check FILE" says what to write instead.';
    const [missing, unknown, ...others] = thrown({ version: 1, limits: [{ name: "a", per: ["session"], qouta: 5 }] });
    assert.deepEqual(
      [missing?.path, missing?.got, missing?.hint, others],
      ["limits[0].quota", "nothing", undefined, []],
    );
    assert.match(unknown?.expected ?? "", /^only name, .*quota/);
    assert.deepEqual(
      { ...unknown, expected: "" },
      { path: "limits[0].qouta", expected: "", got: "an unknown key", hint },
    );
    assert.match(thrown("tollgate.yaml")[0]?.hint ?? "", /^loadPolicy\(path\) of "tollgate\/policy" reads a file/);
  });

  it("take little time for any input", () => {
    const texts = [
      "a".repeat(99),
      "1 ".repeat(49),
      "1a".repeat(49),
      "9".repeat(99),
      `${"1,000".repeat(19)}x`,
      "_".repeat(99),
    ];
    const startedMs = performance.now();
    for (const text of texts) {
      for (const key of ["quota", "window", "ttl", "name", "per", "mode", "message", text])
        hintsOf(limitOf({ [key]: text }));
      hintsOf(limitOf({ algorithm: "fixed-window", quota: text, window: text }));
      hintsOf(toolOf({ cost: { [text]: text } }));
    }
    assert.ok(performance.now() - startedMs < 5_000);
  });

  it("do not throw where an object cannot be made a text", () => {
    const odd = { toString: {}, valueOf: {} };
    const keys =
      "algorithm quota quotas window per match ttl hold unit align lease burst mode of optional noticeAt message timezone count overrides max_usd action when scope limit".split(
        " ",
      );
    for (const key of keys) {
      for (const value of [odd, [odd]]) {
        for (const limit of [{ [key]: value }, { [key]: value, window: odd, algorithm: odd, unit: odd, quota: 2.5 }]) {
          assert.notDeepEqual(hintsOf(limitOf(limit)), {}, key);
        }
      }
    }
    const tool = { cost: { tokens: odd }, group: odd, ignoreArgs: odd, onError: odd, price: odd };
    assert.notDeepEqual(hintsOf(toolOf(tool)), {});
    assert.notDeepEqual(hintsOf(policyOf({ version: odd, partition: odd, maxHold: odd, tools: odd, limits: odd })), {});
    assert.notDeepEqual(
      hintsOf(limitOf({ quota: 5, overrides: [{ plan: odd, when: { plan: odd }, quota: odd }] })),
      {},
    );
  });

  it("are sentences, and never throw", () => {
    const value = fc.oneof(fc.anything(), fc.constantFrom("5k", "1 hour", "x", 2.5, -1, 60, true, null, {}, []));
    const key = fc.oneof(
      fc.constantFrom(
        "quota",
        "quotas",
        "window",
        "per",
        "when",
        "resetAfter",
        "algorithm",
        "hold",
        "overrides",
        "notice",
      ),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.dictionary(key, value), (limit) => {
        for (const hint of Object.values(hintsOf(limitOf(limit)))) assert.match(hint ?? "A.", /^[A-Z"].*[.?]$/s);
      }),
    );
  });
});
