// Envoy's rate limit service in several instances on one Redis: exact over all of them, and what Envoy is told while Redis
// is away.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { credentials, status } from "@grpc/grpc-js";
import { createLimiter, definePolicy, type LimiterOptions, type PolicyInput } from "tollgate";
import { type EnvoyListenOptions, envoyService, parseEnvoyMapping } from "tollgate/service/envoy";
import { redisStore } from "tollgate/stores/redis";
import { type AnyRedis, anyRedis, ownServers, startRedis } from "../servers.ts";
import { temporaryFolder } from "../temporary.ts";
import { codeOf, envoyClient, type Question } from "./envoy-client.ts";

const QUOTA = 1_000;
const POLICY: PolicyInput = {
  version: 1,
  partition: "user",
  limits: [
    { name: "exact", per: ["user"], when: { tool: ["api"] }, quota: QUOTA },
    { name: "narrow", per: ["user"], when: { tool: ["narrow"] }, quota: 100 },
    { name: "wide", per: ["tenant"], when: { tool: ["wide"] }, quota: 1_000_000 },
  ],
};
const MAPPING = parseEnvoyMapping(`
domains:
  agents:
    - { match: { path: /narrow }, tool: narrow, dimensions: { user: user } }
    - { match: { tenant: "*" }, tool: wide, dimensions: { tenant: tenant } }
    - { match: { user: "*" }, tool: api, dimensions: { user: user } }
`);

async function instance(
  redis: AnyRedis,
  options: Pick<LimiterOptions, "failover"> = {},
  where: EnvoyListenOptions = {},
  secure = credentials.createInsecure(),
) {
  const policy = definePolicy(POLICY);
  const limiter = createLimiter({ policy, store: redisStore(redis.ioredis()), ...options });
  const service = envoyService(limiter, { policy, mapping: MAPPING, metadata: true });
  const { port } = await service.listen({ port: 0, ...where });
  after(async () => {
    await service.close({ graceMs: 100 });
    await limiter.close();
  });
  return { limiter, service, client: envoyClient(port, secure) };
}

type Instance = Awaited<ReturnType<typeof instance>>;

