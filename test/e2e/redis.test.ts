import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { SetupCheck } from "tollgate/store";
import { freePort } from "../free-port.ts";
import { wideRunOnly } from "../length.ts";
import { anyRedis, ownServers, startRedis } from "../servers.ts";
import { temporaryFolder } from "../temporary.ts";
import { preload, start, tollgate } from "./tollgate.ts";
import { countSequentially, syntheticTrace } from "./traces.ts";

const folder = temporaryFolder();
const redis = await anyRedis("--appendonly", "yes", "--appendfsync", "always");
const trace = syntheticTrace(11, 40);
writeFileSync(join(folder, "trace.jsonl"), trace.map((line) => JSON.stringify(line)).join("\n"));
writeFileSync(
  join(folder, "policy.yaml"),
  `version: 1
limits:
  - { name: tool-per-turn, per: [session, turn, tool], quota: 2, resetAfterIdle: 1h }
  - { name: tool-per-session, per: [session, tool], quota: 4, resetAfterIdle: 24h }
`,
);
const replay = ["replay", "trace.jsonl", "--policy", "policy.yaml", "--instances", "3"];

describe("a replay on Redis", () => {
  for (const kill of [[], ["--kill-after", "20"]]) {
    it(`equals a sequential count with 3 instances${kill.length > 0 ? ", one killed" : ""}`, async () => {
      const ran = await tollgate([...replay, "--store", redis.url, ...kill, "--json"], folder);
      assert.equal(ran.status, 0, ran.stderr);
      const { p50Ms, p99Ms, ...counts } = JSON.parse(ran.stdout);
      const { allowed, denied, byTurn, bySession } = countSequentially(trace, 2, 4);
      const deniedBy = { "tool-per-turn": byTurn, "tool-per-session": bySession };
      assert.deepEqual(counts, { calls: trace.length, allowed, denied, deniedBy, instances: 3, store: redis.url });
      assert.ok(p50Ms > 0 && p99Ms >= p50Ms);
    });
  }

  it("exits with 3 and one line when it loses the server", ownServers, async () => {
    const server = await startRedis();
    writeFileSync(join(folder, "long.jsonl"), '{"session":"s","turn":1,"tool":"x"}\n'.repeat(200_000));
    const args = ["replay", "long.jsonl", "--policy", "policy.yaml", "--store", server.url];
    const { ran } = start(args, folder);
    while (server.cli("DBSIZE") === "0");
    await server.kill();
    const { status, stdout, stderr } = await ran;
    assert.match(stderr, /^tollgate: .*Redis: .*\n$/);
    assert.deepEqual([status, stdout], [3, ""]);
  });
});

describe("usage and reset on Redis", () => {
  it("show how buckets stand, and empty one", async () => {
    const played = await tollgate([...replay, "--store", `${redis.url}/3`, "--prefix", "mine"], folder);
    assert.equal(played.status, 0, played.stderr);
    const { session, tool } = trace[0] ?? assert.fail();
    const target = ["--policy", "policy.yaml", "--store", `${redis.url}/3`, "--prefix", "mine", "--json"];
    const whose = ["--session", session, "--tool", tool];
    const used = async () => {
      const { stdout } = await tollgate(["usage", ...target, ...whose], folder);
      return JSON.parse(stdout)[0].used;
    };
    const before = await used();
    assert.ok(before > 0);
    const reset = await tollgate(["reset", "--yes", ...target, "--limit", "tool-per-session", ...whose], folder);
    const { before: emptied, after } = JSON.parse(reset.stdout);
    assert.deepEqual([emptied.used, after.used], [before, 0]);
    assert.equal(await used(), 0);
  });
});

describe("the demo on Redis", () => {
  it("counts there and says so", wideRunOnly, async () => {
    const { status, stdout, stderr } = await tollgate(["demo", "--store", redis.url], folder);
    assert.equal(status, 0, stderr + stdout);
    assert.match(stdout, new RegExp(`^Tollgate on ${redis.url} +40 +40 +0 +40$`, "m"));
    assert.match(redis.cli("KEYS", "demo-*"), /^demo-[0-9a-f]{8}:1:\{s1\}:tool-per-session:send_email$/);
  });
});

