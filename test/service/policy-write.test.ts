// A policy that is replaced over HTTP: in the file, in force, in the audit log and in the decision log.

import assert from "node:assert/strict";
import {
  chmodSync,
  lstatSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { memoryLog } from "tollgate/log";
import type { Act } from "../../src/service/audit.ts";
import { logPart } from "../../src/service-log/log.ts";
import { policyFile } from "../../src/service-log/policy-file-node.ts";
import { start, tollgate, until } from "../e2e/tollgate.ts";
import { temporaryFolder } from "../temporary.ts";
import { keysOf, type Served, served } from "./served.ts";

const policyOf = (quota: number) => `version: 1\nlimits:\n  - { name: per-session, per: [session], quota: ${quota} }\n`;
const POLICY = policyOf(5);
const PATH = "/v1/policy";

/** A service that may write its policy. */
async function writable() {
  const path = join(temporaryFolder(), "policy.yaml");
  writeFileSync(path, POLICY);
  const log = memoryLog({ flushMs: 10 });
  const acts: Act[] = [];
  const audit = (act: Act) => void acts.push(act);
  const file = policyFile(path);
  const service = await served({ policy: POLICY, log, audit, parts: [logPart(log, { policyFile: file })] });
  return { ...service, path, log, acts, file };
}

async function put({ ask }: Served, source: string, match: string | null, reason = "more room") {
  const headers = match === null ? {} : { "if-match": match };
  return ask("PUT", PATH, { body: { source, reason }, headers });
}

async function etagOf({ ask }: Served): Promise<string> {
  return (await ask("GET", PATH)).headers.get("etag") ?? "";
}

describe("a policy that is replaced over HTTP", () => {
  it("is in the file, in force at once, and written down with its reason", async () => {
    const service = await writable();
    const before = (await service.ask("GET", PATH)).json.version;
    assert.equal((await service.ask("GET", "/v1/me")).json.isPolicyWritable, true);
    chmodSync(service.path, 0o640);
    const etag = await etagOf(service);
    const { status, json, headers } = await put(service, policyOf(7), etag);
    assert.deepEqual([status, json.isChanged, headers.get("etag")], [200, true, await etagOf(service)]);
    assert.equal(readFileSync(service.path, "utf8"), policyOf(7));
    assert.equal(statSync(service.path).mode & 0o777, 0o640);
    assert.deepEqual(readdirSync(dirname(service.path)), ["policy.yaml"]);
    assert.equal((await service.ask("GET", PATH)).json.version, json.version);
    const call = { tool: "x", session: "s1" };
    assert.equal((await service.post("/v1/consume", { call })).json.verdicts[0].quota, 7);
    const versions = { before, after: json.version };
    assert.deepEqual(service.acts, [{ act: "policy", actor: "anonymous", keyId: null, reason: "more room", versions }]);
    await service.log.flush();
    const [event] = (await service.ask("GET", "/v1/decisions?kind=event")).json.items;
    assert.deepEqual([event.type, event.reason, event.actor], ["policy.reloaded", "more room", "anonymous"]);
    assert.equal(event.data.version, json.version);
    // What watches the file asks for this once.
    assert.deepEqual([service.file.takeWritten(), service.file.takeWritten()], [policyOf(7), null]);
  });

  it("takes the ETag without quotes, and none that is another", async () => {
    const service = await writable();
    const etag = await etagOf(service);
    assert.equal((await put(service, policyOf(6), etag.replaceAll('"', ""))).status, 200);
    const stale = await put(service, policyOf(7), etag);
    assert.deepEqual([stale.status, stale.json.code], [412, "policy-changed"]);
    for (const match of ["*", `W/${await etagOf(service)}`, "", '""']) {
      assert.equal((await put(service, policyOf(7), match)).status, 412, match);
    }
    const missing = await put(service, policyOf(7), null);
    assert.deepEqual([missing.status, missing.json.code], [428, "if-match-missing"]);
    assert.equal(readFileSync(service.path, "utf8"), policyOf(6));
  });

  it("with the same text changes nothing, also when a change is sent again", async () => {
    const service = await writable();
    const etag = await etagOf(service);
    assert.equal((await put(service, policyOf(6), etag)).json.isChanged, true);
    const again = await put(service, policyOf(6), etag);
    assert.deepEqual([again.status, again.json.isChanged, service.acts.length], [200, false, 1]);
  });

  it("that is wrong is refused with its lines, and nothing is changed", async () => {
    const service = await writable();
    const { status, json } = await put(service, POLICY.replace("quota: 5", "quota: lots"), await etagOf(service));
    assert.deepEqual([status, json.code, json.faults[0].path], [400, "invalid-policy", "limits[0].quota"]);
    assert.deepEqual([json.faults[0].line, json.faults[0].column], [3, 49]);
    assert.deepEqual([readFileSync(service.path, "utf8"), service.acts], [POLICY, []]);
    assert.equal((await service.ask("PUT", PATH, { body: { source: POLICY } })).json.code, "invalid-body");
  });

  it("does not replace what was written into the file meanwhile, or a file that is gone", async () => {
    const service = await writable();
    const etag = await etagOf(service);
    for (const text of [policyOf(9), "not a policy", null]) {
      if (text === null) unlinkSync(service.path);
      else writeFileSync(service.path, text);
      for (const source of [policyOf(6), POLICY]) {
        const { status, json } = await put(service, source, etag);
        assert.deepEqual([status, json.code], [409, "policy-file-changed"]);
      }
      if (text !== null) assert.equal(readFileSync(service.path, "utf8"), text);
    }
    assert.deepEqual(
      service.acts.filter(({ failed }) => failed !== undefined).map(({ failed }) => failed),
      ["policy-file-changed", "policy-file-changed", "policy-file-changed"],
    );
  });

  it("is written where a link leads to, and the link stays", async () => {
    const service = await writable();
    const link = join(temporaryFolder(), "policy.yaml");
    symlinkSync(service.path, link);
    policyFile(link).write(policyOf(8));
    assert.ok(lstatSync(link).isSymbolicLink());
    assert.equal(readFileSync(service.path, "utf8"), policyOf(8));
  });

  it("that cannot be written is not in force either", async () => {
    const { path, log } = await writable();
    const failing = () => {
      throw Object.assign(new Error("no"), { code: "ENOSPC" });
    };
    const file = { ...policyFile(path), write: failing };
    const service = await served({ policy: POLICY, log, parts: [logPart(log, { policyFile: file })] });
    const { status, json } = await put(service, policyOf(6), await etagOf(service));
    assert.deepEqual([status, json.code], [500, "policy-not-written"]);
    assert.match(json.detail, /ENOSPC/);
    assert.equal((await service.ask("GET", PATH)).json.source, POLICY);
  });

  it("needs the scope admin, a key of no tenant, and a service that may write", async () => {
    const { keys, texts } = keysOf({
      read: { scopes: ["read", "decide"] },
      acme: { scopes: ["read", "admin"], tenants: ["acme"] },
      admin: { scopes: ["read", "admin"] },
    });
    const service = await served({ policy: POLICY, keys, parts: [logPart(null)] });
    const codeFor = async (key: string | undefined) =>
      (await service.ask("PUT", PATH, { body: { source: policyOf(6), reason: "x" }, key })).json;
    assert.equal((await codeFor(texts.read)).code, "missing-scope");
    assert.equal((await codeFor(texts.acme)).code, "not-for-tenants");
    const { status, code, detail } = await codeFor(texts.admin);
    assert.deepEqual([status, code], [409, "policy-read-only"]);
    assert.match(detail, /--policy-writable/);
    assert.equal((await service.ask("GET", "/v1/me", { key: texts.read })).json.isPolicyWritable, false);
  });
});

describe("tollgate serve --policy-writable", () => {
  it("applies a policy once, and goes on with what is written by hand", async (t) => {
    const folder = temporaryFolder();
    const path = join(folder, "tollgate.yaml");
    writeFileSync(path, POLICY);
    const { child, ran } = start(["serve", "--port", "0", "--store", "memory:", "--policy-writable"], folder);
    t.after(() => child.kill("SIGKILL"));
    let [out, err] = ["", ""];
    child.stdout?.on("data", (part) => (out += part));
    child.stderr?.on("data", (part) => (err += part));
    const url = await until(() => /listens at (\S+)/.exec(out)?.[1] ?? false);
    assert.match(out, /policy +tollgate\.yaml; administrators may replace it/);
    const etag = (await fetch(url + PATH)).headers.get("etag") ?? "";
    const body = JSON.stringify({ source: policyOf(6), reason: "x" });
    const headers = { "content-type": "application/json", "if-match": etag };
    assert.equal((await fetch(url + PATH, { method: "PUT", headers, body })).status, 200);
    const count = () => err.split("another policy is in force").length - 1;
    // Longer than the time after which the file is looked at.
    await sleep(1_500);
    assert.equal(count(), 1);
    writeFileSync(path, policyOf(9));
    await until(() => count() === 2);
    child.kill("SIGTERM");
    await ran;
  });

  it("is refused where nothing can be written, and for the sample", async () => {
    const folder = temporaryFolder();
    const args = ["serve", "--port", "0", "--store", "memory:", "--policy-writable"];
    const inProc = await tollgate([...args, "--policy", "/proc/version"], folder);
    const sample = await tollgate(args, folder);
    assert.match(inProc.stderr, /--policy-writable: cannot write beside \/proc\/version: /);
    assert.match(sample.stderr, /--policy-writable: expected a policy of your own: tollgate\.yaml in this folder/);
    assert.deepEqual([inProc.status === 0, sample.status], [false, 2]);
  });
});
