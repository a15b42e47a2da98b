// The commands that read a decision log, as a user sees them.

import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { memoryLog } from "tollgate/log";
import { sqliteLog } from "tollgate/log/sqlite";
import { sqliteStore } from "tollgate/stores/sqlite";
import { logPart } from "../../src/service-log/log.ts";
import { keysOf, served } from "../service/served.ts";
import { temporaryFolder } from "../temporary.ts";
import { batchOf, eventOf } from "../log/batches.ts";
import { endOf } from "../../src/cli/instant.ts";
import { start, tollgate, until } from "./tollgate.ts";

const POLICY = `
version: 1
limits:
  - { name: tool-per-turn, per: [session, turn, tool], onMissing: skip, quota: 3 }
  - { name: money, per: [user], onMissing: skip, unit: usd_micros, quota: $5.00 }
`;
const TIME = /\d\d:\d\d:\d\d/g;

const folder = temporaryFolder();
const log = memoryLog({ flushMs: 10 });
const { url, post } = await served({ policy: POLICY, log, parts: [logPart(log)] });
const call = (more: object) => post("/v1/consume", { call: { tool: "search", session: "s1", turn: "t1", ...more } });
for (let i = 0; i < 4; i++) await call({});
await call({ tool: "book", session: "s2", user: "u1", cost: { usd_micros: 4_500_000 } });
await log.flush();

const run = async (...args: string[]) => {
  const { status, stdout, stderr } = await tollgate([...args, "--url", url], folder);
  assert.deepEqual([status, stderr], [0, ""], args.join(" "));
  return stdout;
};
/** A table without the lengths of its columns. */
const words = (text: string) =>
  text
    .trim()
    .split("\n")
    .map((line) => line.trim().replace(/ {2,}/g, " | "));

describe("tail", () => {
  it("shows the last entries, the newest last", async () => {
    const lines = words((await run("tail", "--no-follow")).replace(TIME, "T").replace(/\b01\w{24}\b/g, "ID"));
    assert.equal(lines[0], "T | log.started | ID");
    assert.equal(lines[1], "T | allowed | search | session=s1 turn=t1 | tool-per-turn 1 of 3 calls | ID");
    assert.equal(
      lines[4],
      "T | denied | search | session=s1 turn=t1 | tool-per-turn 3 of 3 calls; not by waiting | ID",
    );
    assert.match(lines[5] ?? "", /book \| .*user=u1.* \| money \$4\.50 of \$5\.00 \| ID$/);
  });

  it("filters, and prints JSON", async () => {
    const lines = (await run("tail", "--no-follow", "--denied", "--json")).trim().split("\n");
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).allowed),
      [false],
    );
    assert.equal(await run("tail", "--no-follow", "--lines", "0"), "");
    assert.equal((await run("tail", "--no-follow", "--session", "s2")).trim().split("\n").length, 1);
    assert.ok((await run("tail", "--no-follow", "--since", "1h")).trim().split("\n").length >= 6);
  });

  it("goes on with what comes", async () => {
    const { child, ran } = start(["tail", "--lines", "0", "--json", "--url", url], folder);
    let output = "";
    child.stdout?.on("data", (text) => {
      output += text;
    });
    let calls = 0;
    await until(() => {
      void call({ session: "s3", turn: `t${calls++}` });
      return output.includes('"session":"s3"');
    });
    child.kill("SIGTERM");
    await ran;
  });
});

