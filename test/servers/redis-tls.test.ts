// A cluster whose servers speak TLS: each client decides on it, and the command line says why it cannot connect.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { createLimiter, type PolicyInput } from "tollgate";
import { redisStore } from "tollgate/stores/redis";
import { makeCertificates } from "../certificates.ts";
import { clientsOfCluster } from "../cluster-clients.ts";
import { start, tollgate, until } from "../e2e/tollgate.ts";
import { startTlsCluster } from "../redis-cluster.ts";
import { ownServers } from "../servers.ts";
import { CASE_MS } from "../stores/store-suite.ts";
import { temporaryFolder } from "../temporary.ts";

const certificates = makeCertificates({ byAddress: "IP:127.0.0.1", byName: "DNS:localhost" });
const { ca } = certificates.byAddress;
const cluster = await startTlsCluster(certificates.byAddress);
const clients = await clientsOfCluster({ addresses: cluster.addresses, ca: readFileSync(ca, "utf8") });

const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "per-session", per: ["session"], quota: 3 },
    { name: "per-user", per: ["user"], quota: 12 },
  ],
};
const folder = temporaryFolder();
/** Node trusts the authority in addition to its own. */
const TRUSTING = { NODE_EXTRA_CA_CERTS: ca };
const hosts = (host: string) => cluster.addresses.map(({ port }) => `${host}:${port}`).join(",");

describe("a cluster that speaks TLS", ownServers, () => {
  for (const [name, client] of Object.entries(clients)) {
    it(`decides through ${name}, in one slot and in several`, async () => {
      const limiter = createLimiter({ policy: POLICY, store: redisStore(client, { deadlineMs: CASE_MS }) });
      const allowed: boolean[] = [];
      for (let i = 0; i < 20; i++) {
        const decision = await limiter.consume({ tool: "a", session: `${name}-${i % 5}`, user: name });
        allowed.push(decision.allowed);
      }
      assert.equal(allowed.filter(Boolean).length, 12);
      const usages = await limiter.usage({ tool: "a", session: `${name}-0`, user: name });
      assert.deepEqual(
        usages.map(({ used }) => used),
        [3, 12],
      );
      await limiter.close();
    });
  }

  it("is checked by doctor, through the URL of a cluster", async () => {
    const url = `rediss+cluster://${hosts("127.0.0.1")}`;
    const { status, stdout, stderr } = await tollgate(["doctor", "--store", url], folder, TRUSTING);
    assert.match(stdout, new RegExp(`^store +${url.replaceAll("+", "\\+")}\nreachable +yes\n`), stderr);
    assert.match(stdout, /\nslots +all 16384, on 3 masters/);
    assert.equal(status, 1);
  });

  it("counts what tollgate serve decides", async (context) => {
    const url = `rediss+cluster://${hosts("127.0.0.1")}`;
    const { child, ran } = start(["serve", "--port", "0", "--store", url], folder, TRUSTING);
    context.after(() => child.kill("SIGKILL"));
    let output = "";
    child.stdout?.on("data", (chunk) => {
      output += chunk;
    });
    const address = await until(() => /http:\/\/[\d.]+:\d+/.exec(output)?.[0] ?? null);
    const response = await fetch(`${address}/v1/consume`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ call: { tool: "search", session: "s1", turn: "t1" } }),
    });
    const { allowed, degraded } = (await response.json()) as { allowed: boolean; degraded: unknown };
    assert.deepEqual([allowed, degraded], [true, null]);
    child.kill("SIGTERM");
    assert.equal((await ran).status, 0);
  });
});

describe("a URL of a cluster that speaks TLS", ownServers, () => {
  const doctor = (url: string, env: NodeJS.ProcessEnv = {}) => tollgate(["doctor", "--store", url], folder, env);

  it("is refused where the authority is not trusted, and says so", async () => {
    const { status, stderr } = await doctor(`rediss+cluster://${hosts("127.0.0.1")}`);
    assert.match(stderr, /self-signed certificate in certificate chain/);
    assert.equal(status, 3);
  });

  it("is refused without TLS", async () => {
    const { status, stderr } = await doctor(`redis+cluster://${hosts("127.0.0.1")}`);
    assert.match(stderr, /the server at 127\.0\.0\.1:\d+ speaks TLS: begin the URL with rediss/);
    assert.equal(status, 3);
  });

  it("is refused for servers without TLS", async () => {
    const plain = cluster.servers.map(({ port }) => `127.0.0.1:${port}`).join(",");
    const { status, stderr } = await doctor(`rediss+cluster://${plain}`, TRUSTING);
    assert.match(stderr, /no TLS handshake with 127\.0\.0\.1:\d+: begin the URL with redis/);
    assert.equal(status, 3);
  });

  it("leads to servers whose certificates have names", async () => {
    const { certificate, key } = certificates.byName;
    for (const server of cluster.servers) {
      const set = server.cli("CONFIG", "SET", "tls-cert-file", certificate, "tls-key-file", key);
      assert.equal(set, "OK");
      server.cli("CONFIG", "SET", "cluster-announce-hostname", "localhost");
      server.cli("CONFIG", "SET", "cluster-preferred-endpoint-type", "hostname");
    }
    const url = `rediss+cluster://${hosts("localhost")}`;
    const { status, stdout, stderr } = await doctor(url, TRUSTING);
    assert.match(stdout, /\nslots +all 16384, on 3 masters/, stderr);
    assert.equal(status, 1);
  });
});
