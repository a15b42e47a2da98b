import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ROOT } from "../sources.ts";
import { temporaryFolder } from "../temporary.ts";
import { tollgate } from "./tollgate.ts";
import { syntheticTrace } from "./traces.ts";

const folder = temporaryFolder();
const write = (name: string, text: string) => {
  writeFileSync(join(folder, name), text);
  return name;
};
const policyOf = (perTurn: number, perSession: number) =>
  write(
    `${perTurn}-${perSession}.yaml`,
    `version: 1
limits:
  - { name: tool-per-turn, per: [session, turn, tool], quota: ${perTurn}, resetAfterIdle: 1h }
  - { name: tool-per-session, per: [session, tool], quota: ${perSession}, resetAfterIdle: 24h }
`,
  );
const strict = policyOf(2, 4);
const loose = policyOf(5, 50);
const lines = (calls: readonly object[]) => `${calls.map((call) => JSON.stringify(call)).join("\n")}\n`;
const trace = write("trace.jsonl", lines(syntheticTrace(7, 40)));

async function run(...args: string[]) {
  const { status, stdout, stderr } = await tollgate(args, folder);
  assert.equal(status, 0, stderr);
  return { stdout, stderr };
}

describe("simulate", () => {
  it("reads a trace that is piped in", async () => {
    const args = [`${ROOT}bin/tollgate.js`, "simulate", "-", "--policy", strict, "--json"];
    const input = readFileSync(join(folder, trace));
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, input, encoding: "utf8" });
    assert.equal(status, 0, stderr);
    const { trace: _, ...piped } = JSON.parse(stdout);
    const { trace: __, ...read } = JSON.parse((await run("simulate", trace, "--policy", strict, "--json")).stdout);
    assert.deepEqual(piped, read);
  });

  it("comes to the totals of a replay", async () => {
    for (const policy of [strict, loose]) {
      const simulated = JSON.parse((await run("simulate", trace, "--policy", policy, "--json")).stdout);
      const replayed = JSON.parse((await run("replay", trace, "--policy", policy, "--json")).stdout);
      for (const word of ["calls", "allowed", "denied", "deniedBy"]) {
        assert.deepEqual(simulated[word], replayed[word], word);
      }
    }
  });

  it("agrees with a replay about calls that fail, results and dimensions of the policy's own", async () => {
    const policy = write(
      "ends.yaml",
      `version: 1
limits:
  - { name: failures, per: [session], algorithm: streak, of: errors, quota: 2 }
  - { name: same-result, per: [session], algorithm: streak, of: results, quota: 3 }
  - { name: calls-per-plan, per: [plan], onMissing: skip, quota: 12 }
`,
    );
    const call = { session: "s", turn: 1, tool: "x", dimensions: { plan: "free", region: "eu" } };
    const other = { ...call, session: "t" };
    const ended = write(
      "ends.jsonl",
      lines([
        ...[1, 2, 3].map(() => ({ ...call, error: true })),
        ...[1, 2, 3, 4].map(() => ({ ...other, result: { rows: [] } })),
        ...Array.from({ length: 9 }, () => ({ ...call, session: "u", dimensions: { plan: "free" } })),
      ]),
    );
    const simulated = JSON.parse((await run("simulate", ended, "--policy", policy, "--json")).stdout);
    const replayed = JSON.parse((await run("replay", ended, "--policy", policy, "--json")).stdout);
    assert.deepEqual(simulated.deniedBy, { failures: 1, "same-result": 1, "calls-per-plan": 2 });
    assert.deepEqual(replayed.deniedBy, simulated.deniedBy);
  });

  it("shows what is denied, by which limit and in which session", async () => {
    const calls = [1, 2, 3, 4].map((turn) => ({ session: "s1", turn, tool: "search" }));
    const file = write("four.jsonl", lines([...calls, { ...calls[0], session: "s2" }]));
    const policy = write("three.yaml", "version: 1\nlimits: [{ name: calls-per-session, per: [session], quota: 3 }]\n");
    const { stdout, stderr } = await run("simulate", file, "--policy", policy);
    assert.equal(
      stdout,
      `trace    four.jsonl: 5 calls of 2 sessions
policy   three.yaml
allowed  4
denied   1 (20.0 %), in 1 of 2 sessions

limit              denied
calls-per-session       1

tool    denied
search       1

session  denied  calls  first at call  turn  tool    by limit
s1            1      4              4     4  search  calls-per-session

A recorded agent cannot react: after a denial, a real one may do something else than the trace has.
`,
    );
    assert.equal(stderr, "");
  });

  it("shows which calls only one of two policies denies", async () => {
    const { stdout } = await run("simulate", trace, "--policy", loose, "--against", strict);
    assert.match(stdout, /^A +5-50\.yaml: .* denied$/m);
    assert.match(stdout, /^limit +denied by A +denied by B$/m);
    assert.match(stdout, /^Denied by A alone: no call$/m);
    const [, calls] = /^Denied by B alone: (\d+) calls \(/m.exec(stdout) ?? assert.fail(stdout);
    const json = JSON.parse((await run("simulate", trace, "--policy", loose, "--against", strict, "--json")).stdout);
    assert.equal(json.onlySecond.calls, Number(calls));
    assert.equal(json.second.denied - json.first.denied, Number(calls));
  });

  it("prints each call with --csv, and nothing else", async () => {
    const { stdout } = await run("simulate", trace, "--policy", strict, "--against", loose, "--csv");
    const [heading, ...rows] = stdout.trimEnd().split("\n");
    assert.equal(heading, "line,session,turn,tool,call_of_session,allowed,denied_by,allowed_against,denied_by_against");
    assert.equal(rows.length, syntheticTrace(7, 40).length);
    const json = JSON.parse((await run("simulate", trace, "--policy", strict, "--json")).stdout);
    assert.equal(rows.filter((row) => row.split(",")[5] === "false").length, json.denied);
  });

  it("says what a trace does not tell", async () => {
    const policy = write(
      "time.yaml",
      `version: 1
limits:
  - { name: rate, per: [session], algorithm: token-bucket, quota: 2, window: 1m }
  - { name: running, per: [session], algorithm: concurrency, quota: 2 }
  - { name: tokens, per: [session], unit: tokens, quota: 100 }
  - { name: same-call, per: [session, args], quota: 100 }
  - { name: failures, per: [session], algorithm: streak, of: errors, quota: 2 }
`,
    );
    const three = write("three.jsonl", lines([1, 2, 3].map((turn) => ({ session: "s", turn, tool: "x" }))));
    const { stdout, stderr } = await run("simulate", three, "--policy", policy, "--json");
    assert.equal(JSON.parse(stdout).deniedBy.rate, 1);
    for (const limit of ["rate", "running", "tokens", "same-call", "failures"]) assert.match(stderr, new RegExp(limit));
    const spread = await run("simulate", three, "--policy", policy, "--every", "30s", "--json");
    assert.equal(JSON.parse(spread.stdout).deniedBy.rate, 0);
    assert.doesNotMatch(spread.stderr, /rate/);
  });

  it("writes a policy that fits the trace, and that every command loads", async () => {
    const calls = Array.from({ length: 30 }, (_, session) =>
      Array.from({ length: 2 + (session % 4) }, (_, n) => {
        return { session: `s${session}`, turn: n % 2, tool: "search", args: { n }, ok: session % 5 > 0 };
      }),
    );
    const file = write("outcomes.jsonl", lines(calls.flat()));
    const { stdout } = await run("simulate", file, "--suggest", "suggested.yaml", "--inject", "runaway=500");
    assert.match(stdout, /^Wrote suggested\.yaml: \d limits, learned from 24 sessions that succeeded\.$/m);
    assert.match(stdout, /^Policies learned from 10 random halves .* denied 0 of \d+ calls in the other halves\.$/m);
    assert.match(stdout, /^denied +0$/m);
    assert.match(stdout, /^Runaways of 500 calls each$/m);
    assert.match(stdout, /^same-call +alone +3 +99\.4 %$/m);
    assert.match(stdout, /^all .*9\d\.\d %$/m);
    assert.match((await run("check", "--strict", "suggested.yaml")).stdout, /fine/);
    // A suggestion may be replaced by a newer one.
    await run("simulate", file, "--suggest", "suggested.yaml");
    const injected = await run(
      "simulate",
      file,
      "--policy",
      "suggested.yaml",
      "--against",
      loose,
      "--inject",
      "runaway",
    );
    assert.match(injected.stdout, /^runaway +where +A admitted +A cut +B admitted +B cut$/m);
  });

  it("does not replace a policy that a person wrote, nor learn from sessions that failed alone", async () => {
    const taken = await tollgate(["simulate", trace, "--suggest", strict], folder);
    assert.match(
      taken.stderr,
      /--suggest: expected a new file, or one that an earlier --suggest wrote, got "2-4\.yaml"/,
    );
    assert.equal(taken.status, 2);
    const failed = write("failed.jsonl", lines([{ session: "s", turn: 1, tool: "x", ok: false }]));
    const none = await tollgate(["simulate", failed, "--suggest", "none.yaml"], folder);
    assert.match(none.stderr, /failed\.jsonl: trace: expected a trace with calls of a session that succeeded/);
    assert.equal(none.status, 2);
  });

  it("writes a report in one file, in which all names are text", async () => {
    const tool = "<script>alert(1)</script>";
    const calls = Array.from({ length: 9 }, (_, n) => ({
      session: "<b>s",
      turn: 1,
      tool,
      args: { n },
      cost: { usd_micros: 7e5 },
    }));
    const hostile = write("hostile.jsonl", lines(calls));
    const money = write(
      "money.yaml",
      "version: 1\nlimits: [{ name: money, per: [session], unit: usd_micros, quota: $5 }, { name: calls, per: [session], quota: 8, mode: shadow }]\n",
    );
    const args = ["--policy", money, "--against", strict, "--inject", "runaway", "--html", "report.html", "--csv"];
    const { stderr } = await run("simulate", hostile, ...args);
    assert.match(stderr, /^Wrote report\.html\.$/m);
    const page = readFileSync(join(folder, "report.html"), "utf8");
    assert.match(page, /^<!doctype html>\n<html lang="en">/);
    assert.match(page, /default-src 'none'/);
    assert.doesNotMatch(page, /<script|<b>|https?:|url\(|@import/);
    assert.match(page, /&#60;script&#62;alert\(1\)&#60;&#47;script&#62;|&#60;script&#62;alert\(1\)&#60;\/script&#62;/);
    for (const text of [
      "$4.90",
      "calls (over, not denied)",
      "Runaways",
      "Denied by money.yaml alone",
      "calls: 8 (dashed line)",
    ]) {
      assert.ok(page.includes(text), text);
    }
    // A chart is never without its figures.
    assert.equal(
      page.match(/<section><h2>[^<]*<\/h2>\n<div class="chart">/g)?.length,
      page.match(/<details>/g)?.length,
    );
  });

  const bad: [string, string[], RegExp][] = [
    ["both formats", ["--json", "--csv"], /--json and --csv: expected one of them, got "both"/],
    ["a time that is none", ["--every", "soon"], /--every: expected a duration such as 1s, at most .*, got "soon"/],
    ["two policies of one kind", ["--suggest", "x.yaml"], /--policy and --suggest: expected one of them; --against /],
    ["what cannot be injected", ["--inject", "chaos"], /--inject: expected runaway, or runaway=CALLS, got "chaos"/],
    [
      "runaways without calls",
      ["--inject", "runaway=0"],
      /--inject runaway=: expected a whole number from 1 to 100000/,
    ],
    ["a second policy that is not there", ["--against", "no.yaml"], /--against: cannot read no\.yaml/],
  ];
  for (const [what, args, message] of bad) {
    it(`refuses ${what}`, async () => {
      const { status, stderr } = await tollgate(["simulate", trace, "--policy", strict, ...args], folder);
      assert.match(stderr, message);
      assert.equal(status, 2);
    });
  }

  it("refuses to spread calls that have times", async () => {
    const timed = write("timed.jsonl", lines([{ session: "s", turn: 1, tool: "x", at: 1_700_000_000_000 }]));
    const { status, stderr } = await tollgate(["simulate", timed, "--policy", strict, "--every", "1s"], folder);
    assert.match(stderr, /--every: expected a trace without times/);
    assert.equal(status, 2);
  });
});