describe("explain", () => {
  it("says why the last call of a session was denied", async () => {
    const lines = (await run("explain", "--session", "s1", "--last")).replace(TIME, "T").trim().split("\n");
    assert.match(
      lines[0] ?? "",
      /^Denied: a call of search by session s1, turn t1, at T \(01\w{24}, policy \w{8}\)\.(?: The decision took \d+ ms\.)?$/,
    );
    assert.deepEqual(lines.slice(1), [
      "Rule:   tool-per-turn allows 3 calls per session, turn and tool.",
      "Stood:  3 of 3 calls were used, and this call needed 1. Of this session, the calls at T, T and T used it.",
      ...lines.slice(3, 4),
      "Helps:  Grant 1 call to this bucket:",
      `          tollgate grant --limit tool-per-turn --session s1 --turn t1 --tool search --units 1 --duration 1h --url ${url}`,
      "        With a quota of 4 calls instead of 3, tool-per-turn would have allowed it.",
    ]);
    assert.match(
      lines[3] ?? "",
      /^Opens: {2}Not by waiting\. The next turn starts from zero\. This bucket is empty again at /,
    );
  });

  it("has a command that helps: then the call passes", async () => {
    const { helps } = JSON.parse(await run("explain", "--last", "--json"));
    const [command = ""] = helps.flatMap((each: { command: string | null }) => each.command ?? []);
    assert.ok(command.endsWith(` --url ${url}`), command);
    const { status, stderr } = await tollgate(command.split(" ").slice(1), folder);
    assert.equal(status, 0, stderr);
    assert.equal((await call({})).json.allowed, true);
  });

  it("has a command that grants money, and a bare number is none", async () => {
    const denied = await call({ session: "s4", turn: "t1", user: "u2", cost: { usd_micros: 5_050_000 } });
    const { helps } = JSON.parse(await run("explain", denied.json.id, "--json"));
    assert.deepEqual(
      helps.map((each: { command: string | null }) => each.command),
      [`tollgate grant --limit money --user u2 --units '$0.05' --duration 1h --url ${url}`, null],
    );
    const grant = ["grant", "--limit", "money", "--user", "u2", "--duration", "1h", "--url", url, "--units"];
    assert.match(
      (await tollgate([...grant, "50000"], folder)).stderr,
      /--units: expected an amount of money such as \$1/,
    );
    assert.match((await tollgate([...grant, "$0.05"], folder)).stdout, / \+\$0\.05 for 1 h /);
    assert.equal(
      (await call({ session: "s4", turn: "t1", user: "u2", cost: { usd_micros: 5_050_000 } })).json.allowed,
      true,
    );
  });

  it("says what was left of an allowed call", async () => {
    const text = await run("explain", "--user", "u1");
    assert.match(text, /^Allowed: a call of book /);
    assert.match(text, /\nLimits: tool-per-turn: 0 of 3 calls were used before, and the call took 1\.\n {8}money: /);
  });

  it("says why the last call until a time was denied", async () => {
    const at = new Date(Date.now() + 60_000).toISOString().slice(0, 19);
    assert.match(await run("explain", "--session", "s1", "--at", `${at}Z`), /^Denied: a call of search by session s1/);
    const none = await tollgate(["explain", "--last", "--at", "2020-01-01T12:00", "--url", url], folder);
    assert.match(none.stderr, /The log has no call until 2020-01-01T12:00\. /);
    const wrong = await tollgate(["explain", "--at", "noon", "--url", url], folder);
    assert.match(wrong.stderr, /--at: expected a time such as 20:05, 20:05:30 or 2026-11-30T20:05, got "noon"/);
  });

  it("says what to do where there is no such call", async () => {
    const refused = async (...args: string[]) => {
      const { status, stderr } = await tollgate(["explain", ...args, "--url", url], folder);
      assert.equal(status, 2);
      return stderr;
    };
    assert.match(await refused("01NONE"), /The log has no decision with the id 01NONE\. `tollgate tail` shows ids/);
    assert.match(
      await refused("--session", "none"),
      /The log has no call of the session none\. `tollgate sessions` lists/,
    );
    assert.match(
      await refused(),
      /id: expected the id of a decision, or --session, --user, --last or --at, got nothing/,
    );
  });
});

describe("a change of a store", () => {
  const own = temporaryFolder();
  writeFileSync(join(own, "tollgate.yaml"), POLICY);
  const grant = ["grant", "--limit", "money", "--user", "u1", "--units", "$1", "--duration", "1h"];
  const types = async () => {
    const { stdout } = await tollgate(["tail", "--no-follow", "--json"], own);
    return stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line))
      .map(({ type, actor }) => [type, actor?.slice(0, 4)]);
  };

  it("is written to the log of the folder, where there is one", async () => {
    await sqliteStore(join(own, "tollgate.db")).close();
    assert.equal((await tollgate(grant, own)).status, 0);
    assert.equal(existsSync(join(own, "tollgate-log.db")), false, "no log is made for it");
    await sqliteLog(join(own, "tollgate-log.db")).storage.salt();
    assert.equal((await tollgate(grant, own)).status, 0);
    assert.equal((await tollgate([...grant, "--log", "none"], own)).status, 0);
    assert.deepEqual(await types(), [
      ["log.started", undefined],
      ["bucket.granted", "cli:"],
    ]);
  });
});

