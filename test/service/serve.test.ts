// `tollgate serve` as a process: how it starts, follows its files, and ends.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "undici";
import { tollgate, until } from "../e2e/tollgate.ts";
import { freePort } from "../free-port.ts";
import { anyRedis, ownServers, startRedis } from "../servers.ts";
import { LOADER, ROOT } from "../sources.ts";
import { temporaryFolder } from "../temporary.ts";

const POLICY = "version: 1\nlimits: [{ name: per-session, per: [session], quota: 1000000 }]\n";
const JSON_TYPE = { "content-type": "application/json" };

interface Started {
  readonly url: string;
  readonly pid: number;
  readonly output: () => string;
  readonly log: () => string;
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  kill(signal: NodeJS.Signals): void;
}

const running = new Set<Started>();
after(async () => {
  for (const each of running) each.kill("SIGKILL");
});

/** Starts a service and waits until it listens. */
async function serve(cwd: string, ...args: string[]): Promise<Started> {
  const child = spawn(process.execPath, [LOADER, `${ROOT}bin/tollgate.js`, "serve", "--port", "0", ...args], {
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [output, log] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text) => {
    output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    log += text;
  });
  const ended = once(child, "close").then(([code, signal]) => ({ code, signal }));
  const url = await until(() => /listens at (https?:\S+)/.exec(output)?.[1] ?? (child.exitCode !== null && "none"));
  const kill = (signal: NodeJS.Signals) => child.kill(signal);
  const started: Started = { url, pid: child.pid ?? 0, output: () => output, log: () => log, ended, kill };
  running.add(started);
  ended.then(() => running.delete(started));
  return started;
}

interface Consumed {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look at what they know to be there.
  readonly json: any;
}

async function consume(
  url: string,
  call: object = { tool: "x", session: "s" },
  { headers = {}, ...beside }: { readonly headers?: object; readonly maxWaitMs?: number } = {},
): Promise<Consumed> {
  const body = JSON.stringify({ call, ...beside });
  const response = await fetch(`${url}/v1/consume`, { method: "POST", headers: { ...JSON_TYPE, ...headers }, body });
  return { status: response.status, json: await response.json() };
}

