import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { createLimiter } from "tollgate";
import { loadPolicy, parsePolicy } from "tollgate/policy";
import { sqliteStore } from "tollgate/stores/sqlite";
import { linesOfSvg } from "../../scripts/demo-svg.ts";
import { ROOT } from "../sources.ts";
import { temporaryFolder } from "../temporary.ts";
import { tollgate } from "./tollgate.ts";

const folder = temporaryFolder();
const write = (name: string, text: string) => {
  writeFileSync(join(folder, name), text);
  return name;
};
const policy = write(
  "policy.yaml",
  `# yaml-language-server: $schema=policy.schema.json
version: 1
tools: { search: {}, book: {} }
limits:
  - { name: tool-per-session, per: [session, tool], quota: 5, quotas: { tool: { book: 1 } }, resetAfterIdle: 24h }
  - { name: tenant-rate, per: [tenant], onMissing: skip, algorithm: token-bucket, quota: 60, window: 1m }
`,
);
const target = ["--policy", policy, "--store", "sqlite:state.db"];

/** A limiter on the store of the commands. */
function opened() {
  const store = sqliteStore(join(folder, "state.db"));
  const limiter = createLimiter({ policy: loadPolicy(join(folder, policy)), store });
  return { limiter, close: () => limiter.close() };
}

describe("check", () => {
  it("reports that a policy is fine", async () => {
    assert.deepEqual(await tollgate(["check", policy], folder), {
      status: 0,
      stdout: "policy.yaml: fine, 2 limits\n",
      stderr: "",
    });
  });

  it("warns of parts without effect, which are errors with --strict", async () => {
    const own = write(
      "own.yaml",
      "version: 1\ntools: { search: {} }\nlimits:\n  - { name: a, per: [sesion, tool], quota: 5, quotas: { tool: { serach: 1 } } }\n",
    );
    const lines = (level: string) => [
      `own.yaml:4:22: ${level}: limits[0].per[0]: Tollgate has no dimension "sesion", so it is one of your own. Did you mean "session"?`,
      `own.yaml:4:65: ${level}: limits[0].quotas.tool.serach: No tool in "tools" is named "serach". Did you mean "search"?`,
      `own.yaml: 1 limit, 2 ${level}s`,
      "Dimensions of this policy's own: sesion",
      "",
    ];
    assert.deepEqual(await tollgate(["check", own], folder), {
      status: 0,
      stdout: lines("warning").join("\n"),
      stderr: "",
    });
    const strict = await tollgate(["check", "--strict", own], folder);
    assert.deepEqual([strict.status, strict.stdout], [1, lines("error").join("\n")]);
    assert.equal((await tollgate(["check", "--strict", policy], folder)).status, 0);

    const json = await tollgate(["check", "--strict", "--json", own], folder);
    assert.deepEqual(
      [json.status, JSON.parse(json.stdout)[1]],
      [
        1,
        {
          level: "error",
          code: "unknown-tool",
          path: "limits[0].quotas.tool.serach",
          line: 4,
          column: 65,
          message: 'No tool in "tools" is named "serach".',
          hint: 'Did you mean "search"?',
        },
      ],
    );
    assert.equal(JSON.parse((await tollgate(["check", "--json", own], folder)).stdout)[0].level, "warning");
    assert.equal((await tollgate(["check", "--json", policy], folder)).stdout, "[]\n");
  });

  it("lists faults with line, column and what to write, and exits with 1", async () => {
    const bad = write(
      "bad.json",
      '{\n  "version": 1,\n  "limits": [\n    { "name": "a", "per": ["Session"], "quota": 5.5, "windw": "1m" }\n  ]\n}\n',
    );
    const { status, stdout } = await tollgate(["check", bad], folder);
    assert.equal(status, 1);
    assert.match(
      stdout,
      /^bad\.json:4:28: limits\[0\]\.per\[0\]: expected a dimension: .*, got "Session"\. Write "session"\.$/m,
    );
    assert.match(
      stdout,
      /^bad\.json:4:49: limits\[0\]\.quota: expected a whole number .*, got 5\.5\. Units are whole\. .*$/m,
    );
    assert.match(
      stdout,
      /^bad\.json:4:54: limits\[0\]\.windw: expected a known key, got "windw"\. Did you mean "window"\? .*$/m,
    );
    const { stdout: json } = await tollgate(["check", "--json", bad], folder);
    assert.deepEqual(JSON.parse(json)[0], {
      level: "error",
      code: "invalid-policy",
      path: "limits[0].per[0]",
      line: 4,
      column: 28,
      message:
        'expected a dimension: tenant, user, session, turn, agent, model, tool, group, args, or a name of your own (a-z, 0-9, _; at most 32), got "Session"',
      hint: 'Write "session".',
    });
  });

  it("lists invalid YAML, and exits with 2 without a file", async () => {
    const { status, stdout } = await tollgate(["check", write("bad.yaml", "a: [\n")], folder);
    assert.equal(status, 1);
    assert.match(stdout, /^bad\.yaml:\d+:\d+: policy: expected YAML or JSON/);
    const tabs = await tollgate(["check", write("tabs.yaml", "version: 1\nlimits:\n\t- name: a\n")], folder);
    assert.match(tabs.stdout, /^tabs\.yaml:3:1: policy: expected YAML or JSON, got Tabs .* Indent with spaces\.$/m);
    assert.equal((await tollgate(["check", "nowhere.yaml"], folder)).status, 2);
    assert.throws(
      () => parsePolicy("version: 1\nlimits:\n- name: a\n  per: []\n quota: 5\n"),
      /policy:5:1: .* Indent it as far as the lines/,
    );
    assert.throws(
      () => parsePolicy("limits:\n  - a: [b]\n version: 1\n"),
      /policy:3:1: .* Indent it as far as the lines/,
    );
    assert.throws(
      () => parsePolicy("version: 1\n---\nversion: 1\n"),
      /got Source contains multiple documents\. Remove the line ---/,
    );
    assert.throws(() => parsePolicy("version: 1\nlimits:\n- name: @a\n"), /policy:3:9: .* Put quotes around it\.$/);
  });
});

