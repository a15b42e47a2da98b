// Which calls a limit is for, and which quota they get: `when`, overrides and quotas by any dimension.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Call, createLimiter, type LimitInput, type PolicyInput } from "tollgate";
import { memoryStore } from "tollgate/stores/memory";
import { isMisuse } from "./fixture.ts";

function limiterFor(...limits: LimitInput[]) {
  return createLimiter({ policy: { version: 1, limits }, store: memoryStore() });
}

const CALL = { tool: "search", session: "s1" };

describe("when", () => {
  it("chooses calls by any dimension, and by all that it names", async () => {
    const limiter = limiterFor(
      { name: "trial", per: ["session"], when: { plan: "trial" }, quota: 9 },
      { name: "trial-deletes", per: ["session"], when: { plan: "trial", tool: "delete_*" }, quota: 9 },
      { name: "paid", per: ["session"], when: { plan: ["*", "!trial"] }, quota: 9 },
      { name: "not-trial", per: ["session"], when: { plan: "!trial" }, quota: 9 },
      { name: "without-plan", per: ["session"], when: { plan: "!*" }, quota: 9 },
      { name: "big", per: ["session"], when: { seats: [5, "1*"] }, quota: 9 },
    );
    const namesFor = async (more: object) => {
      const { verdicts } = await limiter.consume({ ...CALL, ...more });
      return verdicts.map(({ limit }) => limit);
    };
    // Each twice: what was resolved is kept.
    for (const _ of [1, 2]) {
      assert.deepEqual(await namesFor({ plan: "trial" }), ["trial"]);
      assert.deepEqual(await namesFor({ plan: "trial", tool: "delete_x" }), ["trial", "trial-deletes"]);
      assert.deepEqual(await namesFor({ plan: "pro", seats: "5" }), ["paid", "not-trial", "big"]);
      assert.deepEqual(await namesFor({ seats: 12 }), ["not-trial", "without-plan", "big"]);
      assert.deepEqual(await namesFor({ seats: 6 }), ["not-trial", "without-plan"]);
    }
  });

  it("chooses by the tool's group", async () => {
    const limiter = createLimiter({
      policy: {
        version: 1,
        tools: { "write_*": { group: "write" }, read: { group: "read" } },
        limits: [
          { name: "writes", per: ["session"], when: { group: "write" }, quota: 2 },
          { name: "others", per: ["session"], when: { group: "!write" }, quota: 2 },
        ],
      },
      store: memoryStore(),
    });
    const nameFor = async (tool: string) => (await limiter.consume({ ...CALL, tool })).verdicts[0]?.limit;
    assert.deepEqual(
      [await nameFor("write_file"), await nameFor("write_row"), await nameFor("read"), await nameFor("x")],
      ["writes", "writes", "others", "others"],
    );
    const { message } = await limiter.consume({ ...CALL, tool: "write_file" });
    assert.match(message ?? "", /tools like this one/);
  });

  it("does not require a dimension that only it uses", async () => {
    const limiter = limiterFor({ name: "trial", per: ["tenant"], when: { plan: "trial" }, quota: 9 });
    assert.deepEqual((await limiter.consume(CALL)).verdicts, []);
    await assert.rejects(limiter.consume({ ...CALL, plan: "trial" }), isMisuse("missing-dimension", "tenant"));
  });

  it("refuses values that no dimension has", async () => {
    const limiter = limiterFor({ name: "trial", per: ["session"], when: { plan: "!trial" }, quota: 9 });
    for (const plan of ["", true, {}, 1.5]) {
      const call = { ...CALL, plan } as unknown as Call;
      await assert.rejects(limiter.consume(call), isMisuse("invalid-dimension", "plan"));
    }
  });

  it("leaves limits for other calls out of usage, and lists limits that may apply", async () => {
    const limiter = limiterFor(
      { name: "trial", per: ["session"], when: { plan: "trial" }, quota: 9 },
      { name: "deletes", per: ["session"], when: { tool: "delete_*" }, quota: 9 },
    );
    const listed = async (more: object) => (await limiter.usage({ session: "s1", ...more })).map(({ limit }) => limit);
    assert.deepEqual(await listed({}), ["trial", "deletes"]);
    assert.deepEqual(await listed({ plan: "pro" }), ["deletes"]);
    assert.deepEqual(await listed({ plan: "trial", tool: "search" }), ["trial"]);
    const other = limiter.reset({ limit: "trial", session: "s1", plan: "pro" });
    await assert.rejects(other, /expected a limit that applies to plan "pro"/);
  });
});

