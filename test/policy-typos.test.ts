// A typo in any name of a policy is found, and nothing is found where there is none.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { LimitInput, PolicyInput } from "tollgate";
import { hintedFaults } from "../src/kernel/policy/fault-hints.ts";
import { readPolicy } from "../src/kernel/policy/parse.ts";
import { policyWarnings } from "../src/policy-warnings/warnings.ts";

/** Words that one edit makes of a dimension, and that may be meant. */
const OTHER_WORDS = /"(arms|tiger|tire|usher)"/;

describe("a typo", () => {
  const WORDS = ["search", "flight", "weather", "invoice", "payment", "customer"];
  const GROUPS = ["reading", "writing", "spending"];
  const word = (words: readonly string[], most: number) => fc.subarray([...words], { minLength: 1, maxLength: most });

  /** Policies in which each name of a tool, a group, a unit and a dimension of its own is used at least twice. */
  const consistent = fc
    .record({ names: word(WORDS, 6), quota: fc.nat(100), window: fc.constantFrom("1m", "1h") })
    .map(({ names, quota, window }): PolicyInput => {
      const tools = Object.fromEntries(
        names.map((name, i) => [
          name,
          { cost: { tokens: i }, ...(i < GROUPS.length ? { group: GROUPS[i] as string } : {}) },
        ]),
      );
      const quotas = Object.fromEntries(names.map((name, i) => [name, i]));
      const groups = Object.fromEntries(GROUPS.slice(0, names.length).map((group, i) => [group, i]));
      const [first = ""] = names;
      const limits: LimitInput[] = [
        { name: "tool-per-session", per: ["session", "tool"], quota, quotas: { tool: quotas } },
        {
          name: "group-per-turn",
          per: ["session", "turn", "group"],
          quotas: { group: groups },
          quota: "unlimited",
        },
        {
          name: "model-tokens",
          per: ["tenant"],
          unit: "tokens",
          quota: 500,
          algorithm: "token-bucket",
          window,
          burst: 5,
        },
        {
          name: "only-some",
          per: ["workspace"],
          when: { tool: names },
          quota,
          mode: "shadow",
          algorithm: "fixed-window",
          window,
        },
        { name: "overridden", per: ["user"], quota, overrides: [{ when: { workspace: "w1", tool: first }, quota: 7 }] },
        { name: "loops", per: ["session", "args"], algorithm: "streak", of: "errors", quota: 3, mode: "warn" },
      ];
      return { version: 1, tools, limits };
    });

  /** Paths of all names: keys, and values that are names. */
  function namesIn(value: unknown, path: readonly (string | number)[] = []): (readonly (string | number)[])[] {
    if (typeof value === "string") {
      // What a limit is called, and the values of a dimension, can be anything.
      return /^(name|window|workspace)$/.test(String(path.at(-1))) ? [] : [path];
    }
    if (typeof value !== "object" || value === null) return [];
    return Object.entries(value).flatMap(([key, inner]) => [
      ...(Array.isArray(value) ? [] : [[...path, `key:${key}`]]),
      ...namesIn(inner, [...path, Array.isArray(value) ? Number(key) : key]),
    ]);
  }

  /** The policy with another name at a path. */
  function renamed(input: unknown, path: readonly (string | number)[], edit: (name: string) => string): unknown {
    const [key, ...rest] = path;
    if (key === undefined) return edit(String(input));
    if (Array.isArray(input)) return input.map((inner, i) => (i === key ? renamed(inner, rest, edit) : inner));
    const own = String(key).replace(/^key:/, "");
    return Object.fromEntries(
      Object.entries(input as object).map(([name, inner]) =>
        name !== own ? [name, inner] : own === key ? [name, renamed(inner, rest, edit)] : [edit(name), inner],
      ),
    );
  }

  const isFound = (input: unknown) => {
    const result = readPolicy(input, hintedFaults);
    return "faults" in result || policyWarnings(input as PolicyInput).length > 0;
  };

  it("is not found in correct policies", () => {
    fc.assert(fc.property(consistent, (input) => assert.deepEqual(policyWarnings(input), [])));
  });

  it("is found in any name, by a warning or an error", () => {
    const letter = fc.constantFrom(..."bcfghjkmqvwxz");
    const edit = fc.constantFrom("insert", "delete", "replace", "swap");
    fc.assert(
      fc.property(consistent, fc.nat(), fc.nat(), letter, edit, (input, pick, at, inserted, kind) => {
        const paths = namesIn(input);
        const path = paths[pick % paths.length] ?? [];
        const wrong = renamed(input, path, (name) => {
          const place = 1 + (at % Math.max(1, name.length - 2));
          const [before, own, next, after] = [
            name.slice(0, place),
            name[place] ?? "",
            name[place + 1] ?? "",
            name.slice(place + 2),
          ];
          if (kind === "insert") return before + inserted + own + next + after;
          if (kind === "delete") return before + next + after;
          return kind === "replace" ? before + inserted + next + after : before + next + own + after;
        });
        const text = JSON.stringify(wrong);
        fc.pre(text !== JSON.stringify(input) && !OTHER_WORDS.test(text));
        assert.equal(isFound(wrong), true, `${path.join(".")} in ${text}`);
      }),
      { numRuns: 500 },
    );
  });
});