describe("tollgate serve", () => {
  it("works without options: with a sample policy and a file that it names", async () => {
    const folder = temporaryFolder();
    const started = await serve(folder);
    assert.match(started.output(), /policy .*sample-policy\.yaml: a sample/);
    assert.match(started.output(), /state +sqlite:tollgate\.db/);
    assert.equal((await consume(started.url, { tool: "x", session: "s", turn: 1 })).json.verdicts.length, 3);
    assert.ok(existsSync(join(folder, "tollgate.db")));
    started.kill("SIGTERM");
    assert.deepEqual(await started.ended, { code: 0, signal: null });
    const again = await serve(folder);
    assert.equal((await consume(again.url, { tool: "x", session: "s", turn: 1 })).json.verdicts[0].remaining, 18);
    again.kill("SIGINT");
    assert.equal((await again.ended).code, 0);
  });

  it("keeps a decision log, which commands read while it runs and afterwards", async () => {
    const folder = temporaryFolder();
    const { url, output, kill, ended } = await serve(folder, "--store", "memory:");
    assert.match(output(), /console +http:\S+\/console\/\n[\s\S]*log +sqlite:tollgate-log\.db\n/);
    await consume(url, { tool: "x", session: "s1", turn: 1 });
    const rows = async () => (await tollgate(["sessions", "--csv"], folder)).stdout;
    for (let tries = 0; tries < 100 && !(await rows()).includes("\ns1,"); tries++) await sleep(50);
    assert.match(await rows(), /\ns1,,,.*,1,0,\n$/);
    const { status, stdout } = await tollgate(["explain", "--session", "s1"], folder);
    assert.deepEqual([status, /^Allowed: a call of x by session s1/.test(stdout)], [0, true]);
    const page = await fetch(`${url}/console`);
    assert.match(await page.text(), /<title>Tollgate<\/title>/);
    kill("SIGTERM");
    assert.deepEqual(await ended, { code: 0, signal: null });
    assert.match(await rows(), /\ns1,/);
  });

  it("keeps no log with --log none or where the default cannot be written, and refuses a log that was named and cannot", async () => {
    const none = await serve(temporaryFolder(), "--store", "memory:", "--log", "none", "--no-console");
    assert.match(none.output(), /log +none\n$/);
    assert.equal((await fetch(`${none.url}/v1/decisions`)).status, 501);
    assert.equal((await fetch(`${none.url}/console/`)).status, 404);
    none.kill("SIGKILL");
    const folder = temporaryFolder();
    // A folder cannot be opened as a file, not even by root.
    mkdirSync(join(folder, "tollgate-log.db"));
    const without = await serve(folder, "--store", "memory:");
    assert.match(without.output(), /log +none\n/);
    assert.match(
      without.log(),
      /"problem":"[^"]*tollgate-log\.db: [^"]+","msg":"there is no decision log: sqlite:tollgate-log\.db cannot be opened/,
    );
    without.kill("SIGKILL");
    const named = await tollgate(
      ["serve", "--store", "memory:", "--port", "0", "--log", "sqlite:tollgate-log.db"],
      folder,
    );
    assert.deepEqual([named.status, named.stdout], [3, ""]);
    const unknown = await tollgate(["serve", "--store", "memory:", "--port", "0", "--log", "mysql:"], folder);
    assert.match(unknown.stderr, /--log: expected none, memory:, sqlite:PATH, postgres:.*, got "mysql:"/);
  });

  it("follows its policy file, and ignores an invalid one", async () => {
    const folder = temporaryFolder();
    const file = join(folder, "policy.yaml");
    writeFileSync(file, POLICY);
    const { url, log, kill, ended } = await serve(folder, "--policy", file, "--store", "memory:");
    assert.equal((await consume(url)).json.verdicts[0].quota, 1_000_000);
    writeFileSync(file, POLICY.replace("1000000", "-1"));
    await until(() => log().includes("the policy file is wrong: nothing has changed"));
    assert.equal((await consume(url)).json.verdicts[0].quota, 1_000_000);
    assert.match(log(), /"event":"policy\.refused","problem":"[^"]*policy\.yaml:\d+:\d+: limits\[0\]\.quota/);
    const refused = async () =>
      /^tollgate_policy_reloads_total\{outcome="refused"\} (\d+)$/m.exec(
        await (await fetch(`${url}/metrics`)).text(),
      )?.[1];
    assert.equal(await refused(), "1");
    writeFileSync(file, POLICY.replace("1000000", "7"));
    await until(() => log().includes("another policy is in force"));
    const { json } = await consume(url);
    assert.deepEqual([json.verdicts[0].quota, json.verdicts[0].remaining], [7, 4]);
    kill("SIGTERM");
    await ended;
  });

  it("needs keys on a public address, and explains how to make one", async () => {
    const folder = temporaryFolder();
    const refused = await tollgate(["serve", "--port", "0", "--host", "0.0.0.0", "--store", "memory:"], folder);
    assert.equal(refused.status, 2);
    assert.match(refused.stderr, /tollgate keys create --file keys\.json --scope decide/);
    const made = await tollgate(
      [
        ...["keys", "create", "--file", "keys.json", "--scope", "decide", "--tenant", "acme", "--name", "agents"],
        ...["--audit", "audit.jsonl", "--reason", "ticket 7"],
      ],
      folder,
    );
    assert.match(made.stdout, /^tg_[a-z0-9]{12}_[\w-]{43}\n$/);
    const id = made.stdout.split("_")[1] ?? "";
    const listed = await tollgate(["keys", "list", "--file", "keys.json"], folder);
    assert.match(listed.stdout, new RegExp(`^${id} +decide +acme`, "m"));
    const { url, kill, ended } = await serve(folder, "--host", "0.0.0.0", "--keys", "keys.json", "--store", "memory:");
    const local = url.replace("0.0.0.0", "127.0.0.1");
    const authorization = `Bearer ${made.stdout.trim()}`;
    const call = { tool: "x", session: "s" };
    assert.equal((await consume(local, call)).status, 401);
    assert.equal((await consume(local, call, { headers: { authorization } })).status, 200);
    const revoked = await tollgate(["keys", "revoke", id, "--file", "keys.json", "--audit", "audit.jsonl"], folder);
    assert.equal(revoked.status, 0, revoked.stderr);
    while ((await consume(local, call, { headers: { authorization } })).status !== 401) await sleep(50);
    const acts = readFileSync(join(folder, "audit.jsonl"), "utf8").trim().split("\n");
    assert.deepEqual(
      acts.map((line) => JSON.parse(line)).map(({ time: _, actor: __, ...rest }) => rest),
      [
        { act: "key-create", reason: "ticket 7" },
        { act: "key-revoke", reason: null },
      ].map((act) => ({ ...act, keyId: null, target: id, name: "agents", scopes: ["decide"], tenants: ["acme"] })),
    );
    kill("SIGTERM");
    await ended;
  });

  it("names an unusable option, and exits with 2", async () => {
    const folder = temporaryFolder();
    const port = String(await freePort());
    const first = await serve(folder, "--store", "memory:");
    for (const [args, why] of [
      [["--port", "x"], /--port/],
      [
        ["--port", new URL(first.url).port, "--store", "memory:"],
        /Port \d+ on 127\.0\.0\.1 is already in use\. Choose another with --port\. \(EADDRINUSE\)/,
      ],
      [["--policy", "none.yaml"], /none\.yaml/],
      [["--store", "mongo:x"], /--store/],
      [["--keys", "none.json", "--store", "memory:"], /--keys: .*none\.json/],
      [["--set", "maxBodyBytes=1", "--store", "memory:", "--port", port], /--set maxBodyBytes/],
      [["--set", "colour=1"], /--set/],
      [["--tls-cert", "cert.pem"], /both/],
    ] as const) {
      const { status, stderr } = await tollgate(["serve", ...args], folder);
      assert.equal(status, 2, args.join(" "));
      assert.match(stderr, why);
    }
    first.kill("SIGTERM");
    await first.ended;
  });

  it("exits cleanly when it is stopped right after it listens", async () => {
    for (let round = 1; round <= 3; round++) {
      const args = [LOADER, `${ROOT}bin/tollgate.js`, "serve", "--port", "0", "--store", "memory:"];
      const child = spawn(process.execPath, args, { cwd: temporaryFolder(), stdio: ["ignore", "pipe", "ignore"] });
      const ended = once(child, "exit");
      child.stdout.once("data", () => child.kill("SIGTERM"));
      assert.deepEqual(await ended, [0, null]);
    }
  });

  it("starts while its store is unreachable, reports it, and continues when it returns", ownServers, async () => {
    const redis = await startRedis();
    await redis.kill();
    const started = await serve(temporaryFolder(), "--store", redis.url);
    const ready = async () => (await fetch(`${started.url}/readyz`)).status;
    assert.equal(await ready(), 503);
    await redis.restart();
    while ((await ready()) !== 200) await sleep(25);
    assert.equal((await consume(started.url, { tool: "x", session: "s", turn: 1 })).json.degraded, null);
    started.kill("SIGTERM");
    assert.deepEqual(await started.ended, { code: 0, signal: null });
  });
});

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;