describe("quotas by dimension, and overrides", () => {
  const limit: LimitInput = {
    name: "calls",
    per: ["session"],
    quota: 1,
    quotas: { plan: { pro: 10, 7: 70 }, group: { write: 20 }, tool: { search: 30 } },
    overrides: [
      { when: { plan: "pro", tool: "export_*" }, quota: 40 },
      { when: { user: ["vip1", "vip2"] }, quota: 50 },
      { when: { user: "vip2" }, quota: 60 },
    ],
  };
  const policy: PolicyInput = { version: 1, tools: { "write_*": { group: "write" } }, limits: [limit] };

  it("are tried in order: overrides, then the first dimension that has an entry, then the quota", async () => {
    const limiter = createLimiter({ policy, store: memoryStore() });
    const cases: [more: object, quota: number][] = [
      [{ tool: "x" }, 1],
      [{ tool: "search" }, 30],
      [{ tool: "write_x" }, 20],
      [{ tool: "search", plan: "pro" }, 10],
      [{ tool: "search", plan: 7 }, 70],
      [{ tool: "search", plan: "free" }, 30],
      [{ tool: "export_x", plan: "pro", user: "vip1" }, 40],
      [{ tool: "export_x", plan: "free", user: "vip2" }, 50],
    ];
    for (const _ of [1, 2]) {
      for (const [more, quota] of cases) {
        const { verdicts } = await limiter.consume({ ...CALL, ...more, cost: { calls: 0 } });
        assert.deepEqual(verdicts, []);
        const peeked = await limiter.peek({ ...CALL, ...more });
        assert.equal(peeked.verdicts[0]?.quota, quota, JSON.stringify(more));
        const [usage] = await limiter.usage({ session: "s1", ...more });
        assert.equal(usage?.quota, quota, JSON.stringify(more));
      }
    }
  });
});

describe("the charges of a call", () => {
  const value = fc.constantFrom("a", "b", "ab", 1);
  const pattern = fc.constantFrom("a", "b", "1", "a*", "*b", "*", "!a", "!*b", 1);
  const when = fc.dictionary(
    fc.constantFrom("tool", "user", "plan", "group"),
    fc.oneof(pattern, fc.array(pattern, { minLength: 1, maxLength: 3 })),
    { maxKeys: 3, noNullPrototype: true },
  );
  const limits = fc.array(fc.record({ when, overrides: fc.array(when, { maxLength: 4 }) }), {
    minLength: 1,
    maxLength: 4,
  });
  const call = fc
    .record({ tool: value, user: fc.option(value), plan: fc.option(value) })
    .map((said): Call => ({ ...said, session: "s1" }) as Call);

  /** The rule, as the page on policies has it. */
  function isFor(patterns: Readonly<Record<string, unknown>>, said: Readonly<Record<string, unknown>>): boolean {
    return Object.entries(patterns).every(([dimension, given]) => {
      const all = [given].flat().map(String);
      const [plain, not] = [all.filter((each) => !each.startsWith("!")), all.filter((each) => each.startsWith("!"))];
      const value = said[dimension] ?? null;
      if (value === null) return plain.length === 0;
      const fits = (each: string) => new RegExp(`^${each.replaceAll("*", ".*")}$`, "s").test(String(value));
      return (plain.length === 0 || plain.some(fits)) && !not.some((each) => fits(each.slice(1)));
    });
  }

  it("follow the rule, the first time and from the cache", async () => {
    const groups: Readonly<Record<string, string>> = { a: "b", ab: "a" };
    let found = 0;
    await fc.assert(
      fc.asyncProperty(limits, fc.array(call, { minLength: 1, maxLength: 8 }), async (given, calls) => {
        const policy: PolicyInput = {
          version: 1,
          tools: { a: { group: "b" }, "*b": { group: "a" }, b: {} },
          limits: [
            ...given.map(({ when, overrides }, n) => ({
              name: `l${n}`,
              per: ["session"],
              when,
              quota: 1_000,
              overrides: overrides.map((each, i) => ({ when: each, quota: 1_001 + i })),
            })),
            // So that calls may always say a plan.
            { name: "never", per: [], when: { plan: "other" }, quota: 0 },
          ],
        };
        const limiter = createLimiter({ policy, store: memoryStore() });
        for (const each of [...calls, ...calls]) {
          const said = { ...each, group: groups[String(each.tool)] } as Readonly<Record<string, unknown>>;
          const expected = given.flatMap(({ when, overrides }, n) => {
            if (!isFor(when, said)) return [];
            const place = overrides.findIndex((override) => isFor(override, said));
            return [[`l${n}`, place === -1 ? 1_000 : 1_001 + place]];
          });
          const { verdicts } = await limiter.consume(each);
          assert.deepEqual(
            verdicts.map(({ limit, quota }) => [limit, quota]),
            expected,
          );
          found += expected.length;
        }
      }),
      { numRuns: 500, seed: 19 },
    );
    assert.ok(found > 2_000, String(found));
  });
});