describe("doctor", () => {
  it("says how the log of the folder is: its size, its newest entry, and what was lost", async () => {
    const own = temporaryFolder();
    await sqliteStore(join(own, "tollgate.db")).close();
    const checks = async (...args: string[]) => {
      const { status, stdout } = await tollgate(["doctor", ...args], own);
      const lines = words(stdout).slice(3);
      return [status, ...lines.map((line) => line.replace(/[\d.]+ MB/, "N MB"))];
    };
    assert.deepEqual(await checks(), [0, "file | opens, and is Tollgate's", "log | none"]);
    const log = sqliteLog(join(own, "tollgate-log.db"));
    await log.storage.write(
      batchOf({ entries: [{ ...eventOf(1, "log.dropped"), atMs: Date.now(), data: { entries: 3 } }] }),
    );
    await log.storage.close();
    const [status, , name, size, newest, lost] = await checks();
    assert.deepEqual([status, name, size], [1, "log | sqlite:tollgate-log.db", "log size | N MB"]);
    assert.match(String(newest), /^newest entry \| \d\d:\d\d:\d\d, .* ago$/);
    assert.match(
      String(lost),
      /^entries lost \| 3 entries in 24 hours; PROBLEM: more was decided than could be written: /,
    );
    writeFileSync(join(own, "other.db"), "not a database");
    assert.match(String((await checks("--log", "sqlite:other.db"))[2]), /^log \| sqlite:other\.db; PROBLEM: /);
  });
});

describe("tables", () => {
  it("show what makes most calls", async () => {
    const lines = words(await run("top", "--by", "user"));
    assert.deepEqual(lines, ["user | calls | denied | share denied", "u2 | 2 | 1 | 50 %", "u1 | 1 | 0 | 0 %"]);
    assert.equal(
      (await run("top", "--by", "user", "--csv")).trim(),
      "user,calls,denied,share denied\nu2,2,1,0.5\nu1,1,0,0",
    );
    const [first] = JSON.parse(await run("top", "--json"));
    assert.deepEqual([first.value, first.error], ["search", 0]);
  });

  it("show what spends most of a unit", async () => {
    const lines = words(await run("top", "--by", "user", "--unit", "usd"));
    assert.deepEqual(lines, [
      "user | spent | calls | denied | share denied",
      "u2 | $5.05 | 2 | 1 | 50 %",
      "u1 | $4.50 | 1 | 0 | 0 %",
    ]);
    const csv = await run("top", "--by", "session", "--unit", "usd_micros", "--csv");
    assert.equal(csv, "session,usd_micros,calls,denied,share denied\ns4,5050000,2,1,0.5\ns2,4500000,1,0,0\n");
    const [first] = JSON.parse(await run("top", "--by", "limit", "--unit", "usd", "--json"));
    assert.deepEqual([first.value, first.units], ["money", 9_550_000]);
  });

  it("say why they are empty", async () => {
    assert.equal(await run("top", "--by", "tenant"), "No call of the last hour names a tenant.\n");
    const tokens = "In the last 15 minutes, no limit that counts tokens judged a call.\n";
    assert.equal(await run("top", "--unit", "tokens", "--last", "15m"), tokens);
    const own = memoryLog({ flushMs: 10 });
    const idle = await served({ policy: POLICY, log: own, parts: [logPart(own)] });
    const { stdout } = await tollgate(["top", "--last", "7d", "--url", idle.url], folder);
    assert.equal(stdout, "No calls in the last week.\n");
  });

  it("show what is nearly full", async () => {
    const lines = words(await run("near"));
    assert.deepEqual(lines.slice(0, 2), [
      "Buckets that are filled to 80 % or more, the fullest first:",
      "limit | whose | used | full | whole again in",
    ]);
    assert.ok(
      lines.some((line) => /^money \| user=u1 \| \$4\.50 of \$5\.00 \| 90 % \| /.test(line)),
      lines.join("\n"),
    );
    assert.match(await run("near", "--csv"), /^limit,whose,used,capacity,unit,whole_again_ms\n/);
  });

  it("show sessions", async () => {
    const lines = words((await run("sessions", "--prefix", "s2")).replace(TIME, "T"));
    assert.deepEqual(lines, [
      "session | tenant | user | first call | last call | calls | denied | last denied by",
      "s2 | - | u1 | T | T | 1 | 0 | -",
    ]);
    assert.equal(await run("sessions", "--prefix", "x"), "No session begins with x.\n");
  });
});

