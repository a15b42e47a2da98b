// docs/troubleshooting.md has a row for each text and code that the sources can say to a user. To add one: put it between
// backticks into the first column of a table there, with `…` where something is filled in; a code with its message into two.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { type Call, createLimiter, type PolicyInput } from "tollgate";
import type { SharedStore } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { EXIT } from "../src/cli/exit.ts";
import { MISUSE_CODES } from "../src/kernel/errors.ts";
import { networkLayers } from "../src/layers/network.ts";
import { STORE_ERROR_CODES } from "../src/store/error.ts";
import { messagesIn } from "./messages.ts";
import { ROOT, sources } from "./sources.ts";

/** What the page has in backticks in the first cell of each row; where that is a code with a message beside it, in two. */
function shownIn(page: string): string[] {
  let cells = 1;
  return page.split("\n").flatMap((line) => {
    if (!line.startsWith("|")) {
      cells = 1;
      return [];
    }
    const row = line.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
    if (row[1] === "code" && row[2] === "message") cells = 2;
    const told = row.slice(1, 1 + cells).join(" ");
    return [...told.matchAll(/``(.+?)``|`([^`]+)`/g)].map(([, double, single]) => double ?? single ?? "");
  });
}

/** So many characters of a long text say which one it is: the rest of it may be left out. */
const TELLING = 24;

/** Whether one of the shown texts says it: word for word, or as the beginning of a long one. */
function finder(shown: readonly string[]): (text: string) => boolean {
  const plain = (text: string) =>
    text
      .replace(/\s+/g, " ")
      .trim()
      .replace(/^expected /, "");
  const texts = new Set(shown.map(plain));
  const starts = [...texts].filter((text) => text.endsWith("…")).map((text) => text.slice(0, -1));
  return (text) => {
    const said = plain(text);
    return texts.has(said) || starts.some((start) => start.length >= TELLING && said.startsWith(start));
  };
}

const PAGE = readFileSync(`${ROOT}docs/troubleshooting.md`, "utf8");
const isShown = finder(shownIn(PAGE));

const KNOWN = [
  "the service was never reached", // a StoreError
  "other-tenant", // the code of a problem
  "The key is bound to other tenants.", // and its detail
  "The key may not do this", // and its title
  "a limiter from createLimiter", // an option
  "no resetAfter beside resetAfterIdle", // a contradiction in a policy
  "enforce, warn or shadow", // a word of the schema
  "charge or refund",
  "the policy file is wrong: nothing has changed", // a log line
  "policy …", // on stderr
  "the store has recovered", // the log line of an event
  "READONLY", // a server's word
  "the server's disk is full", // what it means
  "counters may be evicted, and count from zero again: set maxmemory-policy to noeviction", // a setup check
  "the tables are of another version: run migrate()", // what to do
  "a tools/call could not be judged: …", // a process warning
  "it keeps a connection that gives no answers: set socketTimeout to 5000", // a client's setting
  "Postgres…: no answer within … ms", // an error of a class of its own
  "cannot … …: …", // a command
  "Port … on … is already in use. Choose another with ….", // an address
  'No tool in "tools" is named ….', // a warning about a policy
  'This limit is not for the tool …: its "when" leaves it out.',
  "The … … and … differ by a typo.",
  "an entry's value, or *", // a mapping
  "is no dimension of the policy", // a type
];

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

describe("the page on troubleshooting", () => {
  it("has a row for every message in the sources", () => {
    const files = sources("src/**/*.ts").filter(({ path }) => !/^src\/testing\/(?!policy-test)/.test(path));
    const messages = messagesIn(files.map(({ path }) => path));
    // One of each kind, so that a change of the sources does not blind the test.
    for (const text of KNOWN)
      assert.ok(
        messages.some((message) => message.text === text),
        text,
      );
    const missing = messages.filter((message) => !isShown(message.text));
    const lines = [...new Set(missing.map(({ file, kind, text }) => `${file}: ${kind} ${JSON.stringify(text)}`))];
    assert.deepEqual(lines, [], "these have no row in docs/troubleshooting.md");
  });

  it("has a row for each code of an error, and each exit code", () => {
    for (const code of [...MISUSE_CODES, ...STORE_ERROR_CODES]) assert.ok(isShown(code), code);
    for (const code of Object.values(EXIT)) assert.match(PAGE, new RegExp(`^\\| ${code} `, "m"));
  });

  it("would miss a text or a code that is new", () => {
    for (const text of [
      "made-up",
      "a made-up fault of … things",
      "Redis: a made-up refusal",
      "a whole number from one",
    ]) {
      assert.equal(isShown(text), false, text);
    }
  });

  it("shows the beginning of every text of a denial", async () => {
    const texts = new Set<string>();
    const streak = { algorithm: "streak", of: "errors", quota: 1 } as const;
    const limits: readonly { readonly [key: string]: unknown }[] = [
      { quota: 1 },
      { quota: 0 },
      { quota: 1, unit: "tokens" },
      { algorithm: "token-bucket", window: "1m", quota: 1 },
      { algorithm: "elapsed", quota: "1ms" },
      streak,
      { ...streak, mode: "warn" },
      { quota: 9, onStoreError: "deny" },
    ];
    for (const limit of limits) {
      const policy = { version: 1, limits: [{ name: "a", per: ["session"], ...limit }] } as unknown as PolicyInput;
      const clock = fakeClock();
      const store = memoryStore({ clock });
      const away: SharedStore = {
        layers: networkLayers,
        apply: () => Promise.reject(new Error("away")),
        book: () => Promise.reject(new Error("away")),
        beat: () => Promise.reject(new Error("away")),
        close: async () => {},
      };
      const limiter = createLimiter({ policy, store: limit.onStoreError === undefined ? store : away });
      const call = { tool: "x", session: "s", cost: limit.unit === undefined ? {} : { tokens: 2 } } as Call;
      await limiter.reportOutcome(call, { error: true }).catch(() => {});
      for (let i = 0; i < 2; i++) {
        const { message, detail, notice, allowed } = await limiter.consume(call);
        for (const text of [message, detail, allowed && limit.algorithm === "streak" ? notice : null])
          if (text) texts.add(text);
        clock.advance(5);
      }
      await limiter.close({ withinMs: 0 });
    }
    const shown = shownIn(PAGE.slice(PAGE.indexOf("## What the model reads"), PAGE.indexOf("## Commands")));
    const patterns = shown.map((text) => new RegExp(`^${text.split("…").map(escaped).join(".+")}$`, "s"));
    for (const text of texts)
      assert.ok(
        patterns.some((pattern) => pattern.test(text)),
        text,
      );
    for (const [i, pattern] of patterns.entries())
      assert.ok(
        [...texts].some((text) => pattern.test(text)),
        shown[i],
      );
  });

  it("is complete in each store's own page", () => {
    /** Of the column in another table, which reads the same errors. */
    const ELSEWHERE: Readonly<Record<string, string>> = { postgres: "unknown-partition" };
    for (const store of ["counter", "document", "memory", "postgres", "redis", "sqlite"]) {
      const texts = sources(`src/stores/{${store}.ts,${store}/**/*.ts}`).map(({ text }) => text);
      const codes = STORE_ERROR_CODES.filter((code) => texts.some((text) => text.includes(`"${code}"`)));
      const page = readFileSync(`${ROOT}docs/stores/${store}.md`, "utf8");
      for (const code of codes) {
        if (ELSEWHERE[store] !== code) assert.ok(page.includes(`\`${code}\``), `docs/stores/${store}.md: ${code}`);
      }
    }
  });
});
