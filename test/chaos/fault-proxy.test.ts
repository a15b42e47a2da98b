// Each fault of the proxy as a client of a real Redis sees it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { ownServers, type RedisServer, startRedis } from "../servers.ts";
import { type FaultProxy, startFaultProxy } from "./fault-proxy.ts";

/** So long nothing may come. */
const SILENT_MS = 60;

describe("the fault proxy", ownServers, () => {
  let server: RedisServer;
  before(async () => {
    server = await startRedis();
  });

  /** A proxy, and a connected client behind it which neither connects nor sends again by itself. */
  async function through(): Promise<{ proxy: FaultProxy; client: Redis; key: string }> {
    const proxy = await startFaultProxy(server.port);
    return { proxy, client: await connected(proxy), key: `key:${proxy.port}` };
  }

  /** What Redis itself holds. */
  const stored = (key: string) => server.cli("GET", key);

  it("passes everything, also large data", async () => {
    const { client, key } = await through();
    const large = "x".repeat(20 * 2 ** 20);
    await client.set(key, large);
    assert.equal(await client.get(key), large);
  });

  it("refuses: present connections are closed, new ones refused, and the port is the same afterwards", async () => {
    const { proxy, client } = await through();
    const closed = once(client, "close");
    proxy.refuse();
    await closed;
    assert.equal(await failureOf(proxy.port), "ECONNREFUSED");
    await proxy.heal();
    assert.equal(await (await connected(proxy)).ping(), "PONG");
  });

  it("keeps both directions: nothing reaches the server until it heals, then everything in order", async () => {
    const { proxy, client, key } = await through();
    proxy.blackHole("both");
    const answers = Promise.all(["a", "b", "c"].map((letter) => client.append(key, letter)));
    assert.equal(await Promise.race([answers, sleep(SILENT_MS, "silent")]), "silent");
    assert.equal(stored(key), "");
    await proxy.heal();
    assert.deepEqual(await answers, [1, 2, 3]);
    assert.equal(stored(key), "abc");
  });

  it("keeps only replies: the server executes the requests", async () => {
    const { proxy, client, key } = await through();
    proxy.blackHole("replies");
    const answer = client.incr(key);
    assert.equal(await Promise.race([answer, sleep(SILENT_MS, "silent")]), "silent");
    assert.equal(stored(key), "1");
    await proxy.heal();
    assert.equal(await answer, 1);
  });

  it("accepts new connections into a black hole, and they are silent", async () => {
    const { proxy } = await through();
    proxy.blackHole("both");
    const socket = await connectedSocket(proxy);
    socket.write("PING\r\n");
    const reply = once(socket, "data").then(String);
    assert.equal(await Promise.race([reply, sleep(SILENT_MS, "silent")]), "silent");
    await proxy.heal();
    assert.equal(await reply, "+PONG\r\n");
    socket.destroy();
  });

  it("keeps the end of a connection in a black hole", async () => {
    const { proxy, client } = await through();
    proxy.blackHole("replies");
    const closed = once(client, "close").then(() => "closed");
    server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    assert.equal(await Promise.race([closed, sleep(SILENT_MS, "silent")]), "silent");
    await proxy.heal();
    assert.equal(await closed, "closed");
  });

  it("delays both directions and keeps the order", async () => {
    const { proxy, client, key } = await through();
    proxy.delay(40);
    const startedMs = performance.now();
    assert.deepEqual(await Promise.all([client.append(key, "a"), client.append(key, "b")]), [1, 2]);
    assert.ok(performance.now() - startedMs >= 79);
    proxy.delay(60_000);
    const late = client.append(key, "c");
    await sleep(SILENT_MS);
    await proxy.heal();
    assert.equal(await late, 3);
  });

  it("resets in the middle of a reply: the server acted, and no answer arrived", async () => {
    const { proxy, client, key } = await through();
    const other = await connected(proxy);
    await client.set(key, "0123456789");
    proxy.resetInReply();
    const socket = createConnection(proxy.port, "127.0.0.1");
    const failed = once(socket, "error");
    let seen = "";
    socket.on("data", (bytes) => {
      seen += bytes;
    });
    socket.write(`APPEND ${key} ${"x".repeat(90)}\r\n`);
    const [error] = await failed;
    assert.equal(error.code, "ECONNRESET");
    assert.equal(seen, ":10");
    assert.equal(stored(key).length, 100);
    assert.equal(await other.ping(), "PONG");
  });

  it("resets a given number of connections", async () => {
    const { proxy, client } = await through();
    const others = [await connected(proxy), await connected(proxy)];
    proxy.resetInReply(2);
    const answers = await Promise.allSettled([client, ...others].map((each) => each.ping()));
    assert.equal(answers.filter(({ status }) => status === "rejected").length, 2);
  });

  it("flaps until it heals", async () => {
    const { proxy } = await through();
    const seen = new Set<string>();
    proxy.flap(20);
    assert.equal(await failureOf(proxy.port), "ECONNREFUSED");
    for (let tries = 0; tries < 500 && seen.size < 2; tries++) {
      seen.add((await failureOf(proxy.port)) === null ? "accepted" : "refused");
      await sleep(2);
    }
    assert.equal(seen.size, 2);
    await proxy.heal();
    const client = await connected(proxy);
    await sleep(SILENT_MS);
    assert.equal(await client.ping(), "PONG");
  });

  it("resets connections for an absent server", async () => {
    const alone = await startRedis();
    const proxy = await startFaultProxy(alone.port);
    await alone.kill();
    const [error] = await once(createConnection(proxy.port, "127.0.0.1"), "error");
    assert.equal(error.code, "ECONNRESET");
    await proxy.close();
    assert.equal(await failureOf(proxy.port), "ECONNREFUSED");
  });

  it("closes with everything that it keeps, once and for all", async () => {
    const { proxy, client } = await through();
    proxy.delay(60_000);
    proxy.flap(5);
    await proxy.heal();
    proxy.blackHole("both");
    const closed = once(await connectedSocket(proxy), "close");
    void client.ping().catch(() => {});
    await proxy.close();
    await closed;
    await proxy.heal();
    assert.equal(await failureOf(proxy.port), "ECONNREFUSED");
  });
});

async function connected({ port }: FaultProxy): Promise<Redis> {
  const settings = { port, host: "127.0.0.1", lazyConnect: true, retryStrategy: () => null };
  const client = new Redis({ ...settings, autoResendUnfulfilledCommands: false }).on("error", () => {});
  await client.connect();
  return client;
}

async function connectedSocket({ port }: FaultProxy): Promise<Socket> {
  const socket = createConnection(port, "127.0.0.1").on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** How connecting fails, or `null`. */
async function failureOf(port: number): Promise<string | null> {
  const socket = createConnection(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "";
  } finally {
    socket.on("error", () => {}).destroy();
  }
}