describe("a time", () => {
  const nowMs = new Date(2026, 10, 30, 20, 10, 15).getTime();
  const until = (text: string) => new Date(endOf("--at", text, nowMs)).toString().slice(8, 24);
  it("ends with the minute or second that it names, and was the last of its kind", () => {
    assert.equal(until("20:05"), "30 2026 20:06:00");
    assert.equal(until("20:10"), "30 2026 20:11:00");
    assert.equal(until("20:10:15"), "30 2026 20:10:16");
    assert.equal(until("21:00"), "29 2026 21:01:00");
    assert.equal(until("2026-11-28 09:30"), "28 2026 09:31:00");
    assert.equal(endOf("--at", "2026-11-28T09:30:00Z", nowMs), Date.UTC(2026, 10, 28, 9, 30, 1));
  });
});

describe("options", () => {
  const wrong: readonly [args: string[], text: RegExp][] = [
    [["top", "--by", "color"], /Allowed choices are session, user, tool, tenant, limit/],
    [["top", "--last", "soon"], /--last: expected a duration such as 15m, 1h or 7d, got "soon"/],
    [["top", "--json", "--csv"], /--json and --csv: expected one of them, got "both"/],
    [
      ["near", "--over", "0.5"],
      /--over: expected a number from 0\.8 to 1, because the log keeps only buckets that are filled .*, got "0\.5"/,
    ],
    [["tail", "--lines", "501"], /--lines: expected a whole number from 0 to 500, got 501/],
    [["tail", "--denied", "--allowed"], /'--denied' cannot be used with option '--allowed'/],
  ];
  for (const [args, text] of wrong) {
    it(`are refused: ${args.join(" ")}`, async () => {
      const { status, stderr } = await tollgate([...args, "--url", url], folder);
      assert.equal(status, 2);
      assert.match(stderr, text);
    });
  }

  it("name a log that is there", async () => {
    const { status, stderr } = await tollgate(["top"], folder);
    assert.equal(status, 2);
    assert.match(
      stderr,
      /--log: expected a decision log that exists: .* got "sqlite:tollgate-log\.db", and there is no /,
    );
    const other = await tollgate(["top", "--log", "mysql://a"], folder);
    assert.match(other.stderr, /--log: expected sqlite:PATH, postgres:.*, got "mysql:\/\/a"/);
    const tenant = await tollgate(["top", "--as-tenant", "acme"], folder);
    assert.match(tenant.stderr, /--as-tenant: expected --url beside it: a service knows tenants, got "acme"/);
  });

  it("name a service that answers, and has a log", async () => {
    const gone = await tollgate(["top", "--url", "http://127.0.0.1:9"], folder);
    assert.equal(gone.status, 3);
    assert.match(gone.stderr, /the service does not answer: /);
    const none = await served({ parts: [logPart(null)] });
    const { status, stderr } = await tollgate(["top", "--url", none.url], folder);
    assert.deepEqual([status, stderr], [2, "tollgate: The service keeps no decision log.\n"]);
  });

  it("take a key from the environment, and see what its tenants see", async () => {
    const { keys, texts } = keysOf({
      acme: { scopes: ["read", "decide"], tenants: ["acme"] },
      root: { scopes: ["read"] },
    });
    const own = memoryLog({ flushMs: 10 });
    const bound = await served({ policy: POLICY, keys, log: own, parts: [logPart(own)] });
    await bound.post("/v1/consume", { call: { tool: "a", session: "s1", turn: "t" } }, { key: texts.acme });
    await own.flush();
    const asked = (key: string | undefined, ...args: string[]) =>
      tollgate(["sessions", "--csv", "--url", bound.url, ...args], folder, { TOLLGATE_API_KEY: key ?? "" });
    assert.match((await asked(texts.acme)).stdout, /\ns1,acme,/);
    assert.match((await asked(texts.root)).stdout, /\nacme\/s1,acme,/);
    assert.match((await asked(texts.root, "--as-tenant", "acme")).stdout, /\ns1,acme,/);
    const wrong = await asked("tg_wrong");
    assert.match(wrong.stderr, /^tollgate: The service does not know the API key in TOLLGATE_API_KEY: /);
    assert.equal(wrong.status, 2);
    assert.match((await asked(undefined)).stderr, /^tollgate: The service needs an API key: set TOLLGATE_API_KEY to /);
  });
});