describe("TLS", hasOpenssl ? {} : { skip: "no openssl on PATH to make a certificate with" }, () => {
  it("is used with a certificate, and nothing else then", async () => {
    const folder = temporaryFolder();
    const made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=127.0.0.1".split(
      " ",
    );
    spawnSync(
      "openssl",
      [...made, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"],
      {
        cwd: folder,
      },
    );
    const more = ["--store", "memory:", "--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    const { url, kill, ended } = await serve(folder, ...more);
    assert.match(url, /^https:/);
    const client = new Client(url, { connect: { ca: readFileSync(join(folder, "cert.pem")) } });
    const body = JSON.stringify({ call: { tool: "x", session: "s", turn: 1 } });
    const answer = await client.request({ method: "POST", path: "/v1/consume", headers: JSON_TYPE, body });
    assert.deepEqual([answer.statusCode, JSON.parse(await answer.body.text()).allowed], [200, true]);
    await client.close();
    await assert.rejects(fetch(url.replace("https", "http")));
    kill("SIGTERM");
    assert.equal((await ended).code, 0);
  });
});

describe("the end", () => {
  it("under load fails no request that was accepted, and books every one that was answered", async () => {
    const redis = await anyRedis();
    const folder = temporaryFolder();
    writeFileSync(join(folder, "policy.yaml"), POLICY);
    const prefix = `end-${process.pid}`;
    const more = ["--policy", "policy.yaml", "--store", redis.url, "--prefix", prefix];
    const { url, kill, ended, log } = await serve(folder, ...more);
    // Until it has reached its store it denies calls.
    while ((await fetch(`${url}/readyz`)).status !== 200) await sleep(10);
    const counts = { allowed: 0, refused: 0, unanswered: 0, other: 0 };
    let isOver = false;
    const clients = Array.from({ length: 20 }, () => new Client(url));
    const load = clients.map(async (client, i) => {
      for (let n = 0; !isOver; n++) {
        const body = JSON.stringify({ call: { tool: "x", session: "load", toolCallId: `${i}-${n}` } });
        try {
          const answer = await client.request({ method: "POST", path: "/v1/consume", headers: JSON_TYPE, body });
          const text = await answer.body.text();
          if (answer.statusCode === 200 && JSON.parse(text).allowed) counts.allowed++;
          else if (answer.statusCode === 503 && JSON.parse(text).code === "stopping") counts.refused++;
          else counts.other++;
        } catch {
          counts.unanswered++;
          return;
        }
      }
    });
    await until(() => counts.allowed > 500);
    kill("SIGTERM");
    const end = await ended;
    isOver = true;
    await Promise.all(load);
    await Promise.all(clients.map((client) => client.destroy()));
    assert.deepEqual([end, counts.other], [{ code: 0, signal: null }, 0], log());
    // A call without an answer found no connection, and was not charged.
    assert.equal(Number(redis.cli("GET", `${prefix}:1:{load}:per-session`)), counts.allowed, JSON.stringify(counts));
  });

  it("is announced first: not ready, but still answering, for drainMs", async () => {
    const { url, kill, ended } = await serve(temporaryFolder(), "--store", "memory:", "--set", "drainMs=1500");
    kill("SIGTERM");
    while ((await fetch(`${url}/readyz`)).status !== 503) await sleep(10);
    const response = await fetch(`${url}/readyz`);
    assert.deepEqual([response.status, response.headers.get("connection")], [503, "close"]);
    assert.equal((await consume(url)).status, 200);
    assert.equal((await ended).code, 0);
  });

  it("lets running requests finish", async () => {
    const folder = temporaryFolder();
    writeFileSync(
      join(folder, "policy.yaml"),
      "version: 1\nlimits: [{ name: slow, per: [session], algorithm: token-bucket, quota: 1, window: 1s, burst: 1 }]",
    );
    const { url, kill, ended } = await serve(folder, "--policy", "policy.yaml", "--store", "memory:");
    await consume(url);
    const waits = consume(url, { tool: "x", session: "s" }, { maxWaitMs: 5_000 });
    await sleep(200);
    kill("SIGTERM");
    const { status, json } = await waits;
    assert.deepEqual([status, json.allowed], [200, true]);
    assert.equal((await ended).code, 0);
  });

  it("waits for running requests, within a bound", async () => {
    const folder = temporaryFolder();
    writeFileSync(
      join(folder, "policy.yaml"),
      "version: 1\nlimits: [{ name: slow, per: [session], algorithm: token-bucket, quota: 1, window: 20s, burst: 1 }]",
    );
    const more = ["--policy", "policy.yaml", "--store", "memory:", "--set", "stopMs=300"];
    const { url, kill, ended } = await serve(folder, ...more);
    await consume(url);
    const waits = consume(url, { tool: "x", session: "s" }, { maxWaitMs: 25_000 });
    await sleep(200);
    const startedMs = performance.now();
    kill("SIGTERM");
    const { status, json } = await waits;
    assert.deepEqual([status, json.code], [503, "stopping"]);
    assert.equal((await ended).code, 0);
    assert.ok(performance.now() - startedMs < 5_000);
  });

  it("does not wait for a store that has gone silent", ownServers, async () => {
    const redis = await startRedis();
    const { url, kill, ended } = await serve(temporaryFolder(), "--store", redis.url);
    const call = { tool: "x", session: "s", turn: 1 };
    // A busy machine may take longer than the deadline for the first call.
    while ((await consume(url, call)).json.degraded !== null) await sleep(10);
    redis.pause();
    assert.equal((await consume(url, call)).json.allowed, true);
    const startedMs = performance.now();
    kill("SIGTERM");
    assert.equal((await ended).code, 0);
    assert.ok(performance.now() - startedMs < 8_000);
    redis.resume();
  });

  it("comes at once with a second signal", async () => {
    const { url, kill, ended } = await serve(temporaryFolder(), "--store", "memory:", "--set", "drainMs=60000");
    kill("SIGTERM");
    while ((await fetch(`${url}/readyz`)).status !== 503) await sleep(10);
    kill("SIGTERM");
    assert.deepEqual(await ended, { code: 143, signal: null });
  });

  it("does not hang on a silent client, or on one that listens to events", async () => {
    const { url, kill, ended } = await serve(temporaryFolder(), "--store", "memory:");
    const socket = connect(Number(new URL(url).port), "127.0.0.1").on("error", () => {});
    await once(socket, "connect");
    const events = await fetch(`${url}/v1/events`);
    const startedMs = performance.now();
    kill("SIGTERM");
    assert.equal((await ended).code, 0);
    assert.ok(performance.now() - startedMs < 5_000);
    await events.text().catch(() => "");
    socket.destroy();
  });
});