describe("usage and reset", () => {
  it("show how buckets stand, and empty one", async () => {
    const limiter = createLimiter({
      policy: loadPolicy(join(folder, policy)),
      store: sqliteStore(join(folder, "state.db")),
    });
    for (let i = 0; i < 3; i++) await limiter.consume({ tool: "search", session: "s1" });
    await limiter.close();

    const table = await tollgate(["usage", ...target, "--session", "s1"], folder);
    assert.match(table.stdout, /^tool-per-session +session=s1 tool=search +3 calls +5 +- +2 +24 h$/m);
    assert.match(table.stdout, /^tool-per-session +session=s1 tool=book +0 calls +1 +- +1 +-$/m);

    const one = ["--session", "s1", "--tool", "search", "--json"];
    const [usage] = JSON.parse((await tollgate(["usage", ...target, ...one], folder)).stdout);
    assert.deepEqual([usage.limit, usage.used, usage.remaining], ["tool-per-session", 3, 2]);

    const reset = await tollgate(["reset", "--yes", ...target, "--limit", "tool-per-session", ...one], folder);
    const { before, after: emptied } = JSON.parse(reset.stdout);
    assert.deepEqual([before.used, emptied.used, emptied.remaining], [3, 0, 5]);
    const [after] = JSON.parse((await tollgate(["usage", ...target, ...one], folder)).stdout);
    assert.equal(after.used, 0);
  });

  it("grants units once for an id, and reports a wrong grant", async () => {
    const one = ["--limit", "tool-per-session", "--session", "s2", "--tool", "search"];
    const grant = ["grant", ...target, ...one, "--duration", "1h", "--reason", "a test", "--id", "g1"];
    await tollgate([...grant, "--units", "7"], folder);
    const { status, stdout } = await tollgate([...grant, "--units", "7", "--json"], folder);
    assert.equal(status, 0);
    const { quota, remaining } = JSON.parse(stdout);
    assert.equal(remaining, quota + 7);
    const taken = await tollgate([...grant, "--units", "8"], folder);
    assert.match(
      taken.stderr,
      /^tollgate: --id: expected an id that no other grant of this bucket has.*Nothing was granted\./m,
    );
    assert.match(taken.stderr, /"failed":"grant-exists"/);
    assert.deepEqual([taken.status, taken.stdout], [1, ""]);
    const many = await tollgate([...grant, "--id", "g2", "--units", "200k", "--json"], folder);
    assert.equal(JSON.parse(many.stdout).granted, 200_007);
    const full = ["--limit", "tenant-rate", "--tenant", "t1", "--units", "5", "--duration", "1h"];
    const filled = await tollgate(["grant", ...target, ...full], folder);
    assert.match(filled.stdout, /^Nothing was added, because the bucket is full: it holds at most 60\. The bucket/);
    const { limiter, close } = opened();
    await limiter.record({ tool: "search", session: "s2", tenant: "t1", cost: { calls: 50 } });
    await close();
    const most = await tollgate(["grant", ...target, ...full.map((word) => (word === "5" ? "70" : word))], folder);
    assert.match(most.stdout, /^(4\d|50) of 70 calls were added at once\. The rest is lost: it holds at most 60\./);
    const money = await tollgate([...grant, "--id", "g3", "--units", "$5"], folder);
    assert.match(
      money.stderr,
      /--units: expected an amount without \$: the limit tool-per-session counts calls, got "\$5"/,
    );
    for (const [option, value] of [
      ["--units", "many"],
      ["--duration", "soon"],
      ["--dimension", "workspace"],
    ] as const) {
      const { status, stderr } = await tollgate([...grant, "--units", "7", option, value], folder);
      assert.equal(status, 2, stderr);
    }
  });

  it("shows what is granted and until when, and revokes it", async () => {
    const one = ["--limit", "tool-per-session", "--session", "s3", "--tool", "search"];
    const whose = ["--session", "s3", "--tool", "search"];
    await tollgate(
      ["grant", ...target, ...one, "--duration", "1h", "--reason", "a test", "--id", "g1", "--units", "7"],
      folder,
    );
    const shown = await tollgate(["usage", ...target, ...whose], folder);
    assert.match(shown.stdout, /^tool-per-session +.* 0 calls +5 +\+7 for 1 h \(g1\) +12 +/m);
    const [usage] = JSON.parse((await tollgate(["usage", ...target, ...whose, "--json"], folder)).stdout);
    assert.deepEqual(
      [usage.quota + usage.granted - usage.used, usage.grants.length, usage.grants[0].id, usage.grants[0].units],
      [usage.remaining, 1, "g1", 7],
    );
    assert.ok(usage.grants[0].endsInMs > 3_500_000 && usage.grants[0].endsInMs <= 3_600_000);
    const revoke = ["revoke", ...target, ...one, "--id", "g1"];
    const revoked = await tollgate([...revoke, "--json"], folder);
    const { revoked: isRevoked, after } = JSON.parse(revoked.stdout);
    assert.deepEqual([revoked.status, isRevoked, after.granted, after.remaining], [0, true, 0, 5]);
    const again = await tollgate(revoke, folder);
    assert.equal(again.status, 1);
    assert.match(again.stdout, /There is no grant g1 here: it is another bucket's, or has ended\./);
    assert.equal((await tollgate(["revoke", ...target, ...one], folder)).status, 2);
  });

  it("writes grants, revokes and resets to the audit log before they happen", async () => {
    const file = join(folder, "audit.jsonl");
    const audit = ["--audit", file, "--reason", "ticket 7"];
    const one = ["--limit", "tool-per-session", "--session", "s4", "--tool", "search"];
    await tollgate(["grant", ...target, ...one, ...audit, "--duration", "1h", "--id", "g1", "--units", "7"], folder);
    await tollgate(["revoke", ...target, ...one, ...audit, "--id", "g1"], folder);
    await tollgate(["reset", "--yes", ...target, ...one, ...audit], folder);
    await tollgate(["reset", "--yes", ...target, "--limit", "none", "--audit", file], folder);
    const lines = readFileSync(file, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const bucket = { limit: "tool-per-session", dimensions: { session: "s4", tool: "search" } };
    const common = { actor: `cli:${userInfo().username}`, keyId: null };
    const failed = { act: "reset", reason: null, ...common, limit: "none", dimensions: {} };
    assert.ok(lines.every(({ time }) => Date.now() - Date.parse(time) < 60_000));
    assert.deepEqual(
      lines.map(({ time: _, ...rest }) => rest),
      [
        { act: "grant", units: 7, durationMs: 3_600_000, grantId: "g1", reason: "ticket 7", ...common, ...bucket },
        { act: "revoke", grantId: "g1", reason: "ticket 7", ...common, ...bucket },
        { act: "reset", reason: "ticket 7", ...common, ...bucket },
        failed,
        { ...failed, failed: "unknown-limit" },
      ],
    );
    // Without a file the line is on stderr; where it cannot be written nothing is done.
    const told = await tollgate(["reset", "--yes", ...target, ...one, "--reason", "ticket 8", "--json"], folder);
    assert.deepEqual([JSON.parse(told.stderr).reason, JSON.parse(told.stdout).before.used], ["ticket 8", 0]);
    const unwritten = [
      "--audit",
      join(folder, "nowhere", "audit.jsonl"),
      "--duration",
      "1h",
      "--id",
      "g2",
      "--units",
      "7",
    ];
    const refused = await tollgate(["grant", ...target, ...one, "--reason", "x", ...unwritten], folder);
    assert.notEqual(refused.status, 0);
    const [usage] = JSON.parse(
      (await tollgate(["usage", ...target, "--session", "s4", "--tool", "search", "--json"], folder)).stdout,
    );
    assert.equal(usage.granted, 0);
  });

  it("exit with 2 on misuse and 3 when the store is in trouble", async () => {
    const refused: [string[], number, RegExp][] = [
      [["usage", "--policy", policy], 2, /expected a SQLite file that exists: .* got "sqlite:tollgate\.db"/],
      [["reset", "--yes", ...target, "--session", "s1"], 2, /required option '--limit <name>'/],
      [["reset", "--yes", ...target, "--limit", "nope"], 2, /--limit: expected one of .*tool-per-session/],
      [
        ["reset", "--yes", ...target, "--limit", "tool-per-session", "--session", "s1"],
        2,
        /--tool: .*Add --tool VALUE\.$/m,
      ],
      [["usage", ...target, "--dimension", "sesion=s1"], 2, /got "sesion"\. Did you mean "session"\?/],
      [["serve", "--set", "maxWaitM=5"], 2, /--set: .*got "maxWaitM=5"\. Did you mean "maxWaitMs"\?/],
      [
        ["usage", "--policy", policy, "--store", "sqlite:typo.db"],
        2,
        /expected a SQLite file that exists: .*, got .*typo/,
      ],
      [
        ["reset", "--yes", "--policy", policy, "--store", "sqlite:typo.db", "--limit", "tool-per-session"],
        2,
        /typo\.db/,
      ],
      [
        ["usage", "--policy", policy, "--store", "memory:"],
        2,
        /--store: expected sqlite:PATH, postgres:.*redis:.*, got "memory:"/,
      ],
      [["usage", "--policy", policy, "--store", `sqlite:${policy}`, "--tool", "a", "--session", "b"], 3, /no SQLite/],
    ];
    for (const [args, status, message] of refused) {
      const ran = await tollgate(args, folder);
      assert.match(ran.stderr, message);
      assert.equal(ran.status, status, args.join(" "));
      assert.equal(ran.stdout, "");
    }
    assert.ok(!existsSync(join(folder, "typo.db")));
  });
});

describe("--as-tenant", () => {
  it("names the bucket that a bound key counts in, and a tenant that chooses nothing is refused", async () => {
    const { limiter, close } = opened();
    for (let i = 0; i < 3; i++) await limiter.consume({ tool: "search", session: "acme/s9", tenant: "acme" });
    await close();
    const one = ["--limit", "tool-per-session", "--session", "s9", "--tool", "search"];
    const wrong = await tollgate(["reset", "--yes", ...target, ...one, "--tenant", "acme"], folder);
    assert.match(wrong.stderr, /^tollgate: --tenant: expected nothing, .* say --as-tenant "acme"\.$/m);
    assert.equal(wrong.status, 2);
    const as = ["--as-tenant", "acme"];
    const shown = await tollgate(["usage", ...target, "--session", "s9", "--tool", "search", ...as], folder);
    assert.match(shown.stdout, /^tool-per-session +session=s9 tool=search +3 calls +5 /m);
    const reset = await tollgate(["reset", "--yes", ...target, ...one, ...as, "--json"], folder);
    const { before, after } = JSON.parse(reset.stdout);
    assert.deepEqual([before.used, after.used, after.dimensions.session], [3, 0, "s9"]);
    const other = await tollgate(["usage", ...target, "--session", "s9", "--tenant", "acme"], folder);
    assert.match(other.stderr, /^For the buckets of a key that is bound to acme, say --as-tenant acme\.$/m);
    const both = await tollgate(["reset", "--yes", ...target, ...one, ...as, "--tenant", "globex"], folder);
    assert.match(both.stderr, /--tenant: expected "acme" or nothing, as --as-tenant says, got "globex"/);
  });
});

describe("usage", () => {
  const plans = write(
    "plans.yaml",
    "version: 1\nlimits:\n  - { name: spend, per: [user], unit: usd_micros, quota: $0.50, quotas: { plan: { pro: $5 } } }\n",
  );
  const of = ["--policy", plans, "--store", "sqlite:plans.db", "--user", "u1"];

  it("shows money in dollars, and says what else a quota depends on", async () => {
    const limiter = createLimiter({
      policy: loadPolicy(join(folder, plans)),
      store: sqliteStore(join(folder, "plans.db")),
    });
    await limiter.record({ tool: "model", user: "u1", cost: { usd_micros: 125_000 } });
    await limiter.close();
    const shown = await tollgate(["usage", ...of], folder);
    assert.match(shown.stdout, /^limit +whose +used +quota +granted +remaining +resets in$/m);
    assert.match(shown.stdout, /^spend +user=u1 +\$0\.125 +\$0\.50 +- +\$0\.375 /m);
    assert.match(shown.stdout, /^The quota of spend depends on plan, too\..* say --dimension plan=VALUE\.$/m);
    const pro = await tollgate(["usage", ...of, "--dimension", "plan=pro"], folder);
    assert.match(pro.stdout, /^spend +user=u1 +\$0\.125 +\$5 /m);
    assert.doesNotMatch(pro.stdout, /depends on/);
    const grant = ["grant", ...of, "--limit", "spend", "--duration", "1h", "--id", "g1", "--units", "$5"];
    assert.match((await tollgate(grant, folder)).stdout, /^spend +user=u1 +\$0\.125 +\$0\.50 +\+\$5 for 1 h \(g1\)/m);
    const bare = await tollgate([...grant.slice(0, -1), "5"], folder);
    const message = /--units: expected an amount of money such as \$1: the limit spend counts dollars, got "5"/;
    assert.match(bare.stderr, message);
    assert.equal(bare.status, 2);
  });
});

describe("the audit log of commands", () => {
  const linesOf = (file: string) =>
    readFileSync(file, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));

  it("is the file that TOLLGATE_AUDIT names, for keys and for buckets", async () => {
    const file = join(folder, "audit-env.jsonl");
    const env = { TOLLGATE_AUDIT: file };
    const made = await tollgate(["keys", "create", "--file", "env.json", "--scope", "read"], folder, env);
    const id = made.stdout.split("_")[1] ?? "";
    await tollgate(["keys", "revoke", id, "--file", "env.json"], folder, env);
    const bucket = [...target, "--limit", "tool-per-session"];
    const reset = await tollgate(["reset", ...bucket, "--session", "s", "--tool", "search", "--yes"], folder, env);
    assert.deepEqual([made.stderr, reset.stderr], ["", ""]);
    assert.deepEqual(
      linesOf(file).map(({ act, target = null }) => [act, target]),
      [
        ["key-create", id],
        ["key-revoke", id],
        ["reset", null],
      ],
    );
  });

  it("has a line for a grant that could not be revoked", async () => {
    const file = join(folder, "audit-revoke.jsonl");
    const bucket = [...target, "--limit", "tool-per-session"];
    const one = ["--session", "s", "--tool", "search", "--audit", file, "--id", "t-x"];
    assert.equal((await tollgate(["revoke", ...bucket, ...one], folder)).status, 1);
    assert.deepEqual(
      linesOf(file).map(({ grantId, failed = null }) => [grantId, failed]),
      [
        ["t-x", null],
        ["t-x", "unknown-grant"],
      ],
    );
  });
});

describe("keys", () => {
  it("makes no key without an audit line, and refuses a reason that is too long", async () => {
    const create = ["keys", "create", "--file", "unwritten.json", "--scope", "read"];
    for (const [more, fault] of [
      [["--audit", "none/a"], /--audit: cannot write none\/a/],
      [["--reason", "x".repeat(501)], /--reason: expected 1 to 500 characters/],
    ] as const) {
      const ran = await tollgate([...create, ...more], folder);
      assert.deepEqual([ran.status, ran.stdout], [2, ""], ran.stderr);
      assert.match(ran.stderr, fault);
      assert.ok(!existsSync(join(folder, "unwritten.json")));
    }
  });

  it("audits a failed revoke", async () => {
    const audit = join(folder, "keys-audit.jsonl");
    await tollgate(["keys", "create", "--file", "own.json", "--scope", "read"], folder);
    const ran = await tollgate(["keys", "revoke", "--file", "own.json", "--audit", audit, "stranger"], folder);
    assert.equal(ran.status, 2);
    const lines = readFileSync(audit, "utf8").trim().split("\n");
    assert.deepEqual(
      lines.map((line) => [JSON.parse(line).target, JSON.parse(line).failed]),
      [
        ["stranger", undefined],
        ["stranger", "invalid-option"],
      ],
    );
  });
});

describe("tollgate", () => {
  it("prints its version and its help", async () => {
    const { version } = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8"));
    assert.equal((await tollgate(["--version"], folder)).stdout, `${version}\n`);
    const help = await tollgate(["--help"], folder);
    assert.equal(help.status, 0);
    for (const word of ["demo", "replay", "check", "usage", "reset", "doctor", "Exit codes:"])
      assert.match(help.stdout, new RegExp(word));
    assert.doesNotMatch(help.stdout, /worker/);
    assert.equal((await tollgate(["nonsense"], folder)).status, 2);
  });

  it("reports in one line that Node is too old", () => {
    const script = `
      Object.defineProperty(process.versions, "node", { value: "20.20.2" });
      await import(${JSON.stringify(new URL("../../bin/tollgate.js", import.meta.url).href)});
    `;
    const ran = spawnSync(process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8" });
    assert.equal(ran.status, 2);
    assert.match(
      ran.stderr,
      /^tollgate needs Node 22\.13 or newer, and this is v[\d.]+\. Install a newer one: https:\/\/nodejs\.org\n$/,
    );
  });
});

describe("demo", () => {
  it("shows true figures, and exits with 0", async () => {
    const { status, stdout } = await tollgate(["demo"], folder);
    assert.equal(status, 0, stdout);
    assert.match(stdout, /process \d+ was killed with kill -9; process \d+ replaced it/);
    // Processes have other numbers in each run.
    const comparable = (lines: string[]) =>
      lines.filter((line) => line !== "").map((line) => line.replace(/(?<=process |now |, )\d+/g, "PID"));
    const [, ...drawn] = linesOfSvg(readFileSync(`${ROOT}docs/demo.svg`, "utf8"));
    assert.deepEqual(comparable(drawn), comparable(stdout.split("\n")), "run `npm run demo:svg`");
  });

  it("refuses memory, which its processes cannot share", async () => {
    const { status, stdout, stderr } = await tollgate(["demo", "--store", "memory:"], folder);
    assert.match(stderr, /--store: expected sqlite:PATH, postgres:.*redis:.*, got "memory:"/);
    assert.deepEqual([status, stdout], [2, ""]);
  });
});
