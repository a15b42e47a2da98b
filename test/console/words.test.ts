// What the console says, and its addresses.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hrefOf, parseAddress } from "../../console/address.ts";
import type { DecisionEntry, LoggedVerdict } from "../../console/answers.ts";
import { filterKeyOf, queryOf } from "../../console/filters.ts";
import { agoOf, opensText, percent, perSecond, tightest, usedOf, verdictText } from "../../console/format.ts";
import { eventText, outcomeOf } from "../../console/words.ts";

const VERDICT: LoggedVerdict = {
  limit: "tool-per-turn",
  unit: "calls",
  mode: "enforce",
  allowed: false,
  exceeded: true,
  cost: 1,
  quota: 3,
  capacity: 3,
  granted: 0,
  remainingBefore: 0,
  remaining: 0,
  windowMs: null,
  resetAfterMs: 3_600_000,
  retryAfterMs: null,
  per: ["session", "turn", "tool"],
};
const MONEY: LoggedVerdict = {
  ...VERDICT,
  limit: "money",
  unit: "usd_micros",
  allowed: true,
  exceeded: false,
  capacity: 5_000_000,
  remaining: 1_900_000,
};
const ENTRY: DecisionEntry = {
  kind: "decision",
  id: "1",
  atMs: 0,
  instance: "i",
  policy: "p",
  verb: "consume",
  tool: "search",
  dimensions: { session: "s1" },
  argsHash: null,
  allowed: false,
  deniedBy: "tool-per-turn",
  retryAfterMs: null,
  detail: null,
  verdicts: [MONEY, VERDICT],
  degraded: null,
  replayed: false,
  via: "http",
  durationMs: 0.4,
  weight: 1,
};
const EVENT = { kind: "event", id: "2", atMs: 0, instance: "i", policy: "p", limit: null, dimensions: {} } as const;

describe("an address", () => {
  it("has the page and its filters, and comes back as it was", () => {
    const address = { page: "decisions", params: { session: "a b&c=d", outcome: "denied" } } as const;
    assert.deepEqual(parseAddress(hrefOf(address.page, address.params)), address);
    assert.equal(hrefOf("decisions", { tool: "", limit: undefined }), "#/decisions");
  });

  it("that is unknown is the first page", () => {
    for (const hash of ["", "#", "#/", "#/nothing?a=b"]) assert.equal(parseAddress(hash).page, "overview");
    assert.deepEqual(parseAddress("#/decisions?a").params, { a: "" });
  });
});

describe("filters", () => {
  it("are what the service is asked", () => {
    const query = queryOf({ outcome: "denied", last: "1h", session: "s1", live: "off", id: "x" }, 5_000_000);
    assert.deepEqual(JSON.parse(JSON.stringify(query)), {
      session: "s1",
      allowed: false,
      kind: "decision",
      fromMs: 1_400_000,
    });
    assert.deepEqual(JSON.parse(JSON.stringify(queryOf({ outcome: "events" }, 0))), { kind: "event" });
  });

  it("alone say what the list is of", () => {
    assert.equal(filterKeyOf({ session: "s1", id: "x", live: "off" }), filterKeyOf({ session: "s1" }));
    assert.notEqual(filterKeyOf({ session: "s1" }), filterKeyOf({ user: "s1" }));
  });
});

describe("figures", () => {
  it("are what a bucket has, money as money", () => {
    assert.equal(usedOf(3_100_000, 5_000_000, "usd_micros"), "$3.10 of $5.00");
    assert.equal(usedOf(3, 20, "calls"), "3 of 20 calls");
    assert.equal(usedOf(12, null, "calls"), "12 calls, unlimited");
    assert.equal(verdictText(MONEY), "$3.10 of $5.00");
  });

  it("of a call are those of the limit that denied it, else of the fullest", () => {
    assert.equal(tightest(ENTRY)?.limit, "tool-per-turn");
    assert.equal(tightest({ ...ENTRY, allowed: true, deniedBy: null, verdicts: [MONEY] })?.limit, "money");
    assert.equal(tightest({ ...ENTRY, allowed: true, deniedBy: null, verdicts: [] }), undefined);
    assert.equal(opensText(ENTRY), "not by waiting");
    assert.equal(opensText({ ...ENTRY, retryAfterMs: 90_000 }), "open after 1 min 30 s");
  });

  it("are short", () => {
    assert.deepEqual([percent(1, 3), percent(1, 300), percent(0, 9), percent(0, 0)], ["33 %", "0.3 %", "0 %", "0 %"]);
    assert.deepEqual([perSecond(0, 60), perSecond(3, 60), perSecond(90, 60)], ["0", "0.05", "1.5"]);
    assert.equal(perSecond(1_234_567, 1), "1,234,567");
    assert.deepEqual([agoOf(0, 500), agoOf(0, 61_500)], ["just now", "1 min 1 s ago"]);
  });
});

describe("words", () => {
  it("say what came of a call", () => {
    assert.deepEqual(outcomeOf(ENTRY), { kind: "denied", text: "denied" });
    assert.equal(outcomeOf({ ...ENTRY, allowed: true }).text, "allowed, over a limit");
    assert.equal(outcomeOf({ ...ENTRY, allowed: true, verdicts: [MONEY] }).text, "allowed");
  });

  it("say what happened, with the actor and the reason", () => {
    const granted = {
      ...EVENT,
      type: "bucket.granted",
      data: { grant: { id: "g", units: 2, durationMs: 3_600_000 } },
      actor: "key:k1",
      reason: "demo",
    };
    assert.equal(eventText(granted), '+2 for 1 h; by key:k1: "demo"');
    assert.equal(eventText({ ...granted, actor: "anonymous" }), '+2 for 1 h; by someone without a key: "demo"');
    assert.equal(eventText({ ...granted, actor: "anonymous for ann" }), '+2 for 1 h; by ann: "demo"');
    const money = { grant: { id: "g", units: 200_000, durationMs: 60_000 }, after: { unit: "usd_micros" } };
    assert.equal(eventText({ ...granted, data: money, actor: null, reason: null }), "+$0.20 for 1 min");
    assert.deepEqual(outcomeOf(granted), { kind: "changed", text: "granted" });
    const refused = {
      ...EVENT,
      type: "policy.refused",
      data: { error: { code: "invalid-policy", message: "p.yaml:3: no\nmore" } },
    };
    assert.equal(eventText({ ...refused, actor: null, reason: null }), "p.yaml:3: no");
    const unknown = { ...EVENT, type: "hold.lost", data: {}, actor: null, reason: null };
    assert.deepEqual([outcomeOf(unknown).text, eventText(unknown)], ["hold.lost", ""]);
  });
});