/** Asks the instances in turn, so many at once. */
async function load(instances: readonly Instance[], questions: readonly Question[], atOnce: number) {
  const codes: string[] = [];
  let next = 0;
  const worker = async () => {
    while (next < questions.length) {
      const i = next++;
      const question = questions[i] as Question;
      const { overallCode } = await (instances[i % instances.length] as Instance).client.ask(question);
      codes[i] = overallCode;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return codes;
}

const usedOf = async ({ limiter }: Instance, limit: string, dimensions: object) =>
  (await limiter.usage(dimensions)).find((each) => each.limit === limit)?.used ?? 0;

describe("two instances on one Redis", () => {
  it("admit exactly the quota, and denied requests charge nothing", async () => {
    const redis = await anyRedis();
    const both = [await instance(redis), await instance(redis)] as const;
    const user = crypto.randomUUID();
    const questions = Array.from({ length: 1_500 }, (): Question => ({ descriptors: [{ user }] }));
    const codes = await load(both, questions, 64);
    assert.equal(codes.filter((code) => code === "OK").length, QUOTA);
    assert.equal(await usedOf(both[0], "exact", { user }), QUOTA);
    assert.equal(both[0].service.counts().denied + both[1].service.counts().denied, 500);
  });

  it("admit exactly the quota also where requests take several hits", async () => {
    const redis = await anyRedis();
    const both = [await instance(redis), await instance(redis)] as const;
    const user = crypto.randomUUID();
    const questions = Array.from(
      { length: 400 },
      (_, i): Question => ({ descriptors: [{ user }], hitsAddend: 1 + (i % 7) }),
    );
    const codes = await load(both, questions, 32);
    const taken = codes.reduce((sum, code, i) => sum + (code === "OK" ? 1 + (i % 7) : 0), 0);
    assert.equal(taken, QUOTA);
    assert.equal(await usedOf(both[0], "exact", { user }), QUOTA);
  });

  it("charge all descriptors of a request, or none", async () => {
    const redis = await anyRedis();
    const both = [await instance(redis), await instance(redis)] as const;
    const [user, tenant] = [crypto.randomUUID(), crypto.randomUUID()];
    const question: Question = { descriptors: [{ tenant }, { path: "/narrow", user }] };
    const codes = await load(
      both,
      Array.from({ length: 300 }, () => question),
      32,
    );
    const admitted = codes.filter((code) => code === "OK").length;
    // Nothing else denies here, so that no hold of a denied request blocks another one.
    assert.equal(admitted, 100);
    await Promise.all(both.map(({ service }) => service.close()));
    assert.equal(await usedOf(both[0], "narrow", { user, tool: "narrow" }), admitted);
    assert.equal(await usedOf(both[0], "wide", { tenant, tool: "wide" }), admitted);
    assert.equal(both[0].service.counts().unsettled + both[1].service.counts().unsettled, 0);
  });

  it("that compete in opposite order never admit too much, and leave nothing held", async () => {
    const redis = await anyRedis();
    const both = [await instance(redis), await instance(redis)] as const;
    const [one, other] = [crypto.randomUUID(), crypto.randomUUID()];
    const narrow = (user: string) => ({ path: "/narrow", user });
    const questions = Array.from({ length: 400 }, (_, i): Question => {
      const pair = [narrow(one), narrow(other)];
      return { descriptors: i % 2 === 0 ? pair : pair.reverse(), hitsAddend: 3 };
    });
    const codes = await load(both, questions, 32);
    const taken = 3 * codes.filter((code) => code === "OK").length;
    await Promise.all(both.map(({ service }) => service.close()));
    for (const user of [one, other]) assert.equal(await usedOf(both[0], "narrow", { user, tool: "narrow" }), taken);
    assert.ok(taken <= 100, `${taken} of 100`);
    const left = Math.floor((100 - taken) / 3);
    for (let i = 0; i < left; i++) {
      const reserved = await both[0].limiter.consume({ tool: "narrow", user: one, cost: { calls: 3 } });
      assert.ok(reserved.allowed, "what is not used is free");
    }
  });
});

describe("while Redis is unreachable", ownServers, () => {
  it("Envoy gets an error where the limiter has no failover", async () => {
    const redis = await startRedis();
    const { client, service } = await instance(redis, { failover: false });
    const question = { descriptors: [{ user: "u1" }] };
    assert.equal((await client.ask(question)).overallCode, "OK");
    await redis.kill();
    for (const descriptors of [question.descriptors, [{ user: "u1" }, { tenant: "t1" }]]) {
      await assert.rejects(client.ask({ descriptors }), (error) => codeOf(error) === status.UNAVAILABLE);
    }
    assert.equal(service.counts().failed, 2);
  });

  it("shares are admitted, and the answer shows that it was decided without the store", async () => {
    const redis = await startRedis();
    const one = await instance(redis, { failover: { instances: 4 } });
    assert.equal((await one.client.ask({ descriptors: [{ user: "u1" }] })).overallCode, "OK");
    await redis.kill();
    const codes: string[] = [];
    for (let i = 0; i < 400; i++) {
      const { overallCode, dynamicMetadata } = await one.client.ask({ descriptors: [{ user: "u1" }] });
      codes.push(overallCode);
      assert.match(JSON.stringify(dynamicMetadata), /"degraded":\{"boolValue":true/);
    }
    const admitted = codes.filter((code) => code === "OK").length;
    // A quarter of the 999 that were left, by rank.
    assert.ok(admitted === 249 || admitted === 250, String(admitted));
  });
});

describe("requests in flight", ownServers, () => {
  it("are given up by the client, and still end", async () => {
    const redis = await startRedis();
    const { client, service, limiter } = await instance(redis, { failover: false });
    await client.ask({ descriptors: [{ user: "u1" }] });
    redis.pause();
    const late = client.ask({ descriptors: [{ user: "u1" }] }, 50);
    await assert.rejects(late, (error) => codeOf(error) === status.DEADLINE_EXCEEDED);
    const { answer, cancel } = client.start({ descriptors: [{ user: "u1" }, { tenant: "t1" }] });
    setTimeout(cancel, 50);
    await assert.rejects(answer, (error) => codeOf(error) === status.CANCELLED);
    redis.resume();
    assert.equal((await client.ask({ descriptors: [{ user: "u1" }] })).overallCode, "OK");
    await service.close();
    const [used] = await limiter.usage({ user: "u1", tool: "api" });
    assert.ok(used !== undefined && used.used >= 2 && used.used <= 4, "given up, but perhaps charged");
  });

  it("are answered when the service closes, and later ones are not", async () => {
    const redis = await startRedis();
    const { client, service } = await instance(redis, { failover: false });
    await client.ask({ descriptors: [{ user: "u1" }] });
    redis.pause();
    const asked = client.ask({ descriptors: [{ user: "u1" }, { tenant: "t1" }] });
    while (service.counts().requests < 2) await new Promise((resolve) => setImmediate(resolve));
    const closed = service.close({ graceMs: 5_000 });
    redis.resume();
    assert.equal((await asked).overallCode, "OK");
    await closed;
    await assert.rejects(
      client.ask({ descriptors: [{ user: "u1" }] }),
      (error) => codeOf(error) === status.UNAVAILABLE,
    );
  });

  it("are ended when they take longer than the grace", async () => {
    const redis = await startRedis();
    const { client, service } = await instance(redis, { failover: false });
    await client.ask({ descriptors: [{ user: "u1" }] });
    redis.pause();
    const asked = client.ask({ descriptors: [{ user: "u1" }] });
    while (service.counts().requests < 2) await new Promise((resolve) => setImmediate(resolve));
    const ended = assert.rejects(asked);
    await service.close({ graceMs: 50 });
    await ended;
    redis.resume();
  });
});

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;

describe("TLS", hasOpenssl ? {} : { skip: "no openssl on PATH to make certificates with" }, () => {
  it("accepts clients with a certificate of the authority, and no others", async () => {
    const folder = temporaryFolder();
    const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    const made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"];
    spawnSync("openssl", [...made, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert]);
    assert.ok(existsSync(cert));
    const pem = readFileSync(cert);
    const redis = await anyRedis();
    const tls = { cert, key, clientCa: cert };
    const known = credentials.createSsl(pem, readFileSync(key), pem);
    const { client, service } = await instance(redis, {}, { tls }, known);
    assert.equal((await client.ask({ descriptors: [{ user: crypto.randomUUID() }] })).overallCode, "OK");
    const other = await instance(redis, {}, { tls }, credentials.createSsl(pem));
    await assert.rejects(
      other.client.ask({ descriptors: [{ user: "u1" }] }),
      (error) => codeOf(error) === status.UNAVAILABLE,
    );
    assert.deepEqual([service.counts().requests, other.service.counts().requests], [1, 0]);
  });
});