describe("doctor", ownServers, () => {
  const doctor = (url: string, ...more: string[]) => tollgate(["doctor", "--store", url, ...more], folder);

  it("finds no problem in a Redis that keeps every promise", async () => {
    const { status, stdout } = await doctor(redis.url);
    assert.match(stdout, new RegExp(`^store +${redis.url}\nreachable +yes\nlatency +[\\d.]+ ms at the median, `));
    assert.match(stdout, /\nversion +(Redis|Valkey) [\d.]+\neviction +noeviction\npersistence +append-only file, .*\n/);
    assert.doesNotMatch(stdout, /PROBLEM/);
    assert.equal(status, 0);
    const { medianMs, worstMs, checks, ...rest } = JSON.parse((await doctor(redis.url, "--json")).stdout);
    assert.deepEqual(rest, { store: redis.url, reachable: true });
    assert.ok(medianMs > 0 && worstMs >= medianMs);
    const problems = new Map(checks.map((check: SetupCheck) => [check.name, check.problem]));
    for (const name of ["version", "eviction", "persistence"]) assert.equal(problems.get(name), null);
  });

  it("finds an eviction policy that forgets counters, and exits with 1", async () => {
    const bad = await startRedis("--maxmemory-policy", "allkeys-lru");
    const { status, stdout, stderr } = await doctor(bad.url);
    assert.match(stdout, /^eviction +allkeys-lru; PROBLEM: .* set maxmemory-policy to noeviction$/m);
    assert.deepEqual([status, stderr], [1, ""]);
  });

  it("exits with 3 for an absent, a silent and a refusing server", async () => {
    const mute = createServer((socket) => socket.on("error", () => {})).listen(0, "127.0.0.1");
    await once(mute, "listening");
    const locked = await startRedis("--requirepass", "open sesame");
    const host = `127.0.0.1:${locked.port}`;
    const refused: [url: string, label: string, code: string, why: RegExp][] = [
      [`redis://localhost:${await freePort()}`, "", "unavailable", /ECONNREFUSED/],
      [`redis://127.0.0.1:${(mute.address() as AddressInfo).port}`, "", "unavailable", /no answer within 2000 ms/],
      [`rediss://${host}`, "", "unavailable", /Redis: /],
      [`redis://${host}`, "", "unauthorized", /NOAUTH/],
      [`redis://:close%20sesame@${host}`, `redis://${host}`, "unauthorized", /WRONGPASS/],
      [`redis://:open%20sesame@${host}/4321`, `redis://${host}/4321`, "unavailable", /DB index is out of range/],
    ];
    for (const [url, label, code, why] of refused) {
      const { status, stdout, stderr } = await doctor(url, "--json");
      const store = label === "" ? url : label;
      assert.match(stderr, new RegExp(`^tollgate: ${store}: .*\n$`));
      const { problem, ...found } = JSON.parse(stdout);
      assert.deepEqual(found, { store, reachable: false, code });
      assert.match(problem, why);
      assert.doesNotMatch(stdout + stderr, /sesame/);
      assert.equal(status, 3);
    }
    mute.close();
    const allowed = await doctor(`redis://default:open%20sesame@${host}/1`);
    assert.match(allowed.stdout, new RegExp(`^store +redis://${host}/1$`, "m"));
    assert.doesNotMatch(allowed.stdout + allowed.stderr, /sesame/);
  });

  it("checks a SQLite file, and refuses an absent or foreign one", async () => {
    const made = await tollgate([...replay, "--store", "sqlite:state.db"], folder);
    assert.equal(made.status, 0, made.stderr);
    const fine = await doctor("sqlite:state.db");
    assert.match(
      fine.stdout,
      /^store +sqlite:state\.db\nreachable +yes\nlatency .*\nfile +opens, and is Tollgate's\nlog +none\n$/,
    );
    assert.equal(fine.status, 0);
    assert.equal((await doctor("sqlite:typo.db")).status, 2);
    assert.equal((await doctor("sqlite:policy.yaml")).status, 3);
  });

  it("explains how to install ioredis", async () => {
    const env = preload(`
      import { registerHooks } from "node:module";
      registerHooks({
        resolve(specifier, context, next) {
          return next(specifier === "ioredis" ? "ioredis-that-is-not-there" : specifier, context);
        },
      });
    `);
    const { status, stderr } = await tollgate(["doctor", "--store", redis.url], folder, env);
    assert.match(stderr, /^tollgate: --store: expected .*npm install ioredis.*\n$/);
    assert.equal(status, 2);
  });
});

describe("a Redis URL", () => {
  it("is refused with 2 when it is invalid, without its password", async () => {
    const bad = [
      "redis://",
      "redis://me:secret@127.0.0.1:port",
      "redis://me:secret@127.0.0.1/db",
      "redis://127.0.0.1?password=secret",
      "redis:me:secret@127.0.0.1",
      "redus://me:secret@127.0.0.1",
    ];
    for (const url of bad) {
      const { status, stdout, stderr } = await tollgate(["doctor", "--store", url], folder);
      assert.match(stderr, /^tollgate: --store: expected sqlite:PATH, postgres:.*redis:.*, got "red.*"\n$/);
      assert.doesNotMatch(stderr, /secret/);
      assert.deepEqual([status, stdout], [2, ""], url);
    }
  });
});
